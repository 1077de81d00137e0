"""The rules of lag: what is behind, lost, stalled, never committed, or beyond the end."""

from hypothesis import given
from hypothesis import strategies as st

from agent.geyser.kafka.history import UNKNOWN, History
from agent.geyser.kafka.lag import Members, PartitionLag, Progress, Summed, lags, summed

NOBODY = Members()
SOMEBODY = Members(stalled_after_s=15.0)


def stand(ends: list[int], committed: dict[int, int]) -> tuple[Progress, History]:
    history, progress = History(), Progress()
    history.add(0, ends)
    progress.take(committed, history.end, 0)
    return progress, history


def one(begin: int, committed: int, end: int, members: Members = NOBODY) -> PartitionLag:
    progress, history = stand([end], {0: committed} if committed != UNKNOWN else {})
    (row,) = lags(progress, history, [begin], members, 0)
    return row


def test_lag_is_from_the_commit_to_the_end() -> None:
    row = one(0, 60, 100)
    assert (row.lag, row.lost, row.flag_names) == (40, 0, ["at_least"])


def test_who_has_read_everything_has_no_lag() -> None:
    row = one(50, 100, 100)
    assert (row.lag, row.lag_s, row.flags) == (0, 0.0, 0)


def test_a_commit_beyond_the_end_is_clamped_and_flagged() -> None:
    row = one(0, 120, 100)
    assert (row.lag, row.flag_names) == (0, ["beyond_end"])


def test_what_retention_took_is_lost_and_no_lag() -> None:
    row = one(80, 60, 100)
    assert (row.lag, row.lost, row.flag_names) == (20, 20, ["lost", "at_least"])


def test_a_partition_never_committed_in_counts_from_its_beginning_while_a_member_has_it() -> None:
    row = one(30, UNKNOWN, 100, Members({0}, 15.0))
    assert (row.lag, row.lost, row.flag_names) == (70, 0, ["no_commit", "at_least"])
    progress, history = stand([100], {})
    assert lags(progress, history, [30], NOBODY, 0) == []


def test_what_is_not_known_is_left_out() -> None:
    progress, history = stand([UNKNOWN, 100, 100], {0: 5, 1: 5, 7: 5})
    rows = lags(progress, history, [0, UNKNOWN, UNKNOWN], Members({2}, 15.0), 0)
    assert [(row.partition, row.lag, row.lost) for row in rows] == [(1, 95, 0)]


def test_a_commit_that_stands_while_the_end_moves_has_stalled_if_there_are_members() -> None:
    progress, history = stand([100], {0: 100})
    for second in (5, 10, 15):
        history.add(second, [100 + second])
        progress.take({0: 100}, history.end, second)
        (row,) = lags(progress, history, [0], SOMEBODY, second)
        assert ("stalled" in row.flag_names) == (second == 15)
        (row,) = lags(progress, history, [0], NOBODY, second)
        assert "stalled" not in row.flag_names
    progress.take({0: 101}, history.end, 20)
    (row,) = lags(progress, history, [0], SOMEBODY, 20)
    assert "stalled" not in row.flag_names


def test_a_commit_that_stands_where_nothing_is_written_has_not_stalled() -> None:
    progress, history = stand([100], {0: 50})
    history.add(60, [100])
    (row,) = lags(progress, history, [0], SOMEBODY, 60)
    assert "stalled" not in row.flag_names


def test_commits_that_move_are_counted_and_those_that_go_back_are_told() -> None:
    progress, history = stand([100, 100, 100], {0: 10, 1: 10, 2: 10})
    moved = progress.take({0: 30, 1: 4}, history.end, 5)
    assert (moved.consumed, moved.back) == (20, {1: (10, 4)})
    assert progress.partitions() == [0, 1]
    assert progress.take({0: 31, 1: 4, 2: 50}, history.end, 10) == (1, {})


OFFSETS = st.integers(0, 1000)


@given(st.lists(st.tuples(OFFSETS, st.one_of(st.just(UNKNOWN), OFFSETS), OFFSETS), min_size=1, max_size=20))
def test_no_lag_is_below_nothing_or_above_what_is_there(found: list[tuple[int, int, int]]) -> None:
    parts = [(min(first, last), committed, max(first, last)) for first, committed, last in found]
    committed = {number: commit for number, (_, commit, _) in enumerate(parts) if commit != UNKNOWN}
    progress, history = stand([end for _, _, end in parts], committed)
    rows = lags(progress, history, [begin for begin, _, _ in parts], Members(range(len(parts)), 15.0), 0)
    assert [row.partition for row in rows] == list(range(len(parts)))
    for row, (begin, commit, end) in zip(rows, parts, strict=True):
        assert 0 <= row.lag <= end - begin
        assert row.lag + row.lost == (end - begin if commit == UNKNOWN else max(0, end - commit, begin - commit))
        assert (row.committed == UNKNOWN) == ("no_commit" in row.flag_names)
    total = summed(rows)
    assert total.lag == sum(row.lag for row in rows)
    assert total.lag_max == max(row.lag for row in rows)
    assert total.uncommitted == sum(commit == UNKNOWN for _, commit, _ in parts)


@given(st.lists(st.dictionaries(st.integers(0, 5), OFFSETS), min_size=1, max_size=10))
def test_progress_agrees_with_the_looks_it_took(looks: list[dict[int, int]]) -> None:
    progress, before = Progress(), dict[int, int]()
    for second, look in enumerate(looks):
        moved = progress.take(look, lambda _: 2000, second)
        both = look.keys() & before.keys()
        assert moved.consumed == sum(max(0, look[number] - before[number]) for number in both)
        assert moved.back == {
            number: (before[number], look[number]) for number in both if look[number] < before[number]
        }
        assert progress.partitions() == sorted(look)
        before = look


def test_nothing_sums_up_to_nothing() -> None:
    assert summed([]) == Summed()
