"""The agent's settings: read whole, or refused with the name of what is wrong."""

from pathlib import Path

import pytest

from agent.settings import SettingsError, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.yaml"


def test_the_server_alone_is_enough(file: Path) -> None:
    file.write_text("server: plane.example\n")
    settings = load(file)
    assert (settings.server, settings.mtls_port, settings.tls_port) == ("plane.example", 7443, 7444)
    assert settings.state_dir == Path("/var/lib/solward-agent")
    assert settings.allowlist_owner == "root"
    assert settings.rpc is None


def test_every_setting_is_read(file: Path) -> None:
    file.write_text(
        "server: s\nmtls_port: 1\ntls_port: 65535\nstate_dir: /s\nallowlist: /a\nallowlist_owner: o\nkernel: false\n"
        "bus_address: unix:path=/b\nspool_megabytes: 10000\nlog_level: debug\nlog_format: text\n"
        "rpc: {url: 'https://h:1', timeout_seconds: 0.5, methods: [{name: getBlock, params: [1, {a: b}]}]}\n"
    )
    settings = load(file)
    assert settings.rpc
    assert (settings.rpc.url, settings.rpc.timeout_seconds) == ("https://h:1", 0.5)
    assert [(method.name, method.params) for method in settings.rpc.methods] == [("getBlock", (1, {"a": "b"}))]
    assert (settings.spool_megabytes, settings.allowlist, settings.kernel) == (10_000, Path("/a"), False)


def test_plugins_and_streams_are_read(file: Path) -> None:
    file.write_text(
        "server: s\ngeyser: {plugins: {ys: {config: /etc/ys.json, metrics_url: 'http://127.0.0.1:8999/metrics'}},"
        " streams: {ys-stream: {url: 'http://127.0.0.1:10000', token_file: /t}}}\n"
    )
    geyser = load(file).geyser
    assert geyser
    assert (geyser.plugins["ys"].config, geyser.plugins["ys"].name) == (Path("/etc/ys.json"), "")
    assert (geyser.streams["ys-stream"].token_file, geyser.streams["ys-stream"].silent_seconds) == (Path("/t"), 15.0)
    file.write_text("server: s\ngeyser: {streams: {far: {url: 'http://far:1', token_file: /t}}}\n")
    with pytest.raises(SettingsError, match=r"geyser\.streams\.far\.url: must be https"):
        load(file)


def test_the_block_engine_is_read(file: Path) -> None:
    file.write_text(
        "server: s\njito: {regions: {ny: {url: 'https://ny.example'}}, auth_key: /k, requests_per_second: 5,"
        " results: false, relays: {ny: 'http://r:8100'}, tls_roots: /r, cluster: testnet}\n"
    )
    jito = load(file).jito
    assert jito
    assert (jito.regions["ny"].url, jito.auth_key, jito.results) == ("https://ny.example", Path("/k"), False)
    file.write_text("server: s\njito: {}\n")
    jito = load(file).jito
    assert jito
    assert (jito.regions, jito.requests_per_second, jito.cluster) == ({}, 1.0, "mainnet")


def test_a_uuid_goes_over_no_line_that_others_may_read(file: Path) -> None:
    place = "{url: 'https://ny.example', json_rpc: 'http://ny.example'}"
    file.write_text(f"server: s\njito: {{regions: {{ny: {place}}}, relays: {{ny: 'http://r:8100'}}}}\n")
    assert load(file).jito
    file.write_text(f"server: s\njito: {{regions: {{ny: {place}}}, uuid_file: /u}}\n")
    with pytest.raises(SettingsError, match=r"regions\.ny\.json_rpc: must be https"):
        load(file)
    file.write_text("server: s\njito: {uuid_file: /u, relays: {ny: 'http://r:8100'}}\n")
    assert load(file).jito


