"""The live ring against a dictionary that does the same slowly."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from solward.hosts.v1 import link_pb2

from controlplane.telemetry.live import GREATEST, MAX_SERIES, HostRing

SECONDS = 8
batches = st.lists(
    st.tuples(
        st.integers(1, 40),
        st.lists(
            st.tuples(
                st.integers(0, 6),
                st.one_of(
                    st.integers(-1000, 1000).map(float),
                    st.sampled_from([math.nan, math.inf, GREATEST, -GREATEST, 1.1e15, -1e300]),
                ),
            ),
            max_size=6,
        ),
    ),
    max_size=25,
)


def batch(second: int, pairs: list[tuple[int, float]]) -> link_pb2.SampleBatch:
    series, values = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return link_pb2.SampleBatch(unix_ms=second * 1000 + 500, series=series, values=values)


def ring_of(count: int) -> HostRing:
    ring = HostRing(SECONDS)
    for number in range(count):
        ring.define(link_pb2.SeriesDefinition(id=number, name=f"s{number}"))
    return ring


@settings(max_examples=200, deadline=None)
@given(batches)
def test_ring_keeps_what_a_dictionary_would(sent: list[tuple[int, list[tuple[int, float]]]]) -> None:
    ring, model, newest = ring_of(5), {}, 0
    for second, pairs in sent:
        columns, values = ring.write(batch(second, pairs), 0)
        good = [(number, value) for number, value in pairs if number < 5 and abs(value) <= GREATEST]
        assert (columns.tolist(), values.tolist()) == ([one[0] for one in good], [one[1] for one in good])
        if second > newest - SECONDS:
            newest = max(newest, second)
            model.update({(second, number): value for number, value in good})
    window = ring.window(list(range(5)), SECONDS)
    for row, second in enumerate(range(newest - SECONDS + 1, newest + 1)):
        for number in range(5):
            # Newer seconds take the rows of those that are a whole ring older.
            expected = np.float32(model.get((second, number), math.nan))
            assert np.array_equal(window[row, number], expected, equal_nan=True)


@given(st.lists(st.integers(0, 300), max_size=40))
def test_ids_mean_what_their_stream_defined(ids: list[int]) -> None:
    ring = HostRing(SECONDS)
    for number in ids:
        ring.define(link_pb2.SeriesDefinition(id=number, name=f"s{number}"))
    assert dict(ring.series) == {(f"s{number}", ()): place for place, number in enumerate(dict.fromkeys(ids))}
    ring.forget_ids()
    columns, _ = ring.write(batch(1, [(number, 1.0) for number in ids]), 0)
    assert columns.tolist() == []


def test_series_keeps_its_column_over_streams_and_whatever_the_order_of_labels() -> None:
    ring = HostRing(SECONDS)
    ring.define(link_pb2.SeriesDefinition(id=7, name="x", labels={"a": "1", "b": "2"}))
    ring.write(batch(1, [(7, 1.0)]), 0)
    ring.forget_ids()
    ring.define(link_pb2.SeriesDefinition(id=0, name="x", labels={"b": "2", "a": "1"}))
    ring.write(batch(2, [(0, 2.0)]), 0)
    assert ring.window([0], 2)[:, 0].tolist() == [1.0, 2.0]


def test_host_that_runs_wild_is_bounded() -> None:
    ring = HostRing(2)
    kept = [
        ring.define(link_pb2.SeriesDefinition(id=n, name="x", labels={"n": str(n)})) for n in range(MAX_SERIES + 10)
    ]
    assert kept.count(None) == 10
    assert kept[-10:] == [None] * 10
    columns, _ = ring.write(batch(1, [(MAX_SERIES + 5, 1.0), (0, 2.0)]), 0)
    assert columns.tolist() == [0]


def test_lists_of_different_length_are_read_to_the_shorter() -> None:
    ring = ring_of(2)
    columns, values = ring.write(link_pb2.SampleBatch(unix_ms=1000, series=[0, 1], values=[5.0]), 0)
    assert (columns.tolist(), values.tolist()) == ([0], [5.0])


def test_slots_are_kept_to_the_last_digit() -> None:
    ring = HostRing(SECONDS)
    ring.define(link_pb2.SeriesDefinition(id=0, name="solana_validator_frozen_slot"))
    for second, slot in enumerate((412_345_677, 412_345_678, 412_777_777)):
        ring.write(batch(second + 1, [(0, slot)]), 0)
    assert ring.window([0], 3)[:, 0].tolist() == [412_345_677, 412_345_678, 412_777_777]
    (value,) = ring.newest(np.array([0]), 3)
    assert value == 412_777_777


def test_samples_older_than_the_ring_are_not_kept() -> None:
    ring = ring_of(1)
    ring.write(batch(100, [(0, 1.0)]), 0)
    ring.write(batch(100 - SECONDS, [(0, 9.0)]), 0)
    assert np.nansum(ring.window([0], SECONDS)) == 1.0


def test_counts_of_two_batches_in_one_second_add_up_and_states_replace_each_other() -> None:
    ring = HostRing(SECONDS)
    for number, counts in enumerate((False, True)):
        ring.define(link_pb2.SeriesDefinition(id=number, name=f"s{number}", counts=counts))
    ring.write(batch(1, [(0, 5.0), (1, 5.0)]), 0)
    ring.write(batch(1, [(0, 7.0), (1, 7.0), (1, 1.0)]), 0)
    ring.write(batch(2, [(1, 2.0)]), 0)
    assert np.array_equal(ring.window([0, 1], 2), [[7.0, 13.0], [math.nan, 2.0]], equal_nan=True)
    # A second a whole ring later begins from nothing.
    ring.write(batch(1 + SECONDS, [(1, 4.0)]), 0)
    assert ring.window([1], 1)[0, 0] == 4.0


def test_counts_past_the_first_columns_add_up_too() -> None:
    ring = ring_of(200)
    ring.define(link_pb2.SeriesDefinition(id=200, name="x", counts=True))
    for _ in range(3):
        ring.write(batch(1, [(200, 1.0), (199, 1.0)]), 0)
    assert ring.window([199, 200], 1).tolist() == [[1.0, 3.0]]


def grown(seconds: list[tuple[int, float]]) -> list[float]:
    ring = HostRing(SECONDS)
    ring.define(link_pb2.SeriesDefinition(id=0, name="node_bytes_total"))
    for second, value in seconds:
        ring.write(batch(second, [(0, value)]), 0)
    return [float(one) for one in ring.window([0], SECONDS)[:, 0]]


def test_what_only_grows_is_kept_as_what_it_grew_by_a_second() -> None:
    # So far that a narrow number would not show a kilobyte more.
    far = 4e14
    assert grown([(1, far), (2, far + 1000), (3, far + 1500)])[-2:] == [1000.0, 500.0]


def test_a_gap_a_boot_and_a_late_second_say_nothing_that_is_not_known() -> None:
    after_gap = grown([(1, 100.0), (5, 180.0)])
    assert after_gap[-1] == 20.0
    assert all(math.isnan(one) for one in after_gap[:-1])
    assert math.isnan(grown([(1, 100.0), (2, 3.0)])[-1])
    late = grown([(1, 100.0), (3, 140.0), (2, 120.0), (4, 150.0)])
    assert math.isnan(late[-3])
    assert late[-1] == 10.0


def test_two_readings_of_one_second_add_up() -> None:
    assert grown([(1, 100.0), (2, 110.0), (2, 125.0)])[-1] == 25.0


def test_how_far_a_series_has_grown_is_told_as_exactly_as_it_came() -> None:
    ring = HostRing(SECONDS)
    ring.define(link_pb2.SeriesDefinition(id=0, name="node_bytes_total"))
    ring.define(link_pb2.SeriesDefinition(id=1, name="node_old_total"))
    ring.write(batch(1, [(0, 4e14), (1, 7.0)]), 0)
    ring.write(batch(8, [(0, 4e14 + 3)]), 0)
    assert ring.grows(0)
    both = ring.grown(np.array([0, 1]), 5)
    assert both[0] == 4e14 + 3
    assert math.isnan(both[1])
