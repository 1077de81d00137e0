"""Ingest: each batch once, whatever the agent sends again, and only what the host itself sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solward.hosts.v1 import link_pb2

from common.clock import now_ms
from controlplane.telemetry.ingest import AHEAD_MS, MAX_METHODS, Ingest
from controlplane.telemetry.sums import LATENCY

HOST = "sol-1"
SPOOL = "a" * 32


def opened(first: int = 1, spool: str = SPOOL, ingest: Ingest | None = None) -> tuple[Ingest, int]:
    ingest = ingest or Ingest(60)
    return ingest, ingest.open(HOST, link_pb2.Hello(spool_id=spool, first_sequence=first))


def batch(sequence: int, value: float = 1.0) -> link_pb2.SampleBatch:
    definition = link_pb2.SeriesDefinition(id=0, name="x")
    return link_pb2.SampleBatch(
        sequence=sequence, unix_ms=sequence * 1000, definitions=[definition], series=[0], values=[value]
    )


@given(st.lists(st.integers(1, 20), max_size=40))
def test_each_sequence_counts_once_and_acknowledgements_never_fall(sequences: list[int]) -> None:
    ingest, _ = opened()
    greatest = 0
    for number, sequence in enumerate(sequences):
        acked = ingest.samples(HOST, batch(sequence, float(number)))
        if sequence > greatest:
            kept = ingest.feeds[HOST].ring.window([0], 1)[0, 0]
            assert kept == number
        greatest = max(greatest, sequence)
        assert acked == greatest


def test_stream_resumes_where_the_last_one_stopped() -> None:
    ingest, _ = opened()
    ingest.samples(HOST, batch(5))
    assert opened(ingest=ingest)[1] == 5


def test_what_the_agent_no_longer_holds_is_not_waited_for() -> None:
    ingest, _ = opened()
    assert opened(first=100, ingest=ingest)[1] == 99


def test_another_spool_begins_anew() -> None:
    ingest, _ = opened()
    ingest.samples(HOST, batch(50))
    assert opened(spool="b" * 32, ingest=ingest)[1] == 0
    assert ingest.samples(HOST, batch(1)) == 1


def test_events_share_the_sequence() -> None:
    ingest, _ = opened()
    assert ingest.events(HOST, link_pb2.EventBatch(sequence=3)) == 3
    assert ingest.samples(HOST, batch(2)) == 3
    assert ingest.samples(HOST, batch(4)) == 4


def test_forgotten_host_leaves_nothing() -> None:
    ingest, _ = opened()
    ingest.samples(HOST, batch(1))
    ingest.forget(HOST)
    assert HOST not in ingest.feeds
    ingest.forget("nobody")


def test_batch_from_the_far_future_does_not_blind_the_ring() -> None:
    ingest = Ingest(900)
    opened(ingest=ingest)
    definition = link_pb2.SeriesDefinition(id=0, name="x")
    for sequence, ahead in ((1, 2**62), (2, 0)):
        batch = link_pb2.SampleBatch(
            sequence=sequence, unix_ms=now_ms() + ahead, definitions=[definition], series=[0], values=[float(sequence)]
        )
        assert ingest.samples(HOST, batch) == sequence
    ring = ingest.feeds[HOST].ring
    assert ring.newest_second <= (now_ms() + AHEAD_MS) // 1000
    shown = ring.window([0], 120)[:, 0]
    # The clock is right again: what it said of the time to come is let go.
    assert [value for value in shown.tolist() if value == value] == [2.0]


def test_clock_that_is_a_little_ahead_is_believed() -> None:
    ingest, _ = opened()
    ahead = now_ms() + AHEAD_MS // 2
    ingest.samples(HOST, link_pb2.SampleBatch(sequence=1, unix_ms=ahead))
    assert ingest.feeds[HOST].ring.newest_second == ahead // 1000


def test_methods_that_have_a_histogram_are_bounded() -> None:
    ingest, _ = opened()
    count = MAX_METHODS + 20
    definitions = [link_pb2.SeriesDefinition(id=n, name=LATENCY, labels={"method": f"m{n}"}) for n in range(count)]
    ingest.samples(
        HOST,
        link_pb2.SampleBatch(
            sequence=1, unix_ms=1000, definitions=definitions, series=range(count), values=[0.1] * count
        ),
    )
    assert len(list(ingest.histograms.rows.items())) == MAX_METHODS


def samples_at(ingest: Ingest, seconds: list[int]) -> list[float]:
    """Send a second after the other in this order; give the newest minute of the host."""
    ingest.open(HOST, link_pb2.Hello(spool_id="c" * 32))
    definition = link_pb2.SeriesDefinition(id=0, name="solana_rpc_slot_lag")
    for sequence, second in enumerate(seconds, 1):
        batch = link_pb2.SampleBatch(
            sequence=sequence, unix_ms=second * 1000, definitions=[definition], series=[0], values=[float(sequence)]
        )
        assert ingest.samples(HOST, batch) == sequence
    shown = ingest.feeds[HOST].ring.window([0], 60)[:, 0]
    return [value for value in shown.tolist() if value == value]


@pytest.mark.parametrize("back_s", [6, 300, 3600, 86_400])
def test_a_clock_that_is_set_back_is_seen_at_once(back_s: int) -> None:
    began = 1_700_000_000
    before, after = list(range(began, began + 30)), list(range(began + 30 - back_s, began + 40 - back_s))
    shown = samples_at(Ingest(900), before + after)
    # The newest ten are what the clock says now; of what was before, only what is still earlier is left.
    assert shown[-10:] == [float(number) for number in range(31, 41)]
    assert len(shown) == 10 + max(0, 30 - back_s)


@pytest.mark.parametrize("ahead_s", [1, 50])
def test_a_clock_that_is_set_forward_leaves_a_gap(ahead_s: int) -> None:
    began = now_ms() // 1000 - 1000
    shown = samples_at(Ingest(900), [began, began + 1, began + 2 + ahead_s, began + 3 + ahead_s])
    assert shown == [1.0, 2.0, 3.0, 4.0]


def test_a_second_that_is_a_little_before_is_no_step() -> None:
    began = 1_700_000_000
    assert samples_at(Ingest(900), [began, began + 1, began, began + 2]) == [3.0, 2.0, 4.0]
