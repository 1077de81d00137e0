"""Signs: what agents told lately of one hop, read from the live ring."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from common.clock import now_ms
from controlplane.geyser.settings import HopSettings
from controlplane.telemetry.ingest import HostFeed, Ingest
from controlplane.telemetry.live import Floats, HostRing

# How old a figure may be to say how things stand now: two looks of the slowest probe.
LATE_S = 45
# How far back losses count, and what passes is averaged.
WINDOW_S = 60
# Of a host that told nothing for so long, nothing is known.
DEAF_S = 20.0

NODE_SLOT = "solana_rpc_slot"
# Which series tells the newest slot of a hop.
_SLOTS = {
    "plugin": "geyser_newest_slot", "stream": "geyser_newest_slot", "sink": "geyser_sink_newest_slot",
}  # fmt: skip
# Before any slot was timed.
USUAL_SLOT_S = 0.4
_NONE: Floats = np.empty(0)


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known of a hop now.

    Attributes:
        heard: whether its agent tells anything.
        now: the newest value of each of its series, without prefix and labels.
        sums: what was counted within the last minute.
        behind_slots: how many slots its newest one was behind the node's, when it was told.
        slot_s: how long a slot takes on the node.
        node_moves: whether the node has gone on within the last minute; None where that is not known.
    """

    heard: bool
    now: dict[str, float] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    behind_slots: float | None = None
    slot_s: float = USUAL_SLOT_S
    node_moves: bool | None = None

    def get(self, name: str) -> float | None:
        """Give a figure, or None where it was not told."""
        return self.now.get(name)

    def lost(self, *names: str) -> float:
        """Add up what was counted."""
        return sum(self.sums.get(name, 0.0) for name in names)


class NodeSlots:
    """The slots of a node over the last minute, by our own clock."""

    def __init__(self, ingest: Ingest, host: str) -> None:
        feed = ingest.feeds.get(host)
        self._times, self._slots = _told(feed, NODE_SLOT, {}) if feed else (_NONE, _NONE)
        self.slot_s = USUAL_SLOT_S
        if len(self._slots) >= 2:
            passed = float(self._slots[-1] - self._slots[0])
            # From few slots nothing is learnt of their length; what is no slot time of any cluster is none here.
            if passed >= 20:
                self.slot_s = min(max(float(self._times[-1] - self._times[0]) / passed, 0.1), 2.0)

    @property
    def moves(self) -> bool | None:
        """Whether it has gone on; None where too little is known."""
        if len(self._slots) < 2 or self._times[-1] - self._times[0] < 5:
            return None
        recent = self._slots[self._times > self._times[-1] - 15]
        return bool(recent[-1] > recent[0])

    def behind(self, slot: float, time: float) -> float | None:
        """Say how many slots a slot was behind the node at a time; None where the node's is not known then."""
        if not len(self._slots) or not self._times[0] - LATE_S < time < self._times[-1] + LATE_S:
            return None
        ahead = max(0.0, time - float(self._times[-1])) / self.slot_s if self.moves else 0.0
        return max(0.0, float(np.interp(time, self._times, self._slots)) + ahead - slot)


def read(ingest: Ingest, hop: HopSettings, node: NodeSlots) -> Signs:
    """Read what agents told of a hop.

    Args:
        ingest: where the hosts' feeds are.
        hop: which hop.
        node: the slots of its pipeline's node.
    """
    feed = ingest.feeds.get(hop.host)
    if feed is None or now_ms() - feed.ring.received_ms > DEAF_S * 1000:
        return Signs(heard=False, slot_s=node.slot_s, node_moves=node.moves)
    now, sums = figures(feed.ring, wanted(hop))
    behind = None
    if hop.kind in _SLOTS:
        labels = {"source": hop.source} | ({"table": hop.table} if hop.table else {})
        times, slots = _told(feed, _SLOTS[hop.kind], labels)
        if len(slots):
            behind = node.behind(float(slots[-1]), float(times[-1]))
    return Signs(True, now, sums, behind, node.slot_s, node.moves)


def _told(feed: HostFeed, name: str, labels: dict[str, str]) -> tuple[Floats, Floats]:
    """Give when a series was told by our own clock, and its values, of the last minute."""
    ring = feed.ring
    columns = ring.columns(name, labels)
    if not columns:
        return _NONE, _NONE
    seconds = min(WINDOW_S, ring.seconds)
    values = ring.window(columns[:1], seconds)[:, 0]
    rows = np.flatnonzero(np.isfinite(values))
    # The host's clock may be wrong: its newest second is when we heard of it.
    times = ring.received_ms / 1000.0 + (rows - (seconds - 1.0))
    return times.astype(np.float64), values[rows]


