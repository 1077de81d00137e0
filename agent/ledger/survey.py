"""What a ledger holds of a range of slots, each slot put in one class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple, TypeVar

from agent.ledger.output import MAX_SLOT, MAX_SLOTS, Bounds, Slot
from agent.ledger.tool import LedgerTool

T = TypeVar("T")


class Class(StrEnum):
    """What a ledger holds of a slot.

    Attributes:
        ROOTED: all shreds, and the root marker.
        FULL: all shreds, and no root marker.
        PARTIAL: some shreds.
        UNREADABLE: shreds that cannot be read.
        DEAD: the node found that it cannot be replayed.
        SKIPPED: nothing, and nothing is missing: the next slot's parent is below it.
        HOLE: nothing, and it may be that a block is missing.
        BELOW_LOWEST: nothing; it is older than all that the ledger keeps.
        UNSEEN: nothing; it is newer than all that the ledger has.
    """

    ROOTED = "ROOTED"
    FULL = "FULL"
    PARTIAL = "PARTIAL"
    UNREADABLE = "UNREADABLE"
    DEAD = "DEAD"
    SKIPPED = "SKIPPED"
    HOLE = "HOLE"
    BELOW_LOWEST = "BELOW_LOWEST"
    UNSEEN = "UNSEEN"


class RangeRefused(ValueError):
    """A range that is not surveyed; the reason is RANGE_NOT_SLOTS, RANGE_REVERSED or RANGE_TOO_LARGE."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Run(NamedTuple):
    """Slots of one class that follow each other; both ends belong to it."""

    first: int
    last: int
    cls: Class


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        first: the range's first slot.
        last: its last.
        bounds: what the ledger spans.
        slots: what the ledger has of the range's slots, in order.
        after: the next that it has above the range, where it was needed.
        classes: the range's slots' classes, in order.
    """

    first: int
    last: int
    bounds: Bounds
    slots: tuple[Slot, ...]
    after: Slot | None
    classes: tuple[Class, ...]

    def of(self, slot: int) -> Class | None:
        """Give a slot's class; None outside of the range."""
        return self.classes[slot - self.first] if self.first <= slot <= self.last else None

    def each(self) -> Iterator[tuple[int, Class]]:
        """Give the range's slots with their classes."""
        return enumerate(self.classes, self.first)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The range, cut where the class changes."""
        return tuple(Run(first, last, cls) for first, last, cls in runs(self.each()))


def runs(each: Iterable[tuple[int, T]]) -> Iterator[tuple[int, int, T]]:
    """Put together slots that follow each other and are alike."""
    # Slots that follow each other differ from their places by the same number.
    for (_, like), group in groupby(enumerate(each), lambda placed: (placed[1][0] - placed[0], placed[1][1])):
        slots = [slot for _, (slot, _) in group]
        yield slots[0], slots[-1], like


def check_range(first: int, last: int) -> None:
    """Refuse a range that is not surveyed; raises RangeRefused."""
    if not (0 <= first <= MAX_SLOT and 0 <= last <= MAX_SLOT):
        raise RangeRefused("RANGE_NOT_SLOTS", f"{first} to {last}: a slot is from 0 to {MAX_SLOT}")
    if first > last:
        raise RangeRefused("RANGE_REVERSED", f"slot {first} is above slot {last}")
    if last - first >= MAX_SLOTS:
        raise RangeRefused("RANGE_TOO_LARGE", f"{last - first + 1} slots are more than {MAX_SLOTS}")


def survey(tool: LedgerTool, first: int, last: int) -> Survey:
    """Look at a range of a ledger; raises RangeRefused, ToolError."""
    check_range(first, last)
    bounds = tool.bounds()
    slots: list[Slot] = []
    if bounds.slots.last is not None and first <= bounds.slots.last:
        slots = tool.slots(first, last)
    dead = frozenset(tool.dead_slots(first))
    after = None
    # What follows says whether the last slots were skipped, and whether they lead to a root.
    if last < (bounds.slots.last or 0) and (not slots or slots[-1].slot != last or not slots[-1].root):
        after = next(iter(tool.slots(last + 1, most=1)), None)
    return classify(first, last, bounds, slots, dead, after)


def classify(
    first: int, last: int, bounds: Bounds, slots: Iterable[Slot], dead: frozenset[int], after: Slot | None = None
) -> Survey:
    """Put each slot of a range in a class.

    Args:
        first: the range's first slot.
        last: its last.
        bounds: what the ledger spans.
        slots: what the ledger has of the range's slots, in order.
        dead: the slots that are marked dead.
        after: the next that the ledger has above the range.
    """
    kept = tuple(slots)
    rule = _Rule(bounds, dead, {slot.parent for slot in (*kept, *([after] if after else ()))})
    classes: list[Class] = []
    for following in (*kept, after):
        # Above the last that the ledger has there is no parent to ask.
        end = last + 1 if following is None else min(following.slot, last + 1)
        classes += [rule.without(slot, following) for slot in range(first + len(classes), end)]
        if following is not None and following.slot <= last:
            classes.append(rule.within(following))
    if after is not None and after.slot in dead:
        after = None
    return Survey(first, last, bounds, kept, after, tuple(classes))


class _Rule(NamedTuple):
    """Says what class a slot is in.

    Attributes:
        bounds: what the ledger spans.
        dead: the slots that are marked dead.
        parents: the slots that others name as theirs.
    """

    bounds: Bounds
    dead: frozenset[int]
    parents: set[int | None]

    def within(self, slot: Slot) -> Class:
        """Give the class of a slot that has a meta."""
        if slot.slot in self.dead:
            return Class.DEAD
        if not slot.readable:
            return Class.UNREADABLE
        if slot.full:
            return Class.ROOTED if slot.root else Class.FULL
        # It has a meta because others name it as their parent, and for nothing else.
        if slot.parent is None and not slot.shreds:
            return Class.HOLE
        return Class.PARTIAL

    def without(self, slot: int, following: Slot | None) -> Class:
        """Give the class of a slot that has no meta."""
        lowest, highest = self.bounds.slots.first, self.bounds.slots.last
        if lowest is not None and slot < lowest:
            return Class.BELOW_LOWEST
        if slot in self.dead:
            return Class.DEAD
        if highest is None or slot > highest:
            return Class.UNSEEN
        jumped = following is not None and following.parent is not None and following.parent < slot
        return Class.SKIPPED if jumped and slot not in self.parents else Class.HOLE