def test_canaries_are_off_until_they_are_asked_for(file: Path) -> None:
    file.write_text("server: s\nrpc: {}\njito: {}\n")
    jito = load(file).jito
    assert jito
    assert jito.canary is None
    file.write_text("server: s\nrpc: {}\njito: {canary: {key: /k, regions: [ny], tip_lamports: 2000}}\n")
    jito = load(file).jito
    assert jito
    assert jito.canary
    assert (jito.canary.period_minutes, jito.canary.tip_lamports, jito.canary.dry_run) == (10, 2000, False)


@pytest.mark.parametrize(("rest", "why"), [
    ("jito: {canary: {key: /k}}", "needs rpc"), ("rpc: {}\njito: {canary: {}}", "key"),
    ("rpc: {}\njito: {canary: {key: /k, tip_lamports: 999}}", "tip_lamports"),
    ("rpc: {}\njito: {canary: {key: /k, bundle_lamports: 5999}}", "bundle_lamports: must be 6,000"),
    ("rpc: {}\njito: {canary: {key: /k, daily_lamports: 9999}}", "bundle_lamports: must be"),
    ("rpc: {}\njito: {canary: {key: /k, period_minutes: 0.5}}", "period_minutes"),
    ("rpc: {}\njito: {canary: {key: /k, regions: [dallas]}}", "regions: dallas must be among"),
    ("rpc: {}\njito: {regions: {slc: {url: 'https://s'}}, canary: {key: /k, regions: [ny]}}", "regions: ny must be"),
])  # fmt: skip
def test_canaries_that_cannot_be_are_refused_by_name(file: Path, rest: str, why: str) -> None:
    file.write_text(f"server: s\n{rest}\n")
    with pytest.raises(SettingsError, match=why):
        load(file)


@pytest.mark.parametrize("line", [
    "regions: {ny: {url: 'http://ny.example'}}", "regions: {ny: {url: 'https://a/b'}}", "regions: {NY: {url: 'https://a'}}",
    "regions: {ny: {url: 'https://a:x'}}", "relays: {ny: 'http://'}", "regions: {ny: {url: 'https://u@a'}}",
    "cluster: devnet", "requests_per_second: 0", "regions: auto",
])  # fmt: skip
def test_an_engine_that_cannot_be_is_refused_by_name(file: Path, line: str) -> None:
    file.write_text(f"server: s\njito: {{{line}}}\n")
    with pytest.raises(SettingsError, match=rf"jito\.{line.partition(':')[0]}"):
        load(file)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("", "object"),
        ("mtls_port: 1", "server"),
        ("server: ''", "server"),
        ("server: 7", "server"),
        ("server: s\nmtls_port: 0", "mtls_port"),
        ("server: s\ntls_port: 65536", "tls_port"),
        ("server: s\nmtls_port: '7443'", "mtls_port"),
        ("server: s\nspool_megabytes: 0", "spool_megabytes"),
        ("server: s\nlog_level: loud", "log_level"),
        ("server: s\nlog_format: xml", "log_format"),
        ("server: s\nserverr: s", "serverr"),
        ("server: s\nrpc: {url: 'ftp://h'}", "rpc.url"),
        ("server: s\nrpc: {timeout_seconds: 0}", "rpc.timeout_seconds"),
        ("server: s\nrpc: {timeout_seconds: .nan}", "rpc.timeout_seconds"),
        ("server: s\nrpc: {methods: [{name: 'a b'}]}", "rpc.methods"),
        ("server: s\nrpc: {methods: [{nam: getSlot}]}", "rpc.methods"),
        ("server: s\nstate_dir: 7", "state_dir"),
        ("[]", "array"),
        ("server: [", ""),
        ("server: !!python/name:os.system", ""),
    ],
)
def test_what_is_wrong_is_named(file: Path, line: str, named: str) -> None:
    file.write_text(line)
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert str(file) in str(caught.value)
    assert named in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOLWARD_AGENT_CONFIG", str(file))
    with pytest.raises(SettingsError, match=r"agent\.yaml cannot be read"):
        load()
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"agent\.yaml"):
        load()
    file.write_text("server: named-by-variable")
    assert load().server == "named-by-variable"
