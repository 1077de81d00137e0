"""Latency histograms against numpy's own, also when other series stand beside them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solward.hosts.v1 import link_pb2

from controlplane.telemetry.fleet_page import FleetPage, write
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.rpc_report import ERRORS, REQUESTS
from controlplane.telemetry.sums import BOUNDS, LATENCY, LatencyHistograms, Totals

latencies = st.floats(0, 20, allow_nan=False)
Shown = tuple[str, str, list[tuple[str, float]], float]


def read(histograms: LatencyHistograms) -> list[Shown]:
    """Give host, method, cumulative buckets and the sum of every histogram that counted anything."""
    counts, sums = histograms.copies()
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    shown: list[Shown] = []
    for (host, (method,)), row in histograms.rows.items():
        if counts[row].any():
            buckets = list(zip(bounds, np.cumsum(counts[row]).tolist(), strict=True))
            shown.append((host, method, buckets, float(sums[row])))
    return shown


def summed(totals: Totals, name: str) -> dict[tuple[str, ...], float]:
    """Give the sum of every series of a name, by host and labels."""
    sums = totals.copy()
    return {
        (host, *labels): float(sums[row]) for (host, (series, *labels)), row in totals.rows.items() if series == name
    }


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), latencies), max_size=50))
def test_counts_are_those_of_numpy(pairs: list[tuple[int, float]]) -> None:
    histograms = LatencyHistograms()
    rows = [histograms.row("sol-1", method) for method in "abc"]
    histograms.observe(
        np.array([rows[place] for place, _ in pairs], dtype=np.int64), np.array([value for _, value in pairs])
    )
    shown = {method: (buckets, total) for _, method, buckets, total in read(histograms)}
    for place, method in enumerate("abc"):
        mine = np.array([value for other, value in pairs if other == place])
        if not len(mine):
            assert method not in shown
            continue
        buckets, total = shown[method]
        # A bucket of Prometheus counts what is at most its bound.
        assert [count for _, count in buckets] == [*((mine <= bound).sum() for bound in BOUNDS), len(mine)]
        assert [label for label, _ in buckets][-1] == "+Inf"
        assert total == pytest.approx(mine.sum())


def test_rows_grow_and_forgotten_hosts_start_from_nothing() -> None:
    histograms = LatencyHistograms()
    rows = [histograms.row("sol-1", str(number)) for number in range(600)]
    assert rows == list(range(600))
    histograms.observe(np.array([0, 599]), np.array([0.1, 0.2]))
    assert len(list(read(histograms))) == 2
    histograms.forget_host("sol-1")
    assert list(read(histograms)) == []


def test_rows_of_a_forgotten_host_are_used_again_and_empty() -> None:
    histograms = LatencyHistograms()
    other = histograms.row("other", "getSlot")
    histograms.observe(np.array([other]), np.array([0.5]))
    for generation in range(20):
        host = f"sol-{generation}"
        rows = [histograms.row(host, str(number)) for number in range(100)]
        assert sorted([other, *rows]) == list(range(101))
        # What stood there before is not seen by who has the row now.
        assert [shown[:2] for shown in read(histograms)] == [("other", "getSlot")]
        histograms.observe(np.array(rows), np.full(100, 0.1))
        assert {total for name, _, _, total in read(histograms) if name == host} == {0.1}
        histograms.forget_host(host)
    ((host, _, buckets, total),) = read(histograms)
    assert (host, buckets[-1], total) == ("other", ("+Inf", 1), 0.5)
    assert len(histograms._sums) == 256


def test_totals_add_up_by_host_and_labels_and_never_fall() -> None:
    totals = Totals()
    rows = [totals.row("sol-1", REQUESTS, (method,)) for method in "ab"]
    rows.append(totals.row("sol-2", REQUESTS, ("a",)))
    errors = totals.row("sol-1", ERRORS, ("a", "timeout"))
    totals.add(np.array([*rows, rows[0], errors]), np.array([1.0, 2.0, 4.0, 8.0, 1.0]))
    totals.add(np.array([rows[0]]), np.array([-5.0]))
    assert summed(totals, REQUESTS) == {("sol-1", "a"): 9.0, ("sol-1", "b"): 2.0, ("sol-2", "a"): 4.0}
    assert summed(totals, ERRORS) == {("sol-1", "a", "timeout"): 1.0}
    totals.forget_host("sol-1")
    assert summed(totals, REQUESTS) == {("sol-2", "a"): 4.0}
    assert totals.row("sol-3", REQUESTS, ("a",)) in {*rows[:2], errors}
    assert summed(totals, REQUESTS)["sol-3", "a"] == 0.0


def test_totals_grow_past_their_first_rows() -> None:
    totals = Totals()
    rows = [totals.row("sol-1", REQUESTS, (str(number),)) for number in range(600)]
    totals.add(np.array(rows), np.arange(600.0))
    assert summed(totals, REQUESTS) == {("sol-1", str(number)): float(number) for number in range(600)}


def test_counts_that_arrive_stand_on_the_prometheus_page() -> None:
    ingest = Ingest(60)
    ingest.open("sol-1", link_pb2.Hello(spool_id="a" * 32))
    series = [(REQUESTS, {"method": "getSlot"}), (ERRORS, {"method": "getSlot", "class": "timeout"}), ("other", {})]
    definitions = [
        link_pb2.SeriesDefinition(id=place, name=name, labels=labels) for place, (name, labels) in enumerate(series)
    ]
    for sequence in (1, 2, 2):
        batch = link_pb2.SampleBatch(
            sequence=sequence, unix_ms=1000, definitions=definitions, series=range(3), values=[3, 1, 7]
        )
        ingest.samples("sol-1", batch)
    page = FleetPage(ingest)
    shown = write(page.read()).decode()
    assert 'solana_rpc_requests_total{host="sol-1",method="getSlot"} 6.0' in shown
    assert 'solana_rpc_errors_total{host="sol-1",method="getSlot",class="timeout"} 2.0' in shown
    ingest.forget("sol-1")
    assert "sol-1" not in write(page.read()).decode()


@pytest.mark.parametrize("before", [0, 62, 63, 64, 127, 200])
def test_no_other_series_is_taken_for_a_latency(before: int) -> None:
    """The latency's column may be the last of the table; series after it must not fall into its row."""
    ingest = Ingest(60)
    ingest.open("sol-1", link_pb2.Hello(spool_id="a" * 32))
    names = [*(f"x{number}" for number in range(before)), LATENCY, *(f"y{number}" for number in range(300))]
    definitions = [
        link_pb2.SeriesDefinition(id=place, name=name, labels={"method": "getSlot"} if name == LATENCY else {})
        for place, name in enumerate(names)
    ]
    batch = link_pb2.SampleBatch(
        sequence=1, unix_ms=1000, definitions=definitions, series=range(len(names)), values=[3.0] * len(names)
    )
    assert ingest.samples("sol-1", batch) == 1
    ((host, method, buckets, total),) = read(ingest.histograms)
    assert (host, method, total) == ("sol-1", "getSlot", 3.0)
    assert buckets[-1] == ("+Inf", 1)
