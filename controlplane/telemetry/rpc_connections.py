"""Reports on how the probes are connected to each node, made from the live ring."""

import time

import numpy as np
from solward.rpc.v1 import rpc_pb2 as pb

from common.clock import now_ms
from common.names import host_name
from controlplane.telemetry.ingest import HostFeed, Ingest
from controlplane.telemetry.live import Floats
from controlplane.telemetry.rpc_report import DEFAULT_WINDOW, whole

# A state that was not told of for longer is not known.
FRESH_SECONDS = 10


def connections(ingest: Ingest, host: str, window_s: int) -> pb.Connections:
    """Report the connections of the probes.

    Args:
        ingest: where the hosts' feeds are.
        host: a host's id, or empty for all.
        window_s: how many seconds back; 0 means 60.
    """
    window_s = window_s or DEFAULT_WINDOW
    found = pb.Connections(window_seconds=window_s)
    found.time.FromNanoseconds(time.time_ns())
    for name in sorted(ingest.feeds) if not host else [host]:
        feed = ingest.feeds.get(name)
        if feed and feed.ring.newest_second:
            found.nodes.append(_Seen(feed, window_s).node(name))
    return found


class _Seen:
    """What one host's ring shows within a window."""

    def __init__(self, feed: HostFeed, window_s: int) -> None:
        self._ring, self._window_s = feed.ring, window_s

    def node(self, host: str) -> pb.NodeConnections:
        node = pb.NodeConnections(host=host_name(host), pool=self._pool(), not_offered=self._not_offered())
        node.age_seconds = max(0.0, (now_ms() - self._ring.received_ms) / 1000)
        if self._latest("solana_ws_up") is not None:
            node.subscription.CopyFrom(self._subscription())
        if self._latest("solana_rpc_monitor_reliable") is not None:
            node.reference.CopyFrom(self._reference())
        return node

    def _pool(self) -> pb.ConnectionPool:
        connects = self._all("solana_rpc_connect_seconds")
        return pb.ConnectionPool(
            idle=_whole(self._latest("solana_rpc_connections", state="idle")),
            busy=_whole(self._latest("solana_rpc_connections", state="busy")),
            opened=_whole(self._all("solana_rpc_connections_opened").sum()),
            dropped=_whole(self._all("solana_rpc_connections_dropped").sum()),
            connect_p50_ms=_percentile(connects, 50) * 1000,
            connect_p99_ms=_percentile(connects, 99) * 1000,
            errors=self._counts("solana_rpc_connect_errors", "class"),
        )

    def _subscription(self) -> pb.SlotSubscription:
        gaps, delays = self._all("solana_ws_gap_seconds"), self._all("solana_ws_delay_seconds")
        return pb.SlotSubscription(
            up=self._latest("solana_ws_up") == 1.0,
            slots=_whole(self._all("solana_ws_slots").sum()),
            missed=_whole(self._all("solana_ws_missed_slots").sum()),
            gap_p50_ms=_percentile(gaps, 50) * 1000,
            gap_max_ms=_percentile(gaps, 100) * 1000,
            delay_p50_ms=_percentile(delays, 50) * 1000,
            delay_p99_ms=_percentile(delays, 99) * 1000,
            errors=self._counts("solana_ws_errors", "class"),
        )

    def _reference(self) -> pb.ReferenceLag:
        reliable = self._latest("solana_rpc_monitor_reliable") == 1.0
        return pb.ReferenceLag(
            reliable=reliable,
            slot=_whole(self._latest("solana_rpc_slot")),
            reference_slot=_whole(self._latest("solana_rpc_reference_slot")) if reliable else 0,
            lag_slots=_whole(self._latest("solana_rpc_slot_lag")) if reliable else 0,
            errors=self._counts("solana_rpc_reference_errors", "reference", "class"),
        )

    def _not_offered(self) -> list[str]:
        named = {dict(labels).get("method", ""): column for (name, labels), column in self._ring.series
                 if name == "solana_rpc_not_offered"}  # fmt: skip
        # Each is told of once in its period, which may be long.
        return sorted(method for method, column in named.items() if len(self._column(column, self._window_s)))

    def _counts(self, name: str, *labels: str) -> dict[str, int]:
        """Sum what was counted, by the values of labels."""
        found: dict[str, int] = {}
        for (series, pairs), column in self._ring.series:
            if series == name and (count := _whole(self._column(column, self._window_s).sum())):
                found[":".join(dict(pairs).get(label, "") for label in labels)] = count
        return found

    def _all(self, name: str) -> Floats:
        columns = self._ring.columns(name, {})
        return self._column(columns[0], self._window_s) if columns else np.empty(0)

    def _latest(self, name: str, **labels: str) -> float | None:
        columns = self._ring.columns(name, labels)
        values = self._column(columns[0], FRESH_SECONDS) if columns else np.empty(0)
        return float(values[-1]) if len(values) else None

    def _column(self, column: int, seconds: int) -> Floats:
        values = self._ring.window([column], seconds)[:, 0]
        return values[~np.isnan(values)]


def _percentile(values: Floats, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else 0.0


def _whole(value: float | np.floating | None) -> int:
    return 0 if value is None else whole(float(value))
