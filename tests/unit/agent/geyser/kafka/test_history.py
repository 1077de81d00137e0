"""The ends of a topic over time, and what they say of how long messages have waited."""

from hypothesis import given
from hypothesis import strategies as st

from agent.geyser.kafka.history import UNKNOWN, History, Wait

STEPS = st.lists(st.tuples(st.floats(0.1, 60), st.integers(0, 1000)), min_size=1, max_size=60)


def test_a_commit_between_two_looks_is_placed_on_the_line_between_them() -> None:
    history = History()
    for now, end in ((0, 100), (10, 200), (20, 400)):
        history.add(now, [end])
    assert history.wait(0, 400, 20) == Wait(0)
    assert history.wait(0, 300, 20) == Wait(5)
    assert history.wait(0, 200, 20) == Wait(10)
    assert history.wait(0, 150, 20) == Wait(15)
    assert history.wait(0, 100, 25) == Wait(25)


def test_a_commit_older_than_the_first_look_has_waited_at_least_since_then() -> None:
    history = History()
    history.add(5, [100])
    assert history.wait(0, 99, 12) == Wait(7, at_least=True)


def test_the_wait_counts_from_when_the_end_left_a_commit_and_not_from_when_it_reached_it() -> None:
    history = History()
    for now, end in ((0, 50), (10, 50), (20, 50), (30, 60)):
        history.add(now, [end])
    assert history.wait(0, 50, 30) == Wait(10)


def test_an_end_that_goes_back_is_told_and_begins_anew() -> None:
    history = History()
    history.add(0, [100, 7])
    assert history.add(10, [3, 8]) == [0]
    assert history.end(0) == 3
    assert history.wait(0, 1, 15) == Wait(5, at_least=True)
    assert history.wait(1, 7, 10) == Wait(10)


def test_partitions_come_and_go_and_an_end_that_is_not_known_stands_where_it_stood() -> None:
    history = History()
    history.add(0, [5])
    history.add(10, [UNKNOWN, 9])
    assert (history.end(0), history.end(1), history.end(2)) == (5, 9, UNKNOWN)
    assert history.wait(1, 2, 14) == Wait(4, at_least=True)
    history.add(20, [6])
    assert (history.partitions, history.end(1)) == (1, UNKNOWN)


@given(STEPS, st.data())
def test_a_wait_is_right_to_within_the_looks_around_it(steps: list[tuple[float, int]], data: st.DataObject) -> None:
    history, now, end = History(), 0.0, 0
    seen: list[tuple[float, int]] = []
    for passed, more in steps:
        now, end = now + passed, end + more
        assert history.add(now, [end]) == []
        seen.append((now, end))
    committed = data.draw(st.integers(0, end))
    found = history.wait(0, committed, now)
    later = [at for at, upto in seen if upto > committed]
    earlier = [at for at, upto in seen if upto <= committed]
    if not later:
        assert found == Wait(0.0)
    else:
        assert found.at_least == (not earlier)
        assert now - later[0] - 1e-6 <= found.seconds <= now - (earlier[-1] if earlier else later[0]) + 1e-6


@given(STEPS)
def test_who_is_further_behind_has_waited_no_shorter(steps: list[tuple[float, int]]) -> None:
    history, now, end = History(), 0.0, 0
    for passed, more in steps:
        now, end = now + passed, end + more
        history.add(now, [end])
    waits = [history.wait(0, committed, now).seconds for committed in range(0, end + 1, max(1, end // 50))]
    assert waits == sorted(waits, reverse=True)


def test_old_looks_are_thinned_and_the_young_ones_kept() -> None:
    history = History(looks=40)
    for second in range(10_000):
        history.add(second, [second * 10])
    assert history.wait(0, 9_990 * 10, 9_999) == Wait(9)
    assert abs(history.wait(0, 1_000 * 10, 9_999).seconds - 8_999) < 1e-6
    assert len(history._times) <= 40
    assert len(history._ends[0]) == len(history._times)
