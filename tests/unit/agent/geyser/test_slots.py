"""Slots of a stream against the node's: what is late, missed, or without a parent, in whatever order it comes."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yellowstone import geyser_pb2 as pb

from agent.geyser.board import KEPT, SlotBoard
from agent.geyser.slots import KEPT as TRACKED
from agent.geyser.slots import SlotTracker, Tally

LATE_S = 10.0
STATUSES = (pb.SLOT_FIRST_SHRED_RECEIVED, pb.SLOT_CREATED_BANK, pb.SLOT_COMPLETED, pb.SLOT_PROCESSED)


def update(slot: int, parent: int, status: pb.SlotStatus = pb.SLOT_PROCESSED) -> pb.SubscribeUpdateSlot:
    return pb.SubscribeUpdateSlot(slot=slot, parent=parent, status=status)


def after(tracker: SlotTracker, *looks: float) -> Tally:
    """Add up what several looks find."""
    found = [tracker.tick(at) for at in looks]
    delays = {slot: delay for one in found for slot, delay in one.delays_s.items()}
    return Tally(delays, sum(one.missed for one in found), sum(one.gaps for one in found))


@st.composite
def chains(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Make a chain of slots and their parents, some of them skipped."""
    steps = draw(st.lists(st.integers(1, 5), min_size=5, max_size=60))
    slots = [1_000]
    for step in steps:
        slots.append(slots[-1] + step)
    return list(zip(slots[1:], slots, strict=False))


@given(chains(), st.randoms(use_true_random=False), st.integers(0, 8))
def test_order_makes_no_difference(chain: list[tuple[int, int]], order: random.Random, spread: int) -> None:
    board = SlotBoard()
    tracker = SlotTracker(board, LATE_S)
    sent = []
    for place, (slot, parent) in enumerate(chain):
        board.told(slot, 100.0 + place * 0.4)
        sent += [(place * 4 + step + order.uniform(0, spread * 4), slot, parent, status)
                 for step, status in enumerate(STATUSES)]  # fmt: skip
    for place, slot, parent, status in sorted(sent):
        tracker.take(update(slot, parent, status), 100.0 + place * 0.1)
    found = after(tracker, *(100.0 + second for second in range(60)))
    assert (found.missed, found.gaps) == (0, 0)
    assert tracker.newest == chain[-1][0]
    assert len(found.delays_s) == len(chain)


@given(chains(), st.data())
def test_what_never_comes_is_missed_once_and_breaks_the_chain_once(
    chain: list[tuple[int, int]], data: st.DataObject
) -> None:
    lost = data.draw(st.sets(st.sampled_from([slot for slot, _ in chain[1:-1]]), max_size=5))
    board = SlotBoard()
    tracker = SlotTracker(board, LATE_S)
    for place, (slot, parent) in enumerate(chain):
        at = 100.0 + place * 0.4
        board.told(slot, at)
        if slot not in lost:
            tracker.take(update(slot, parent), at + 0.01)
    found = after(tracker, *(100.0 + second for second in range(60)))
    assert found.missed == len(lost)
    # A gap is a lost slot of which a child came.
    assert found.gaps == len({parent for slot, parent in chain if slot not in lost} & lost)
    assert after(tracker, 200.0, 300.0) == Tally({}, 0, 0)


def test_skipped_slots_are_no_gap_and_a_fork_is_none() -> None:
    tracker = SlotTracker(None, LATE_S)
    for slot, parent in ((10, 9), (14, 10), (15, 14), (16, 14), (17, 16)):
        tracker.take(update(slot, parent), 1.0)
    assert after(tracker, 5.0, 50.0) == Tally({}, 0, 0)


def test_delay_is_against_what_was_frozen_and_may_be_below_zero() -> None:
    board = SlotBoard()
    tracker = SlotTracker(board, LATE_S)
    board.told(11, 1.0)
    board.frozen(11, 1.4)
    board.told(12, 1.5)
    tracker.take(update(11, 10, pb.SLOT_CREATED_BANK), 1.1)
    tracker.take(update(11, 10), 1.65)
    tracker.take(update(11, 10), 9.0)
    tracker.take(update(12, 11), 1.8)
    # Of 12 nothing is known yet: it is not frozen, and its making is no measure.
    assert tracker.tick(2.0).delays_s == {11: pytest.approx(0.25)}
    board.frozen(12, 1.9)
    assert tracker.tick(3.0).delays_s == {12: pytest.approx(-0.1)}
    assert tracker.tick(4.0).delays_s == {}


def test_a_node_that_tells_only_of_slots_is_compared_by_them() -> None:
    board = SlotBoard()
    tracker = SlotTracker(board, LATE_S)
    tracker.take(update(11, 10), 1.5)
    board.told(11, 1.25)
    board.told(11, 1.3)
    assert tracker.tick(2.0).delays_s == {11: 0.25}


def test_a_fresh_subscription_owes_nothing_of_the_time_before() -> None:
    board = SlotBoard()
    tracker = SlotTracker(board, LATE_S)
    tracker.take(update(10, 9), 1.0)
    board.told(11, 1.4)
    tracker.begin()
    tracker.take(update(14, 13), 3.0)
    tracker.take(update(13, 12), 3.1)
    assert after(tracker, 5.0, 30.0) == Tally({}, 0, 0)
    assert tracker.newest == 14


def test_nothing_grows_without_end() -> None:
    board = SlotBoard()
    tracker = SlotTracker(board, LATE_S)
    for slot in range(1, 6 * TRACKED):
        at = slot * 0.4
        board.frozen(slot, at)
        tracker.take(update(slot, slot - 1), at)
        assert tracker.tick(at).gaps == 0
    assert sum(1 for _ in board.told_between(0.0, 1e9)) == KEPT
    held = [tracker._seen, tracker._ready, tracker._broken, tracker._untimed, tracker._parents]
    assert all(len(one) <= 2 * TRACKED + 1 for one in held)
