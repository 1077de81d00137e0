"""Each slot of a range is in one class, and what is merely skipped is told from what is missing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ledger.output import MAX_SLOT, MAX_SLOTS
from agent.ledger.survey import Class, RangeRefused, Run, Survey, survey
from agent.ledger.tool import LedgerTool
from tests.peers import ledger_tool as peer
from tests.unit.agent.ledger.worlds import BASE, SPAN, ledgers, near


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("survey")


def look(
    folder: Path, slots: peer.Slots, first: int, last: int, roots: set[int] | None = None, dead: set[int] | None = None
) -> Survey:
    return survey(near(folder, (slots, roots or set(), dead or set())), first, last)


def test_every_class(folder: Path) -> None:
    slots = {
        **peer.chain([10, 11]),
        **peer.chain([14], 11),
        **peer.chain([15], full=False, shreds=3),
        **peer.chain([16], readable=False),
        **peer.chain([17]),
        20: peer.placeholder(),
        **peer.chain([21], 20),
    }
    found = look(folder, slots, 8, 24, {10, 11, 14}, {17})
    assert found.runs == (
        Run(8, 9, Class.BELOW_LOWEST),
        Run(10, 11, Class.ROOTED),
        Run(12, 13, Class.SKIPPED),
        Run(14, 14, Class.ROOTED),
        Run(15, 15, Class.PARTIAL),
        Run(16, 16, Class.UNREADABLE),
        Run(17, 17, Class.DEAD),
        Run(18, 20, Class.HOLE),
        Run(21, 21, Class.FULL),
        Run(22, 24, Class.UNSEEN),
    )


def test_a_slot_that_another_names_as_its_parent_was_not_skipped(folder: Path) -> None:
    slots = {**peer.chain([10]), **peer.chain([14], 10), **peer.chain([15], 12)}
    assert [look(folder, slots, 10, 15).of(slot) for slot in (11, 12, 13)] == [Class.SKIPPED, Class.HOLE, Class.SKIPPED]


def test_a_parent_that_is_missing_leaves_all_below_it_unknown(folder: Path) -> None:
    slots = {**peer.chain([10]), **peer.chain([15], 13)}
    assert look(folder, slots, 10, 15).runs[1:3] == (Run(11, 13, Class.HOLE), Run(14, 14, Class.SKIPPED))


@pytest.mark.parametrize(("parent", "cls"), [(10, Class.SKIPPED), (19, Class.HOLE)])
def test_the_slot_after_the_range_says_what_the_last_ones_are(folder: Path, parent: int, cls: Class) -> None:
    slots = {**peer.chain([10]), **peer.chain([20], parent)}
    found = look(folder, slots, 10, 14)
    assert found.runs[1:] == (Run(11, 14, cls),)
    assert found.after is not None


def test_a_root_marker_alone_makes_no_rooted_slot(folder: Path) -> None:
    slots = {**peer.chain([10], full=False, shreds=3), **peer.chain([11])}
    assert [run.cls for run in look(folder, slots, 10, 11, {10, 11}).runs] == [Class.PARTIAL, Class.ROOTED]


def test_a_slot_marked_dead_and_as_a_root_is_dead(folder: Path) -> None:
    assert look(folder, peer.chain([10, 11]), 10, 10, {10, 11}, {10}).runs == (Run(10, 10, Class.DEAD),)


def test_an_empty_ledger(folder: Path) -> None:
    assert look(folder, {}, 0, 99, dead={7}).runs == (
        Run(0, 6, Class.UNSEEN),
        Run(7, 7, Class.DEAD),
        Run(8, 99, Class.UNSEEN),
    )


def test_the_first_and_the_last_slot_that_there_can_be(folder: Path) -> None:
    slots = {**peer.chain([0, 1]), **peer.chain([MAX_SLOT - 1, MAX_SLOT], 1)}
    assert look(folder, slots, 0, 3, {0}).runs == (
        Run(0, 0, Class.ROOTED),
        Run(1, 1, Class.FULL),
        Run(2, 3, Class.SKIPPED),
    )
    assert look(folder, slots, MAX_SLOT - 2, MAX_SLOT).runs == (
        Run(MAX_SLOT - 2, MAX_SLOT - 2, Class.SKIPPED),
        Run(MAX_SLOT - 1, MAX_SLOT, Class.FULL),
    )
    assert look(folder, slots, MAX_SLOT, MAX_SLOT).runs == (Run(MAX_SLOT, MAX_SLOT, Class.FULL),)


@pytest.mark.parametrize(
    ("first", "last", "reason"),
    [
        (5, 4, "RANGE_REVERSED"),
        (MAX_SLOT, 0, "RANGE_REVERSED"),
        (0, MAX_SLOTS, "RANGE_TOO_LARGE"),
        (0, MAX_SLOT, "RANGE_TOO_LARGE"),
        (-1, 4, "RANGE_NOT_SLOTS"),
        (MAX_SLOT, MAX_SLOT + 1, "RANGE_NOT_SLOTS"),
    ],
)
def test_a_range_that_is_none_asks_nothing_of_the_tool(first: int, last: int, reason: str) -> None:
    with pytest.raises(RangeRefused) as caught:
        survey(LedgerTool(Path("none"), Path("none")), first, last)
    assert caught.value.reason == reason


def test_the_largest_range_is_surveyed(folder: Path) -> None:
    every_third = {slot: peer.placeholder() for slot in range(0, 3000, 3)}
    found = look(folder, peer.chain(every_third), 0, MAX_SLOTS - 1)
    assert len(found.runs) == 2000
    assert sum(run.last - run.first + 1 for run in found.runs) == MAX_SLOTS


@given(ledgers(), st.integers(BASE - 5, BASE + SPAN + 5), st.integers(0, 30))
def test_the_runs_are_a_partition_of_the_range(
    folder: Path, world: tuple[peer.Slots, set[int], set[int]], first: int, more: int
) -> None:
    slots, roots, dead = world
    found = survey(near(folder, world), first, first + more)
    assert [slot for run in found.runs for slot in range(run.first, run.last + 1)] == [*range(first, first + more + 1)]
    assert all(one.cls is not next_.cls for one, next_ in zip(found.runs, found.runs[1:], strict=False))
    for slot, cls in found.each():
        full = slot in slots and slots[slot]["full"] and slots[slot].get("readable", True)
        assert (cls in (Class.ROOTED, Class.FULL)) == (full and slot not in dead)
        assert cls is not Class.ROOTED or slot in roots
        assert cls not in (Class.SKIPPED, Class.UNSEEN, Class.BELOW_LOWEST) or slot not in slots
        # Of what is above the range it sees the first slot; a real ledger has a placeholder for each parent besides.
        assert cls is not Class.SKIPPED or all(seen.parent != slot for seen in (*found.slots, found.after) if seen)