def figures(
    ring: HostRing, wanted: Iterable[tuple[str, dict[str, str]]],
    find: Callable[[str, dict[str, str]], list[int]] | None = None,
) -> tuple[dict[str, float], dict[str, float]]:  # fmt: skip
    """Read the newest values of series, and the sums of those that count; the greatest of several of one name.

    Args:
        wanted: names and labels.
        find: gives the columns of a series; by default every one of its name that bears the labels.
    """
    find = find or ring.columns
    now: dict[str, float] = {}
    sums: dict[str, float] = {}
    for name, labels in wanted:
        columns = np.array(find(name, labels), dtype=np.int64)
        if not len(columns):
            continue
        short = name.removeprefix("geyser_").removeprefix("solana_")
        if ring.is_count(int(columns[0])):
            sums[short] = float(np.nansum(ring.window(columns, min(WINDOW_S, ring.seconds))))
            continue
        newest = ring.newest(columns, min(LATE_S, ring.seconds))
        if np.isfinite(newest).any():
            now[short] = float(np.nanmax(newest))
    return now, sums


_OF_TOPIC = ("geyser_kafka_produce_rate",)
_OF_GROUP = ("geyser_kafka_group_up", "geyser_kafka_group_members", "geyser_kafka_rebalances")
_OF_LAG = (
    "geyser_kafka_lag_messages", "geyser_kafka_lag_max_messages", "geyser_kafka_lag_seconds",
    "geyser_kafka_consume_rate", "geyser_kafka_stalled_partitions", "geyser_kafka_uncommitted_partitions",
    "geyser_kafka_lost_messages",
)  # fmt: skip
_OF_STREAM = (
    "geyser_stream_up", "geyser_stream_silent_seconds", "geyser_slot_delay_seconds", "geyser_newest_slot",
    "geyser_missed_slots", "geyser_slot_gaps",
)  # fmt: skip
_OF_PLUGIN = (
    "geyser_plugin_loaded", "geyser_plugin_metrics_up", "geyser_plugin_dropped", "geyser_plugin_failed",
    "geyser_plugin_queue", "geyser_plugin_restarts", "geyser_newest_slot", "geyser_events_rate",
)  # fmt: skip
_OF_TABLE = ("geyser_sink_newest_slot", "geyser_sink_write_rate", "geyser_sink_commit_delay_seconds")
_OF_TABLE_MORE = ("geyser_sink_dead_ratio", "geyser_sink_parts")
_OF_SINK = (
    "geyser_sink_up", "geyser_sink_query_seconds", "geyser_sink_lock_waits", "geyser_sink_longest_transaction_seconds",
    "geyser_sink_connections_ratio", "geyser_sink_replication_lag_seconds", "geyser_sink_delayed_inserts",
    "geyser_sink_rejected_inserts", "geyser_sink_merges",
)  # fmt: skip
_OF_NODE = ("solana_validator_active", NODE_SLOT, "solana_rpc_slot_lag")


def wanted(hop: HopSettings) -> list[tuple[str, dict[str, str]]]:
    """Name the series that tell of a hop, with the labels that make them its own."""
    source = {"source": hop.source}
    topic = source | {"topic": hop.topic}
    match hop.kind:
        case "node":
            return [(name, {}) for name in _OF_NODE]
        case "plugin":
            return [(name, source) for name in _OF_PLUGIN]
        case "stream":
            # It may count transactions as well: its own rate is that of slots.
            return [*((name, source) for name in _OF_STREAM), ("geyser_events_rate", source | {"kind": "slot"})]
        case "topic":
            return [("geyser_kafka_up", source), *((name, topic) for name in _OF_TOPIC)]
        case "consumer":
            group = source | {"group": hop.group}
            of_group = [(name, group) for name in _OF_GROUP]
            of_lag = [(name, group | {"topic": hop.topic}) for name in _OF_LAG]
            return [("geyser_kafka_up", source), *of_group, *of_lag, *((name, topic) for name in _OF_TOPIC)]
        case "sink":
            table = source | {"table": hop.table}
            return [*((name, source) for name in _OF_SINK), *((name, table) for name in (*_OF_TABLE, *_OF_TABLE_MORE))]
