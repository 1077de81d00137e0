"""Ingest: where every batch arrives; it fills the live ring and feeds the exporters."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from prometheus_client import Counter
from solward.hosts.v1 import link_pb2

from common.clock import now_ms
from controlplane.telemetry.live import HostRing, SeriesKey
from controlplane.telemetry.store.keeper import Keeper
from controlplane.telemetry.store.model import SampleStore
from controlplane.telemetry.sums import LATENCY, ColumnRows, LatencyHistograms, Totals

# How far ahead of ours an agent's clock is believed.
AHEAD_MS = 60_000

# An agent's clock that goes back by more than this was set back, and is believed.
STEPPED_BACK_S = 5

# Methods of one host that have a histogram, and label sets of one host that are totalled.
MAX_METHODS = 128
MAX_TOTALS = 512

# Counts that are totalled for Prometheus, with the labels that matter.
TOTALLED = {"solana_rpc_requests": ("method",), "solana_rpc_errors": ("method", "class")}
# Of these everything is shown, with all its labels.
SHOWN = (
    "solana_validator_", "solana_log_", "solana_metrics_", "solana_ws_", "solana_rpc_connect", "solana_rpc_slot",
    "solana_rpc_reference_", "solana_rpc_monitor_", "solana_rpc_not_offered", "solana_rpc_skipped", "node_",
    "solward_agent_", "jito_region_", "jito_results_", "jito_limiter_", "jito_sends", "jito_foreign_",
    "jito_canary_sends", "jito_canary_spent_",
    "geyser_kafka_", "geyser_events_rate", "geyser_newest_slot", "geyser_slot_", "geyser_missed_", "geyser_stream_",
    "geyser_plugin_", "geyser_sink_", "geyser_errors",
)  # fmt: skip

# What the control plane makes itself; from an agent it is not stored.
OWN = ("solana_rpc_health_score", "solana_rpc_host_health_score", "solana_rpc_fleet_health_score")

_SAMPLES = Counter("solward_ingest_samples", "Samples that arrived.")
_BATCHES = Counter("solward_ingest_batches", "Batches that arrived, by what became of them.", ("outcome",))
_STEPS = Counter("solward_ingest_clock_steps", "Times that a host's clock was set back.")


@dataclass(slots=True)
class HostFeed:
    """What the control plane holds of one host's telemetry.

    Attributes:
        spool_id: the agent's spool that sequence numbers count within.
        sequence: the greatest number such that it and all before it arrived.
        ring: the live samples.
        latencies: the columns of the ring that have a histogram.
        totals: the columns of the ring that are totalled.
        stored: the columns of the ring that are stored, by id.
    """

    ring: HostRing
    spool_id: str = ""
    sequence: int = 0
    latencies: ColumnRows = field(default_factory=ColumnRows)
    totals: ColumnRows = field(default_factory=ColumnRows)
    stored: ColumnRows = field(default_factory=ColumnRows)


class Ingest:
    """Takes batches in, each once, in whatever order streams bring them.

    Args:
        live_seconds: how far back the live ring reaches.
        native_histograms: count latencies into exponential buckets too.
    """

    def __init__(self, live_seconds: int, native_histograms: bool = False) -> None:
        self._live_seconds = live_seconds
        self.feeds: dict[str, HostFeed] = {}
        self.histograms = LatencyHistograms(native_histograms)
        self.totals = Totals()
        self.store: SampleStore | None = None
        self.unkept = ""
        self._keeper: Keeper | None = None
        # Whoever else holds something of a host: told its id when it is cut off.
        self.forgetters: list[Callable[[str], None]] = []

    def keep(self, store: SampleStore, keeper: Keeper) -> None:
        """Store samples from now on; before any stream begins."""
        self.store, self._keeper = store, keeper

    def record(self, unix_ms: int, rows: Iterable[tuple[str, SeriesKey, float]]) -> None:
        """Store what the control plane itself found out, where samples are stored.

        Args:
            unix_ms: when.
            rows: host, series and value of each.
        """
        if self._keeper is None:
            return
        found = [(self._keeper.define(host, name, dict(labels)), value) for host, (name, labels), value in rows]
        kept = [(number, value) for number, value in found if number is not None]
        numbers, values = np.array([one[0] for one in kept], dtype=np.int32), np.array([one[1] for one in kept])
        self._keeper.put(unix_ms, numbers, values)

    def open(self, host: str, hello: link_pb2.Hello) -> int:
        """Begin a stream of a host; give the sequence number after which it should resume."""
        feed = self.feeds.setdefault(host, HostFeed(HostRing(self._live_seconds)))
        if feed.spool_id != hello.spool_id:
            feed.spool_id = hello.spool_id
            feed.sequence = 0
        # What the agent no longer holds cannot be waited for.
        feed.sequence = max(feed.sequence, hello.first_sequence - 1)
        feed.ring.forget_ids()
        return feed.sequence

    def samples(self, host: str, batch: link_pb2.SampleBatch) -> int:
        """Take in a sample batch; give the sequence number to acknowledge."""
        feed = self.feeds[host]
        # Definitions count even in a batch that came before: later batches speak of its ids.
        for definition in batch.definitions:
            self._define(host, feed, definition)
        if not _is_next(feed, batch.sequence):
            return feed.sequence
        now = now_ms()
        # A clock that is ahead must not reserve the time until ours has caught up.
        batch.unix_ms = min(batch.unix_ms, now + AHEAD_MS)
        second = batch.unix_ms // 1000
        if second < feed.ring.newest_second - STEPPED_BACK_S:
            # Batches come in the order in which they were made, so this is no late one: the clock was set back.
            _STEPS.inc()
            feed.ring.rewind(second)
        columns, values = feed.ring.write(batch, now)
        _SAMPLES.inc(len(batch.values))
        self.histograms.observe(*feed.latencies.pick(columns, values))
        self.totals.add(*feed.totals.pick(columns, values))
        if self._keeper:
            self._keeper.put(batch.unix_ms, *feed.stored.pick(columns, values))
        return feed.sequence

    def events(self, host: str, batch: link_pb2.EventBatch) -> int:
        """Take in an event batch; give the sequence number to acknowledge."""
        feed = self.feeds[host]
        _is_next(feed, batch.sequence)
        return feed.sequence

    def forget(self, host: str) -> None:
        """Drop what is held of a host that was cut off."""
        self.feeds.pop(host, None)
        self.histograms.forget_host(host)
        self.totals.forget_host(host)
        for forget in self.forgetters:
            forget(host)

    def _define(self, host: str, feed: HostFeed, definition: link_pb2.SeriesDefinition) -> None:
        key = feed.ring.define(definition)
        if key is None:
            return
        column = feed.ring.column(key)
        keeper = None if key[0] in OWN else self._keeper
        if keeper and (number := keeper.define(host, key[0], dict(key[1]))) is not None:
            feed.stored.set(column, number)
        labels = definition.labels
        if definition.name == LATENCY and "method" in labels and feed.latencies.count < MAX_METHODS:
            feed.latencies.set(feed.ring.column(key), self.histograms.row(host, labels["method"]))
        elif definition.name in TOTALLED and feed.totals.count < MAX_TOTALS:
            values = tuple(labels.get(label, "") for label in TOTALLED[definition.name])
            feed.totals.set(feed.ring.column(key), self.totals.row(host, definition.name, values))
        elif definition.counts and definition.name.startswith(SHOWN) and feed.totals.count < MAX_TOTALS:
            pairs = tuple(part for pair in key[1] for part in pair)
            feed.totals.set(feed.ring.column(key), self.totals.row(host, definition.name, pairs))


def _is_next(feed: HostFeed, sequence: int) -> bool:
    if sequence <= feed.sequence:
        _BATCHES.labels("duplicate").inc()
        return False
    # Streams are ordered, so a gap means that the agent dropped what lay between, and counted it.
    feed.sequence = sequence
    _BATCHES.labels("new").inc()
    return True
