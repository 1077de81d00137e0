"""Reports on RPC methods: percentiles, errors, and what a missing second means."""

import numpy as np
import pytest
from solward.hosts.v1 import link_pb2
from solward.rpc.v1 import rpc_pb2

from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.rpc_report import CONNECT, ERRORS, REQUESTS, report
from controlplane.telemetry.sums import LATENCY

SERIES = [
    (LATENCY, {"method": "getSlot"}),
    (REQUESTS, {"method": "getSlot"}),
    (ERRORS, {"method": "getSlot", "class": "timeout"}),
    (LATENCY, {"method": "getBlock"}),
    (REQUESTS, {"method": "getBlock"}),
    (CONNECT, {}),
]


def filled(rows: list[dict[int, float]], host: str = "sol-1", ingest: Ingest | None = None) -> Ingest:
    """One row a second: values by the place of their series."""
    ingest = ingest or Ingest(120)
    ingest.open(host, link_pb2.Hello(spool_id="a" * 32))
    definitions = [
        link_pb2.SeriesDefinition(id=place, name=name, labels=labels) for place, (name, labels) in enumerate(SERIES)
    ]
    for second, row in enumerate(rows, 1):
        ingest.samples(
            host,
            link_pb2.SampleBatch(
                sequence=second, unix_ms=second * 1000, definitions=definitions, series=row.keys(), values=row.values()
            ),
        )
    return ingest


def slot(metrics: rpc_pb2.Metrics) -> rpc_pb2.MethodMetrics:
    return next(row for row in metrics.methods if row.method == "getSlot")


def test_percentiles_are_those_of_the_window() -> None:
    values = [0.001 * number for number in range(1, 101)]
    metrics = report(filled([{0: value, 1: 1} for value in values]), "", "", 50)
    row, wanted = slot(metrics), np.percentile(values[-50:], (50, 95, 99)) * 1000
    assert (row.p50_ms, row.p95_ms, row.p99_ms) == pytest.approx(tuple(wanted), rel=1e-5)
    assert row.last_ms == pytest.approx(100, rel=1e-5)
    assert (row.requests, metrics.window_seconds) == (50, 50)


def test_errors_are_counted_by_class_and_their_rate_is_a_share() -> None:
    row = slot(report(filled([{0: 0.01, 1: 1}] * 3 + [{1: 1, 2: 1}]), "", "", 0))
    assert (dict(row.errors), row.error_rate, row.requests) == ({"timeout": 1}, 0.25, 4)


def test_recent_tells_unanswered_from_not_asked() -> None:
    recent = list(slot(report(filled([{0: 0.01, 1: 1}, {1: 1, 2: 1}, {3: 0.5}, {0: 0.02, 1: 1}]), "", "", 0)).recent_ms)
    assert len(recent) == 30
    assert recent[:26] == [-2.0] * 26
    assert recent[26:] == pytest.approx([10, -1, -2, 20], rel=1e-5)


def test_rows_are_in_order_and_filtered_by_host_and_method() -> None:
    ingest = filled([{0: 0.01, 1: 1, 3: 0.2, 4: 1}], "b")
    filled([{0: 0.01, 1: 1}], "a", ingest)
    assert [(row.host, row.method) for row in report(ingest, "", "", 0).methods] == [
        ("hosts/a", "getBlock"),
        ("hosts/a", "getSlot"),
        ("hosts/b", "getBlock"),
        ("hosts/b", "getSlot"),
    ]
    assert [(row.host, row.method) for row in report(ingest, "b", "getSlot", 0).methods] == [("hosts/b", "getSlot")]
    assert not report(ingest, "nobody", "", 0).methods


def test_connects_have_a_row_a_host_and_an_age() -> None:
    (row,) = report(filled([{5: 0.003}, {5: 0.005}]), "", "", 0).connects
    assert row.p50_ms == pytest.approx(4, rel=1e-5)
    assert 0 <= row.age_seconds < 60


def test_host_without_a_sample_is_left_out() -> None:
    assert not report(filled([]), "", "", 0).methods


@pytest.mark.parametrize("odd", [1e300, -1e300, 1e15, -1e15, float("inf"), float("nan")])
def test_a_sample_that_no_probe_would_send_does_not_break_the_report(odd: float) -> None:
    metrics = report(filled([{0: 0.01, 1: 1, 2: 1}, dict.fromkeys(range(len(SERIES)), odd)]), "", "", 60)
    row = slot(rpc_pb2.Metrics.FromString(metrics.SerializeToString()))
    assert 0 <= row.requests <= 2**53
    assert all(0 <= count <= 2**53 for count in row.errors.values())
    if abs(odd) > 1e15 or odd != odd:
        assert (row.requests, dict(row.errors), row.last_ms) == (1, {"timeout": 1}, pytest.approx(10, rel=1e-5))
