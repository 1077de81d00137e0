"""One look at every source, for a person who sets an agent up."""

import asyncio
from threading import Event

from agent.geyser.settings import GeyserSettings, KafkaSettings, SinkSettings
from agent.geyser.sinks import of_kind, open_sink
from agent.geyser.sinks.base import Budget, SinkFailed, Told


async def troubles(wanted: GeyserSettings) -> dict[str, str]:
    """Say what keeps each source from being asked, by name; of those that answer, nothing.

    Raises: SettingsFileError where a file that the settings name will not do.
    """
    looks = {name: _kafka(name, one) for name, one in wanted.kafka.items()}
    looks |= {name: _sink(name, one) for name, one in wanted.sinks.items()}
    found = await asyncio.gather(*looks.values())
    return {name: why for name, why in zip(looks, found, strict=True) if why}


async def _kafka(name: str, wanted: KafkaSettings) -> str:
    from agent.geyser.kafka.client import Cluster
    from agent.geyser.kafka.failures import KafkaFailed

    cluster = Cluster(name, wanted, Event())
    try:
        look = await asyncio.to_thread(cluster.look)
    except KafkaFailed as failed:
        return f"{failed.kind} ({failed.message})"
    return "" if look.groups_whole or look.groups else f"no groups are listed ({', '.join(look.errors)})"


async def _sink(name: str, wanted: SinkSettings) -> str:
    told = Told(name)
    source = open_sink(name, wanted, Budget(of_kind(name, wanted).budget))
    try:
        await source.look(told)
    except SinkFailed as failed:
        return f"{failed.kind} ({failed.message})"
    finally:
        await source.close()
    return "; ".join(told.troubles)
