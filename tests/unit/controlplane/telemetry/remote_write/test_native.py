"""Native histograms: what was counted is what a receiver reads."""

import asyncio
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controlplane.telemetry.native_counts import COLUMNS, HIGHEST, LOWEST, ZERO_THRESHOLD, NativeCounts
from controlplane.telemetry.remote_write.native import encode
from controlplane.telemetry.sums import LatencyHistograms
from tests.peers.remote_write import RemoteWritePeer, buckets, messages
from tests.support.remote_write import Fleet, sent, settings, writing

LATENCY = "solana_rpc_latency_seconds"


@given(st.dictionaries(st.integers(0, COLUMNS - 1), st.integers(1, 2**31), max_size=20), st.booleans())
def test_buckets_are_read_back(counted: dict[int, int], begins: bool) -> None:
    counts = np.zeros(COLUMNS, dtype=np.uint32)
    for column, count in counted.items():
        counts[column] = count
    read = messages()["Histogram"].FromString(encode(counts, 1.5, begins))
    zeros = counted.pop(0, 0)
    assert {place: count for place, count in buckets(read).items() if count} == {
        column + LOWEST: count for column, count in counted.items()
    }
    assert (read.count_int, read.zero_count_int) == (zeros + sum(counted.values()), zeros)
    assert (read.sum, read.schema, read.zero_threshold) == (1.5, 3, ZERO_THRESHOLD)
    assert read.reset_hint == int(begins)


@given(st.floats(0, 500))
def test_a_latency_is_within_its_bucket(seconds: float) -> None:
    counts = NativeCounts()
    counts.begin(0)
    counts.observe(np.array([0]), np.array([seconds]))
    (column,) = np.flatnonzero(counts.copies()[0][0]).tolist()
    place = column + LOWEST
    if column == 0:
        assert seconds <= ZERO_THRESHOLD
    else:
        assert 2 ** ((place - 1) / 8) * (1 - 1e-12) <= seconds
        assert place == HIGHEST or seconds <= 2 ** (place / 8) * (1 + 1e-12)


def test_rows_of_a_host_that_was_cut_off_are_empty_for_the_next() -> None:
    histograms = LatencyHistograms(native=True)
    rows = np.array([histograms.row(f"h{number}", "m") for number in range(600)])
    histograms.observe(rows, np.full(600, 0.25))
    histograms.forget_host("h7")
    fresh = histograms.row("other", "m")
    assert fresh == rows[7]
    assert histograms.native
    counts, since_ms = histograms.native.copies()
    assert counts[fresh].sum() == 0
    assert counts.sum() == 599
    assert since_ms[fresh] >= since_ms[rows[8]] > 0


def test_they_are_not_counted_where_nobody_asked() -> None:
    assert LatencyHistograms().native is None
    assert settings(native_histograms=True).counts_natively is False
    assert settings({"url": "http://a/w"}, native_histograms=True).counts_natively is True


async def test_each_is_written_beside_the_classic_one_and_a_beginning_is_said() -> None:
    fleet, peer = Fleet(native=True), RemoteWritePeer()
    async with peer.serving() as url, writing(fleet, settings({"url": url}, native_histograms=True)) as made:
        for _ in range(2):
            fleet.observe("sol-1", "getSlot", [0.003, 0.2, 0.0])
            await made.write_now()
        fleet.ingest.forget("sol-1")
        await made.write_now()
        # Its clock goes on.
        await asyncio.sleep(0.005)
        fleet.observe("sol-1", "getSlot", [1.0])
        await made.write_now()
        await sent(made)
    assert not peer.refusals
    (kept,) = [kept for labels, kept in peer.series.items() if ("__name__", LATENCY) in labels]
    assert [(one.count_int, one.reset_hint) for one in kept.histograms] == [(3, 1), (6, 0), (1, 1)]
    assert math.isclose(kept.histograms[1].sum, 0.406)
    starts = [one.start_timestamp for one in kept.histograms]
    assert starts[0] == starts[1] < starts[2]
    # It ended when the host was cut off.
    assert [value for _, value in kept.samples] == [None]
    assert peer.samples(f"{LATENCY}_count")[0][1] == 3.0
