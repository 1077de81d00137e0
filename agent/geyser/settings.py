"""The settings of Geyser pipelines: which parts of them the agent looks at, by name."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from agent.geyser.plugin_settings import PluginSettings, StreamSettings, plugin_troubles, stream_troubles

Source = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]


class GeyserSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the agent looks at, by name; a name, `source` in the series, is given once over all kinds."""

    plugins: dict[Source, PluginSettings] = {}
    streams: dict[Source, StreamSettings] = {}


def check(geyser: GeyserSettings) -> None:
    """Refuse what no pattern tells from good settings; raises ValueError, which names the field and the remedy."""
    for name in geyser.plugins.keys() & geyser.streams.keys():
        raise ValueError(
            f"streams.{name}: plugins has a source of this name too, and series tell sources apart by it;"
            " give one of them another name"
        )
    troubles: Mapping[str, list[str]] = {
        **{f"plugins.{name}": list(plugin_troubles(one)) for name, one in geyser.plugins.items()},
        **{f"streams.{name}": list(stream_troubles(one)) for name, one in geyser.streams.items()},
    }
    for field, found in troubles.items():
        for trouble in found:
            raise ValueError(f"{field}.{trouble}")
