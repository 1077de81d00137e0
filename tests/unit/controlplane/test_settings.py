"""Settings: variables over the file, and each bad one in words that say what would be right."""

import os
import re
from pathlib import Path

import pytest

from controlplane.settings import Settings, SettingsError, load


def message_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None = None, **variables: str) -> str:
    """Load settings that must be refused; give the words."""
    if text is not None:
        path = tmp_path / "controlplane.yaml"
        path.write_text(text)
        monkeypatch.setenv("SOLWARD_CONFIG", str(path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value)


def test_defaults_are_those_of_a_guarded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    assert settings.require_second_factor
    assert settings.metrics_listen.startswith("127.0.0.1:")
    assert settings.gateway_listen.startswith("127.0.0.1:")
    assert settings.database() == "sqlite+aiosqlite:////var/lib/solward-controlplane/solward.db"


def test_variables_win_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("session_hours: 3\ntrust_domain: from.file\nrate_limits: {read: 5/second, write: 6/second}\n")
    monkeypatch.setenv("SOLWARD_CONFIG", str(path))
    monkeypatch.setenv("SOLWARD_SESSION_HOURS", "4")
    monkeypatch.setenv("SOLWARD_RATE_LIMITS__READ", "7/second")
    settings = load()
    assert (settings.session_hours, settings.trust_domain) == (4, "from.file")
    assert (settings.rate_limits.read, settings.rate_limits.write) == ("7/second", "6/second")


@pytest.mark.parametrize("text", ["", "null", "# nothing\n"])
def test_empty_file_is_all_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    monkeypatch.setenv("SOLWARD_CONFIG", str(path))
    assert load() == Settings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mtls_listen: 7443", "must be HOST:PORT|valid string"),
        ("mtls_listen: localhost", "mtls_listen .*must be HOST:PORT"),
        ("tls_listen: ':7444'", "tls_listen .*must be HOST:PORT"),
        ("gateway_listen: 'x:99999'", "gateway_listen .*must be HOST:PORT"),
        ("gateway_listen: 'x:²'", "gateway_listen .*must be HOST:PORT"),
        ("rate_limits: {read: fast}", "rate_limits__read .*must be a rate such as"),
        ("rate_limits: {rea: 1/second}", "rate_limits__rea .*not permitted"),
        ("rate_limits: {methods: {X/Y: 1/second}}", "rate_limits__methods .*no method 'X/Y'; a name is such as"),
        (
            "rate_limits: {methods: {solward.hosts.v1.HostsService/ListHost: 1/second}}",
            "no method .* such as 'solward.hosts.v1.HostsService/ListHosts'",
        ),
        ("rate_limits: {methods: {solward.hosts.v1.HostsService/ListHosts: often}}", "must be a rate such as"),
        ("allow_networks: [10.0.0.1/8]", "allow_networks__0 .*must be a range such as"),
        ("deny_networks: [everything]", "deny_networks__0 .*must be a range such as"),
        ("trusted_proxies: ['*']", "trusted_proxies__0 .*must be a range such as"),
        ("cors_origins: ['*']", "cors_origins__0 .*must be an exact origin such as"),
        ("cors_origins: ['https://*.example.net']", "must be an exact origin"),
        ("cors_origins: ['https://example.net/']", "must be an exact origin"),
        ("cors_origins: ['https://example.net:443']", "must be an exact origin"),
        ("cors_origins: ['http://example.net']", "http on loopback only"),
        ("cors_origins: ['null']", "must be an exact origin"),
        ("gateway_connections: 0", "gateway_connections .*greater than or equal to 1"),
        ("csrf_secret: short", "csrf_secret .*at least 32 characters"),
        ("trust_domain: Example.COM", "trust_domain .*lower-case"),
        ("trust_domain: 'a/b'", "trust_domain .*lower-case"),
        ("audit_signing_key: short", "audit_signing_key .*at least 32 characters"),
        ("access_token_seconds: 10", "access_token_seconds .*greater than or equal to 60"),
        ("session_hours: 1000", "session_hours .*less than or equal to 168"),
        ("live_seconds: x", "live_seconds .*valid integer"),
        ("log_level: loud", "log_level .*'debug', 'info', 'warning' or 'error'"),
        ("server_names: []", "server_names .*at least 1"),
        ("drain_seconds: .nan", "drain_seconds"),
        ("checkpoint_seconds: 0", "checkpoint_seconds .*greater than 0"),
        ("lisen: x", "lisen .*not permitted"),
        ("session_hours: 0\nlive_seconds: 0", "session_hours[^§]*live_seconds"),
        ("a: [b", "not a YAML file of settings"),
        ("- a", "not a YAML file of settings"),
        ("hello", "not a YAML file of settings"),
        ("\x00", "not a YAML file of settings"),
    ],
)
def test_bad_file_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, says: str) -> None:
    assert re.search(says, message_of(monkeypatch, tmp_path, text))


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("SOLWARD_SESSION_HOURS", "many", "SOLWARD_SESSION_HOURS"),
        ("SOLWARD_SESION_HOURS", "4", "SOLWARD_SESION_HOURS is not a setting; known are"),
        ("SOLWARD_SERVER_NAMES", "x", "server_names.*must be JSON"),
        ("SOLWARD_RATE_LIMITS", "{", "rate_limits.*must be JSON"),
        ("SOLWARD_CONFIG", "/nonexistent/x.yaml", "SOLWARD_CONFIG names /nonexistent/x.yaml, which is not a file"),
    ],
)
def test_bad_variable_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, says: str
) -> None:
    assert re.search(says, message_of(monkeypatch, tmp_path, **{variable: value}))


def test_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "tooshort" not in message_of(monkeypatch, tmp_path, "audit_signing_key: tooshort")
    monkeypatch.setenv("SOLWARD_CONFIG", os.devnull)
    assert "tooshort" not in message_of(monkeypatch, tmp_path, "csrf_secret: tooshort")
    monkeypatch.setenv("SOLWARD_CONFIG", os.devnull)
    secret = "k" * 32
    assert secret not in repr(Settings(audit_signing_key=secret, csrf_secret=secret))  # type: ignore[arg-type]
