"""What live topics tell, from the live ring, the scores and the book of alerts."""

import asyncio
import math
from collections.abc import Callable
from time import monotonic

import numpy as np
from solward.alerts.v1 import alerts_pb2
from solward.metrics.v1 import topics_pb2 as pb

from common.clock import now_ms
from common.names import host_id, host_name
from controlplane.telemetry.analysis import Analysis
from controlplane.telemetry.health_report import health
from controlplane.telemetry.ingest import HostFeed, Ingest
from controlplane.telemetry.live import Floats
from controlplane.telemetry.rpc_report import ERRORS, REQUESTS
from controlplane.telemetry.sums import LATENCY
from controlplane.telemetry.topics import Make, Topic, View

# How far back a method's figures look, and a host's of the fleet, in seconds.
RPC_SECONDS, FLEET_SECONDS = 30, 10
MOST_HOSTS, MOST_ALERTS = 500, 100
# A host's row is good for all who look within this time.
_ROW_S = 0.9
# So many hosts are looked at before others have the loop.
_AT_ONCE = 20


class TopicMakers:
    """Makes what topics tell.

    Args:
        ingest: the hosts' live samples.
        analysis: their scores.
        firing: the alerts that fire.
    """

    def __init__(self, ingest: Ingest, analysis: Analysis, firing: Callable[[], dict[str, alerts_pb2.Alert]]) -> None:
        self._ingest = ingest
        self._analysis = analysis
        self._firing = firing
        self._rows: dict[str, tuple[float, pb.HostNow]] = {}

    def by_kind(self) -> dict[str, Make]:
        """Give the maker of each kind of topic."""
        return {"fleet": self._fleet, "alerts": self._alerts, "rpc": self._rpc, "score": self._score}

    async def _fleet(self, topic: Topic, view: View) -> pb.TopicFrame:
        rows = []
        for place, host in enumerate(list(self._ingest.feeds)):
            if place % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            feed = self._ingest.feeds.get(host)
            if feed and feed.ring.newest_second and view.sees("fleet", host_name(host)):
                rows.append(self._row(host, feed))
        for gone in self._rows.keys() - self._ingest.feeds.keys():
            del self._rows[gone]
        now = pb.FleetNow(host_count=len(rows), requests_per_second=sum(row.requests_per_second for row in rows))
        if now.requests_per_second:
            failed = sum(row.requests_per_second * row.error_rate for row in rows)
            now.error_rate = failed / now.requests_per_second
        if scores := [row.score for row in rows if row.HasField("score")]:
            now.score = sum(scores) / len(scores)
        rows.sort(key=lambda row: (row.score if row.HasField("score") else math.inf, row.host))
        now.hosts.extend(rows[:MOST_HOSTS])
        return pb.TopicFrame(fleet=now)

    def _row(self, host: str, feed: HostFeed) -> pb.HostNow:
        made, row = self._rows.get(host, (-math.inf, pb.HostNow()))
        if monotonic() - made < _ROW_S:
            return row
        ring = feed.ring
        row = pb.HostNow(host=host_name(host), age_seconds=_age(feed))
        latency = ring.window(ring.columns(LATENCY, {}), FLEET_SECONDS)
        latency = latency[np.isfinite(latency)]
        if len(latency):
            row.p50_ms, row.p99_ms = _rounded(np.percentile(latency, (50, 99)) * 1000)
        asked = _total(ring.window(ring.columns(REQUESTS, {}), FLEET_SECONDS))
        failed = _total(ring.window(ring.columns(ERRORS, {}), FLEET_SECONDS))
        row.requests_per_second = round(asked / FLEET_SECONDS, 3)
        row.error_rate = round(min(1.0, failed / asked), 4) if asked else 0.0
        scores = self._analysis.scores.get(host)
        if scores and math.isfinite(scores.whole.mean):
            row.score = round(scores.whole.mean, 2)
        self._rows[host] = (monotonic(), row)
        return row

    async def _rpc(self, topic: Topic, view: View) -> pb.TopicFrame:
        now = pb.RpcNow(host=topic.host, window_seconds=RPC_SECONDS)
        feed = self._ingest.feeds.get(host_id(topic.host))
        if feed and feed.ring.newest_second:
            now.sample_time.FromSeconds(feed.ring.newest_second)
            now.age_seconds = _age(feed)
            methods: dict[str, pb.MethodNow] = {}
            self._latencies(feed, methods)
            self._rates(feed, methods)
            now.methods.extend(methods[name] for name in sorted(methods))
        return pb.TopicFrame(rpc=now)

    def _latencies(self, feed: HostFeed, methods: dict[str, pb.MethodNow]) -> None:
        for (series, labels), column in feed.ring.series:
            if series != LATENCY:
                continue
            values = feed.ring.window([column], RPC_SECONDS)[:, 0]
            values = values[np.isfinite(values)] * 1000
            row = _method(methods, dict(labels).get("method", ""))
            if len(values):
                row.last_ms = round(float(values[-1]), 3)
                row.p50_ms, row.p90_ms, row.p99_ms = _rounded(np.percentile(values, (50, 90, 99)))

    def _rates(self, feed: HostFeed, methods: dict[str, pb.MethodNow]) -> None:
        keys = [(key, column) for key, column in feed.ring.series if key[0] in (REQUESTS, ERRORS)]
        if not keys:
            return
        totals = np.nansum(feed.ring.window([column for _, column in keys], RPC_SECONDS), axis=0)
        failed: dict[str, float] = {}
        for ((series, labels), _), total in zip(keys, totals.tolist(), strict=True):
            named = dict(labels)
            method = named.get("method", "")
            rate = round(max(0.0, total) / RPC_SECONDS, 3)
            if series == REQUESTS:
                _method(methods, method).requests_per_second += rate
            elif rate:
                _method(methods, method).errors_per_second[named.get("class", "")] += rate
                failed[method] = failed.get(method, 0.0) + rate
        for method, rate in failed.items():
            row = methods[method]
            row.error_rate = round(min(1.0, rate / row.requests_per_second), 4) if row.requests_per_second else 0.0

    async def _score(self, topic: Topic, view: View) -> pb.TopicFrame:
        found = health(self._analysis, host_id(topic.host)).hosts
        frame = pb.TopicFrame()
        if found:
            frame.score.CopyFrom(found[0])
        else:
            frame.score.host = topic.host
        return frame

    async def _alerts(self, topic: Topic, view: View) -> pb.TopicFrame:
        seen = [alert for alert in self._firing().values() if not alert.silence and view.sees("alerts", alert.host)]
        seen.sort(key=lambda alert: (-alert.severity, alert.fire_time.ToMilliseconds(), alert.name))
        return pb.TopicFrame(alerts=pb.AlertsNow(firing_count=len(seen), alerts=seen[:MOST_ALERTS]))


def _method(methods: dict[str, pb.MethodNow], name: str) -> pb.MethodNow:
    return methods.setdefault(name, pb.MethodNow(method=name))


def _age(feed: HostFeed) -> float:
    return max(0.0, round((now_ms() - feed.ring.received_ms) / 1000, 3))


def _total(block: Floats) -> float:
    return max(0.0, float(np.nansum(block)))


def _rounded(values: Floats) -> list[float]:
    return [round(value, 3) for value in values.tolist()]
