"""The page's families as OTLP: the same numbers, cumulative, in requests that a collector takes."""

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from controlplane.telemetry.fleet_page import Family, HostLayout, Line, Seen
from controlplane.telemetry.live import Floats, HostRing
from controlplane.telemetry.otlp.metrics import MOST_BYTES, MOST_POINTS, requests
from controlplane.telemetry.otlp.resource import own_resource
from controlplane.telemetry.sums import BOUNDS
from tests.peers.otlp import plain

RESOURCE = own_resource("test")


def seen(hosts: int = 0, series: int = 0) -> Seen:
    family = Family("solana_rpc_slot", "gauge")
    counts = np.arange(len(BOUNDS) + 1, dtype=np.int64).reshape(1, -1)
    made: dict[str, tuple[HostLayout, Floats]] = {}
    none = np.array([], dtype=np.int64)
    for number in range(hosts):
        host = ("host", f"h{number}")
        lines = [Line(family, family.name, (host, ("method", f"m{one}"))) for one in range(series)]
        total = Line(Family("solana_rpc_requests", "counter"), "solana_rpc_requests_total", (host,))
        first = number == 0
        layout = HostLayout(
            HostRing(900), 0, none, none, np.array([0] if first else [], dtype=np.int64),
            [*lines, total] if first else lines, [], np.array([0] if first else [], dtype=np.int64),
            [(host, ("method", "getSlot"))] if first else [],
        )  # fmt: skip
        made[f"h{number}"] = (layout, np.arange(series, dtype=np.float64))
    return Seen(made, counts, np.array([1.5]), np.array([7.0]), None)


def read(made: list[tuple[bytes, int]]) -> dict[str, list[Metric]]:
    found: dict[str, list[Metric]] = {}
    for body, _ in made:
        for whole in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for metric in whole.scope_metrics[0].metrics:
                found.setdefault(metric.name, []).append(metric)
    return found


def test_the_library_s_own_families_keep_their_numbers() -> None:
    registry = CollectorRegistry()
    Gauge("level", "How high.", ("tank",), registry=registry).labels("a").set(1.5)
    Counter("runs", "How often.", registry=registry).inc(3)
    took = Histogram("took_seconds", "How long.", ("what",), registry=registry, buckets=(1, 2))
    for value in (0.5, 1.5, 1.7, 9):
        took.labels("x").observe(value)
    found = read(list(requests(RESOURCE, seen(), registry.collect())))
    (level,) = found["level"][0].gauge.data_points
    assert (level.as_double, plain(level.attributes), level.start_time_unix_nano) == (1.5, {"tank": "a"}, 0)
    runs = found["runs_total"][0].sum
    assert (runs.is_monotonic, runs.aggregation_temporality) == (True, AGGREGATION_TEMPORALITY_CUMULATIVE)
    assert runs.data_points[0].as_double == 3
    assert 0 < runs.data_points[0].start_time_unix_nano <= runs.data_points[0].time_unix_nano
    (point,) = found["took_seconds"][0].histogram.data_points
    assert list(point.bucket_counts) == [1, 2, 1]
    assert list(point.explicit_bounds) == [1, 2]
    assert (point.count, point.sum, plain(point.attributes)) == (4, 12.7, {"what": "x"})
    assert found["took_seconds"][0].description == "How long."


def test_the_fleet_s_figures_name_their_hosts() -> None:
    found = read(list(requests(RESOURCE, seen(2, 2), [])))
    points = [plain(point.attributes) for point in found["solana_rpc_slot"][0].gauge.data_points]
    assert points == [{"host": f"h{host}", "method": f"m{method}"} for host in (0, 1) for method in (0, 1)]
    latency = found["solana_rpc_latency_seconds"][0].histogram.data_points[0]
    assert list(latency.bucket_counts) == list(range(len(BOUNDS) + 1))
    assert latency.count == sum(latency.bucket_counts)
    (total,) = found["solana_rpc_requests_total"][0].sum.data_points
    assert total.as_double == 7


def test_a_thousand_hosts_come_in_parts() -> None:
    made = list(requests(RESOURCE, seen(1000, 50), []))
    assert sum(points for _, points in made) == 50_002
    assert max(points for _, points in made) <= MOST_POINTS
    assert max(len(body) for body, _ in made) < MOST_BYTES + 100_000
