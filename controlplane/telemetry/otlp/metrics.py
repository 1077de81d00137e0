"""Metrics: the families of the Prometheus page as OTLP requests, made a part at a time."""

import math
import time
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.sdk.resources import Resource
from prometheus_client.core import Metric

from controlplane.telemetry.fleet_page import LATENCY_HELP, Seen
from controlplane.telemetry.otlp.resource import SCHEMA, on_wire
from controlplane.telemetry.sums import BOUNDS, LATENCY

# A metric: its name, what it tells, its kind, and its points.
Point = pb.NumberDataPoint | pb.HistogramDataPoint
Piece = tuple[str, str, str, Point]

# Of one request: the collector takes 4 MB, and a thread that makes more at once holds the loop up.
MOST_POINTS = 500
MOST_BYTES = 3_000_000
CUMULATIVE = pb.AGGREGATION_TEMPORALITY_CUMULATIVE
_SCOPE = InstrumentationScope(name="solward")
_STARTED_NS = time.time_ns()


def requests(resource: Resource, seen: Seen, families: Iterable[Metric]) -> Iterator[tuple[bytes, int]]:
    """Make requests of what the page shows, each with the number of its points.

    Names are those of the page, counters' `_total` included, so that a query finds a metric by either way.

    Args:
        resource: this control plane; a point's host is its attribute, as on the page.
        seen: the fleet's figures.
        families: all others.
    """
    now = time.time_ns()
    request, metrics, points, size = _empty(resource), dict[tuple[str, str], pb.Metric](), 0, 0
    for name, what, kind, point in chain(_of_families(families, now), _of_fleet(seen, now)):
        if points >= MOST_POINTS or size >= MOST_BYTES:
            yield request.SerializeToString(), points
            request, metrics, points, size = _empty(resource), {}, 0, 0
        metric = metrics.get((name, kind))
        if metric is None:
            made = request.resource_metrics[0].scope_metrics[0].metrics.add(name=name, description=what)
            metric = metrics[name, kind] = made
        _add(metric, kind, point)
        points, size = points + 1, size + point.ByteSize()
    if points:
        yield request.SerializeToString(), points


def _empty(resource: Resource) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    whole = request.resource_metrics.add(resource=on_wire(resource), schema_url=SCHEMA)
    whole.scope_metrics.add(scope=_SCOPE, schema_url=SCHEMA)
    return request


def _add(metric: pb.Metric, kind: str, point: Point) -> None:
    if isinstance(point, pb.HistogramDataPoint):
        metric.histogram.aggregation_temporality = CUMULATIVE
        metric.histogram.data_points.append(point)
    elif kind == "counter":
        metric.sum.aggregation_temporality, metric.sum.is_monotonic = CUMULATIVE, True
        metric.sum.data_points.append(point)
    else:
        metric.gauge.data_points.append(point)


def _attributes(labels: Iterable[tuple[str, str]]) -> list[KeyValue]:
    made = []
    for key, value in labels:
        pair = KeyValue(key=key)
        pair.value.string_value = value
        made.append(pair)
    return made


def _number(labels: Iterable[tuple[str, str]], value: float, now: int, start: int = 0) -> pb.NumberDataPoint:
    return pb.NumberDataPoint(
        attributes=_attributes(labels), as_double=value, time_unix_nano=now, start_time_unix_nano=start
    )


def _of_fleet(seen: Seen, now: int) -> Iterator[Piece]:
    bounds = BOUNDS.tolist()
    for host, (layout, _) in seen.hosts.items():
        for line, value in zip(layout.lines, seen.values(host).tolist(), strict=True):
            if not math.isnan(value):
                kind = line.family.kind
                start = _STARTED_NS if kind == "counter" else 0
                yield line.name, line.family.what, kind, _number(line.labels, value, now, start)
        rows, seconds = seen.counts[layout.rows].tolist(), seen.seconds[layout.rows].tolist()
        for labels, counts, total in zip(layout.methods, rows, seconds, strict=True):
            if any(counts):
                point = _histogram(labels, bounds, counts, total, now, _STARTED_NS)
                yield LATENCY, LATENCY_HELP, "histogram", point


def _histogram(
    labels: Iterable[tuple[str, str]], bounds: list[float], counts: list[int], total: float, now: int, start: int
) -> pb.HistogramDataPoint:
    return pb.HistogramDataPoint(
        attributes=_attributes(labels), explicit_bounds=bounds, bucket_counts=counts, count=sum(counts), sum=total,
        time_unix_nano=now, start_time_unix_nano=start,
    )  # fmt: skip


def _of_families(families: Iterable[Metric], now: int) -> Iterator[Piece]:
    for family in families:
        if family.type == "histogram":
            for whole in _histograms_of(family, now):
                yield family.name, family.documentation, "histogram", whole
            continue
        created = {
            _key(sample.labels): int(sample.value * 1e9)
            for sample in family.samples
            if sample.name.endswith("_created")
        }
        for sample in family.samples:
            if sample.name.endswith("_created") or math.isnan(sample.value):
                continue
            grows = family.type == "counter" or (family.type == "summary" and sample.name.endswith(("_sum", "_count")))
            kind = "counter" if grows else "gauge"
            start = created.get(_key(sample.labels), _STARTED_NS) if grows else 0
            point = _number(sample.labels.items(), sample.value, now, start)
            yield sample.name, family.documentation, kind, point


def _key(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, value) for key, value in labels.items() if key != "le"))


def _histograms_of(family: Metric, now: int) -> Iterator[pb.HistogramDataPoint]:
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, int]]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    starts: dict[tuple[tuple[str, str], ...], int] = {}
    for sample in family.samples:
        key = _key(sample.labels)
        if sample.name.endswith("_bucket"):
            buckets.setdefault(key, []).append((float(sample.labels["le"]), int(sample.value)))
        elif sample.name.endswith("_sum"):
            sums[key] = sample.value
        elif sample.name.endswith("_created"):
            starts[key] = int(sample.value * 1e9)
    for key, found in buckets.items():
        found.sort()
        cumulative = [count for _, count in found]
        counts = [cumulative[0], *(after - before for before, after in pairwise(cumulative))]
        bounds = [bound for bound, _ in found if not math.isinf(bound)]
        yield _histogram(key, bounds, counts, sums.get(key, 0.0), now, starts.get(key, _STARTED_NS))
