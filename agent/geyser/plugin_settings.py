"""The settings of a Geyser plugin and of its stream, as agent.yaml has them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

import msgspec

_Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s]+$")]
_MaybeUrl = Annotated[str, msgspec.Meta(pattern=r"^(https?://[^\s]+)?$")]
_HERE = ("localhost", "127.0.0.1", "::1")


class PluginSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One plugin of the validator.

    `name` is what the validator lists it as, by default the source's own name. `config` is the file that it is loaded
    from; without it the plugin is never loaded by the agent. `metrics_url` is its Prometheus page.
    """

    name: Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    config: Path | None = None
    metrics_url: _MaybeUrl = ""
    period_seconds: Annotated[float, msgspec.Meta(ge=1, le=60)] = 5.0
    timeout_seconds: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 3.0


class StreamSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One Yellowstone stream.

    `token_file`, for the agent's user alone, holds what is sent as x-token. `ca_file` replaces the authorities that
    are trusted. With `counts` blocks are subscribed to as well, so that transactions and entries are counted. After
    `silent_seconds` without a slot the subscription is made anew; a slot that the node has had for
    `missed_after_seconds` and the stream has not is missed.
    """

    url: _Url
    token_file: Path | None = None
    ca_file: Path | None = None
    counts: bool = False
    silent_seconds: Annotated[float, msgspec.Meta(ge=1, le=600)] = 15.0
    missed_after_seconds: Annotated[float, msgspec.Meta(ge=1, le=120)] = 10.0


def plugin_troubles(plugin: PluginSettings) -> Iterator[str]:
    """Name what no pattern tells from good settings."""
    if plugin.config is not None and not plugin.config.is_absolute():
        yield "config: must be an absolute path, such as /etc/solana/yellowstone.json"
    if plugin.metrics_url and _split(plugin.metrics_url) is None:
        yield "metrics_url: must be a URL with a host, such as http://127.0.0.1:8999/metrics"


def stream_troubles(stream: StreamSettings) -> Iterator[str]:
    """Name what no pattern tells from good settings."""
    parts = _split(stream.url)
    if parts is None or parts.username is not None or parts.path not in ("", "/") or parts.query:
        yield "url: must be a host and a port alone, such as http://127.0.0.1:10000; a token goes into a file"
        return
    if parts.scheme == "http" and stream.token_file and parts.hostname not in _HERE:
        yield "url: must be https, since a token is sent"
    if parts.scheme == "http" and stream.ca_file:
        yield "ca_file: is for https alone; make the url https or leave it out"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None
