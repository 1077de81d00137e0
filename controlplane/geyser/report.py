"""Reports on what agents look at for pipelines, from the live ring: consumer groups, and sources of every kind."""

import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from solward.geyser.v1 import geyser_pb2 as pb

from common.names import host_name
from controlplane.geyser.signs import LATE_S, figures
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.live import HostRing

# How far back failures of a source are counted.
ERRORS_S = 300
_LAG, _ERRORS, _RATE, _SLOT = (
    "geyser_kafka_lag_messages", "geyser_errors", "geyser_events_rate", "geyser_newest_slot",
)  # fmt: skip
# What says of which kind a source is, and whether it answers; of two the first that is told.
_UP = (
    ("geyser_kafka_up", "kafka"), ("geyser_plugin_metrics_up", "plugin"), ("geyser_plugin_loaded", "plugin"),
    ("geyser_stream_up", "stream"), ("geyser_sink_up", "sink"),
)  # fmt: skip
_OF_LAG = (
    _LAG, "geyser_kafka_lag_max_messages", "geyser_kafka_lag_seconds", "geyser_kafka_consume_rate",
    "geyser_kafka_stalled_partitions", "geyser_kafka_uncommitted_partitions", "geyser_kafka_lost_messages",
)  # fmt: skip


# A series of a source: its name, its labels, and its column.
_Row = tuple[str, dict[str, str], int]


def consumer_groups(ingest: Ingest, hosts: Iterable[str], group: str) -> list[pb.ConsumerGroup]:
    """Report how far groups are behind, the furthest first.

    Args:
        ingest: where the hosts' feeds are.
        hosts: whose agents are asked, by id.
        group: only this one; empty: all.
    """
    rings = [(host, feed.ring) for host in hosts if (feed := ingest.feeds.get(host))]
    each = [_group(ring, host, labels) for host, ring in rings for labels in _labels(ring, _LAG)]
    found = [row for row in each if row is not None and group in ("", row.group)]
    return sorted(found, key=lambda row: (-row.lag_messages, row.group, row.topic))


def sources(ingest: Ingest, hosts: Iterable[str]) -> list[pb.Source]:
    """Report every source of hosts, by host and name."""
    found = []
    for host in hosts:
        if feed := ingest.feeds.get(host):
            rows: dict[str, list[_Row]] = defaultdict(list)
            for (name, labels), column in feed.ring.series:
                if _is_ours(name) and (source := (named := dict(labels)).get("source")):
                    rows[source].append((name, named, column))
            found += [_source(feed.ring, host, source, rows[source]) for source in sorted(rows)]
    return found


def _group(ring: HostRing, host: str, labels: dict[str, str]) -> pb.ConsumerGroup | None:
    if not {"source", "group", "topic"} <= labels.keys():
        # No agent of ours tells it so.
        return None
    own = {key: labels[key] for key in ("source", "group", "topic")}
    of_group = {key: labels[key] for key in ("source", "group")}
    now, _ = figures(ring, [(name, own) for name in _OF_LAG], find=ring.exactly)
    if "kafka_lag_messages" not in now:
        return None
    names = ("geyser_kafka_group_up", "geyser_kafka_group_members")
    more, _ = figures(ring, [(name, of_group) for name in names], find=ring.exactly)
    topic = {"source": labels["source"], "topic": labels["topic"]}
    written, _ = figures(ring, [("geyser_kafka_produce_rate", topic)], find=ring.exactly)
    up = more.get("kafka_group_up")
    row = pb.ConsumerGroup(
        host=host_name(host), source=own["source"], group=own["group"], topic=own["topic"],
        lag_messages=now["kafka_lag_messages"],
        max_lag_messages=now.get("kafka_lag_max_messages", 0.0), consume_rate=now.get("kafka_consume_rate", 0.0),
        members=_count(more.get("kafka_group_members")), lost_messages=now.get("kafka_lost_messages", 0.0),
        stalled_partitions=_count(now.get("kafka_stalled_partitions")),
        uncommitted_partitions=_count(now.get("kafka_uncommitted_partitions")),
        state="" if up is None else "stable" if up >= 1 else "rebalancing" if up > 0 else "down",
    )  # fmt: skip
    if "kafka_lag_seconds" in now:
        row.lag_seconds = now["kafka_lag_seconds"]
    if "kafka_produce_rate" in written:
        row.produce_rate = written["kafka_produce_rate"]
    return row


def _count(value: float | None) -> int:
    return max(0, min(int(value or 0), 2**31 - 1))


def _source(ring: HostRing, host: str, source: str, rows: list[_Row]) -> pb.Source:
    found = pb.Source(host=host_name(host), source=source)
    errors: dict[str, float] = defaultdict(float)
    for name, named, column in rows:
        if name == _ERRORS:
            errors[named.get("class", "")] += float(np.nansum(ring.window([column], min(ERRORS_S, ring.seconds))))
            continue
        value = _newest(ring, column)
        if value is None:
            continue
        kind = next((kind for up, kind in _UP if up == name), "")
        if kind:
            found.kind = kind
            found.up = bool(value) and (found.up or not found.HasField("up"))
        elif name == _RATE:
            found.rates[named.get("kind", "")] = value
        elif name == _SLOT:
            found.newest_slot = max(0, min(int(value), 2**53))
        else:
            found.figures[_label(name, named)] = value
    found.errors.update({kind: times for kind, times in errors.items() if times})
    return found


def _newest(ring: HostRing, column: int) -> float | None:
    columns = np.array([column], dtype=np.int64)
    if ring.is_count(column):
        return float(np.nansum(ring.window(columns, min(ERRORS_S, ring.seconds))))
    value = float(ring.newest(columns, min(LATE_S, ring.seconds))[0])
    return value if math.isfinite(value) else None


def _label(name: str, labels: dict[str, str]) -> str:
    rest = ",".join(f"{key}={value}" for key, value in labels.items() if key != "source")
    short = name.removeprefix("geyser_")
    return f"{short}{{{rest}}}" if rest else short


def _labels(ring: HostRing, name: str) -> list[dict[str, str]]:
    return [labels for labels, _ in ring.named(name)]


def _is_ours(name: str) -> bool:
    # Of each partition there are too many to list: they are the topic's and the group's.
    return name.startswith("geyser_") and name != "geyser_kafka_partition_lag_messages"
