"""The settings of Geyser pipelines: which parts of them the agent looks at, by name."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from agent.geyser.plugin_settings import PluginSettings, StreamSettings, plugin_troubles, stream_troubles

Source = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=249)]
Broker = Annotated[str, msgspec.Meta(pattern=r"^(\[[0-9a-fA-F:.]+\]|[^\s:/,@\[\]]+):[0-9]{1,5}$")]
Kind = Literal["account", "transaction", "block", "slot", "entry"]
Identifier = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f]{1,63}$")]
# A table may bear the name of its schema or database before it.
Table = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f.]{1,63}(\.[^\x00-\x1f.]{1,63})?$")]
Period = Annotated[float, msgspec.Meta(ge=1, le=3600)]
Timeout = Annotated[float, msgspec.Meta(ge=0.1, le=60)]


class TlsSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whom to trust, and who one is; by default the system's authorities are trusted and no certificate is shown."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class SaslSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How one signs in to a cluster; `password_file` is for the agent's user alone."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
    user: Annotated[str, msgspec.Meta(min_length=1)]
    password_file: Path


class KafkaSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One Kafka cluster.

    `groups` and `topics` are patterns with * and ?; by default every group, and every topic but Kafka's own, whose
    names begin with two underscores. `kinds` says what a topic carries. With `read_committed` lag ends where the
    oldest open transaction begins, as consumers with that isolation see it. `timeout_seconds` is for one answer.
    """

    brokers: Annotated[tuple[Broker, ...], msgspec.Meta(min_length=1)]
    groups: tuple[Pattern, ...] = ("*",)
    topics: tuple[Pattern, ...] = ()
    kinds: dict[Pattern, Kind] = {}
    read_committed: bool = False
    tls: TlsSettings | None = None
    sasl: SaslSettings | None = None
    period_seconds: Period = 5.0
    timeout_seconds: Timeout = 5.0


class TableSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One table of a sink.

    Without `slot_column` its rows are told, and not its newest slot. `time_column` is when a row was written;
    `time_is_utc_naive` says that it is UTC and bears no zone, as the Postgres plugin's `updated_on`.
    """

    table: Table
    slot_column: Identifier | None = None
    time_column: Identifier | None = None
    time_is_utc_naive: bool = False


class BudgetSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What looking at a sink may cost it in a minute: where a look would be over it, it comes later."""

    queries_per_minute: Annotated[int, msgspec.Meta(ge=10, le=10_000)] = 240
    seconds_per_minute: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = 10.0


class PostgresqlSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A PostgreSQL database; `url_file`, for the agent's user alone, holds its URL.

    `tables` are by default those of the Postgres plugin that are there.
    """

    url_file: Path
    tables: dict[Source, TableSettings] = {}
    period_seconds: Period = 5.0
    timeout_seconds: Timeout = 3.0
    budget: BudgetSettings = BudgetSettings()


class ClickhouseSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A ClickHouse database, over HTTP; https everywhere but on the host itself where a password is sent.

    `password_file` is for the agent's user alone.
    """

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://")]
    database: Identifier
    user: str = "default"
    password_file: Path | None = None
    ca_file: Path | None = None
    tables: dict[Source, TableSettings] = {}
    period_seconds: Period = 5.0
    timeout_seconds: Timeout = 3.0
    budget: BudgetSettings = BudgetSettings()


class SinkSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One database that events end in: `postgresql` or `clickhouse`."""

    postgresql: PostgresqlSettings | None = None
    clickhouse: ClickhouseSettings | None = None


class GeyserSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the agent looks at, by name; a name, `source` in the series, is given once over all kinds."""

    kafka: dict[Source, KafkaSettings] = {}
    sinks: dict[Source, SinkSettings] = {}
    plugins: dict[Source, PluginSettings] = {}
    streams: dict[Source, StreamSettings] = {}


def check(geyser: GeyserSettings) -> None:
    """Refuse what no pattern tells from good settings; raises ValueError, which names the field and the remedy."""
    _check_names({kind: getattr(geyser, kind) for kind in GeyserSettings.__struct_fields__})
    for field, troubles in _troubles(geyser):
        for trouble in troubles:
            raise ValueError(f"{field}.{trouble}")
    for name, sink in geyser.sinks.items():
        if (sink.postgresql is None) == (sink.clickhouse is None):
            raise ValueError(f"sinks.{name}: must name one of postgresql and clickhouse")
        if sink.clickhouse:
            _check_clickhouse(f"sinks.{name}.clickhouse", sink.clickhouse)


def _troubles(geyser: "GeyserSettings") -> Iterator[tuple[str, Iterable[str]]]:
    for name, cluster in geyser.kafka.items():
        yield f"kafka.{name}", _kafka_troubles(cluster)
    for name, plugin in geyser.plugins.items():
        yield f"plugins.{name}", plugin_troubles(plugin)
    for name, stream in geyser.streams.items():
        yield f"streams.{name}", stream_troubles(stream)


def _check_names(kinds: Mapping[str, Mapping[str, object]]) -> None:
    seen: dict[str, str] = {}
    for kind, sources in kinds.items():
        for name in sources:
            if name in seen:
                raise ValueError(
                    f"{kind}.{name}: {seen[name]} has a source of this name too, and series tell sources apart by it;"
                    " give one of them another name"
                )
            seen[name] = kind


def _kafka_troubles(cluster: KafkaSettings) -> Iterator[str]:
    for broker in cluster.brokers:
        if not 0 < int(broker.rpartition(":")[2]) < 65536:
            yield f"brokers: {broker} must end in a port from 1 to 65535"
    tls = cluster.tls
    if tls and (tls.cert_file is None) != (tls.key_file is None):
        yield "tls: cert_file and key_file go together; give both or neither"
    if cluster.sasl and cluster.sasl.mechanism == "PLAIN" and tls is None and not _near(cluster.brokers):
        yield "sasl: PLAIN shows the password to the network; add tls (tls: {} trusts the system's authorities)"


def _check_clickhouse(field: str, sink: ClickhouseSettings) -> None:
    try:
        parts = urlsplit(sink.url)
        good = bool(parts.hostname) and parts.port != 0 and parts.username is None and not parts.query
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{field}.url: must be a URL with a host and no user, such as https://ch-1:8443")
    if parts.scheme == "http" and sink.password_file and not _near((parts.netloc,)):
        raise ValueError(f"{field}.url: must be https, since a password is sent")


def _near(addresses: tuple[str, ...]) -> bool:
    """Say whether all addresses, each with or without a port, are the host's own."""
    return all(urlsplit(f"//{one}").hostname in ("localhost", "127.0.0.1", "::1") for one in addresses)
