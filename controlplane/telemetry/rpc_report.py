"""Reports on RPC methods, made from the live ring."""

import time

import numpy as np
from numpy.typing import NDArray
from solward.rpc.v1 import rpc_pb2

from common.clock import now_ms
from common.names import host_name
from controlplane.telemetry.ingest import HostFeed, Ingest
from controlplane.telemetry.sums import LATENCY

REQUESTS = "solana_rpc_requests"
ERRORS = "solana_rpc_errors"
CONNECT = "solana_rpc_connect_seconds"
RECENT_SECONDS = 30
DEFAULT_WINDOW = 60
# What recent_ms says of a second without a latency.
UNANSWERED, NOT_ASKED = -1.0, -2.0
MOST = 2**53


def report(ingest: Ingest, host: str, method: str, window_s: int) -> rpc_pb2.Metrics:
    """Report latency and errors.

    Args:
        ingest: where the hosts' feeds are.
        host: a host's id, or empty for all.
        method: a JSON-RPC method, or empty for all.
        window_s: how many seconds back; 0 means 60.
    """
    window_s = window_s or DEFAULT_WINDOW
    metrics = rpc_pb2.Metrics(window_seconds=window_s)
    metrics.time.FromNanoseconds(time.time_ns())
    for name in sorted(ingest.feeds) if not host else [host]:
        feed = ingest.feeds.get(name)
        if feed and feed.ring.newest_second:
            _host_rows(metrics, name, feed, method, window_s)
    return metrics


def _host_rows(metrics: rpc_pb2.Metrics, host: str, feed: HostFeed, method: str, window_s: int) -> None:
    columns: dict[str, dict[str, int]] = {}
    for (series, labels), column in feed.ring.series:
        named = dict(labels)
        if series in (LATENCY, REQUESTS):
            columns.setdefault(named.get("method", ""), {})[series] = column
        elif series == ERRORS:
            columns.setdefault(named.get("method", ""), {})["error:" + named.get("class", "")] = column
        elif series == CONNECT:
            _connect_row(metrics, host, feed, column, window_s)
    for name in sorted(columns):
        if not method or name == method:
            metrics.methods.append(_method_row(host, name, feed, columns[name], window_s))


def _method_row(
    host: str, method: str, feed: HostFeed, columns: dict[str, int], window_s: int
) -> rpc_pb2.MethodMetrics:
    row = rpc_pb2.MethodMetrics(host=host_name(host), method=method)
    names = list(columns)
    block = feed.ring.window([columns[name] for name in names], window_s)
    for index, name in enumerate(names):
        values = block[:, index]
        present = values[~np.isnan(values)]
        if name == LATENCY and len(present):
            row.last_ms = float(present[-1]) * 1000
            row.p50_ms, row.p95_ms, row.p99_ms = (np.percentile(present, (50, 95, 99)) * 1000).tolist()
        elif name == REQUESTS:
            row.requests = _count(present)
        elif name.startswith("error:") and present.sum():
            row.errors[name.removeprefix("error:")] = _count(present)
    if row.requests:
        row.error_rate = min(1.0, sum(row.errors.values()) / row.requests)
    row.recent_ms.extend(_recent(feed, columns))
    return row


def whole(value: float) -> int:
    """Make a whole number of what an agent sent: it need not be one, and a row of a report must not fail for it."""
    return int(min(max(value, -MOST), MOST))


def _count(values: NDArray[np.float64]) -> int:
    return max(0, whole(float(values.sum())))


def _recent(feed: HostFeed, columns: dict[str, int]) -> list[float]:
    wanted = [columns.get(LATENCY, -1), columns.get(REQUESTS, -1)]
    if -1 in wanted:
        return []
    latency, requests = feed.ring.window(wanted, RECENT_SECONDS).T
    unanswered = np.where(np.isnan(requests), NOT_ASKED, UNANSWERED)
    recent: list[float] = np.where(np.isnan(latency), unanswered, latency * 1000).tolist()
    return recent


def _connect_row(metrics: rpc_pb2.Metrics, host: str, feed: HostFeed, column: int, window_s: int) -> None:
    values = feed.ring.window([column], window_s)[:, 0]
    present = values[~np.isnan(values)]
    row = metrics.connects.add(host=host_name(host))
    row.age_seconds = max(0.0, (now_ms() - feed.ring.received_ms) / 1000)
    if len(present):
        row.p50_ms, row.p99_ms = (np.percentile(present, (50, 99)) * 1000).tolist()
