"""Databases that Geyser events end in. Imported only where `geyser.sinks` is set."""

from agent.geyser.settings import ClickhouseSettings, PostgresqlSettings, SinkSettings
from agent.geyser.sinks.base import Budget, SinkSource


def of_kind(name: str, wanted: SinkSettings) -> PostgresqlSettings | ClickhouseSettings:
    """Give the settings of the kind that a sink is of; raises ValueError where none is named."""
    one = wanted.postgresql or wanted.clickhouse
    if one is None:
        raise ValueError(f"geyser.sinks.{name}: must name one of postgresql and clickhouse")
    return one


def open_sink(name: str, wanted: SinkSettings, budget: Budget) -> SinkSource:
    """Make a sink that can be looked at; it connects with its first look.

    Raises: SettingsFileError where a file that the settings name will not do.
    """
    one = of_kind(name, wanted)
    # Imported on demand: a host that looks at one kind need not carry the other's client.
    if isinstance(one, PostgresqlSettings):
        from agent.geyser.sinks.postgresql import PostgresqlSink

        return PostgresqlSink(name, one, budget)
    from agent.geyser.sinks.clickhouse import ClickhouseSink

    return ClickhouseSink(name, one, budget)
