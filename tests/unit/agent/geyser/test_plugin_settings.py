"""Settings of plugins and streams: what is wrong is named, with the remedy."""

import msgspec
import pytest

from agent.geyser.settings import GeyserSettings, check

GOOD = """
plugins:
  yellowstone: {name: GeyserGrpc, config: /etc/solana/ys.json, metrics_url: "http://127.0.0.1:8999/metrics"}
  kafka: {}
streams:
  ys-stream: {url: "http://127.0.0.1:10000", token_file: /etc/solward/ys.token}
  far: {url: "https://ys.example:443", token_file: /t, ca_file: /ca.pem, counts: true}
  six: {url: "http://[::1]:10000", token_file: /t}
"""


def settings(text: str) -> GeyserSettings:
    from agent.settings import _decode

    return msgspec.yaml.decode(text, type=GeyserSettings, dec_hook=_decode)


def test_good_settings_pass() -> None:
    check(settings(GOOD))
    check(GeyserSettings())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plugins: {a: {}}\nstreams: {a: {url: 'http://h:1'}}", "streams.a: plugins has a source of this name"),
        ("plugins: {a: {config: ys.json}}", "plugins.a.config: must be an absolute path"),
        ("plugins: {a: {metrics_url: 'http://:1/'}}", "plugins.a.metrics_url"),
        ("streams: {a: {url: 'http://h:1/path'}}", "streams.a.url: must be a host and a port"),
        ("streams: {a: {url: 'http://user@h:1'}}", "streams.a.url"),
        ("streams: {a: {url: 'http://h:99999'}}", "streams.a.url"),
        ("streams: {a: {url: 'http://far:1', token_file: /t}}", "must be https, since a token is sent"),
        ("streams: {a: {url: 'http://h:1', ca_file: /t}}", "ca_file: is for https alone"),
    ],
)
def test_what_no_pattern_tells(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^(plugins|streams)") as caught:
        check(settings(text))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["streams: {a: {}}", "streams: {a: {url: 'grpc://h:1'}}", "streams: {A: {url: 'http://h:1'}}",
     "streams: {a: {url: 'http://h:1', silent_seconds: 0}}", "plugins: {a: {command: /bin/x}}",
     "plugins: {a: {name: \"a\\nb\"}}"],
)  # fmt: skip
def test_what_the_schema_refuses(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        settings(text)
