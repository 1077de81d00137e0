"""Slots of one subscription against the node's own: how late they are, which never came, where the chain breaks."""

from typing import Final, NamedTuple

from yellowstone import geyser_pb2

from agent.geyser.board import SlotBoard

# Statuses of a slot come within 32 slots of each other; this is many times that.
KEPT: Final = 1024


class Tally(NamedTuple):
    """What was found since the last look.

    Attributes:
        delays_s: by slot, of those that the node has told of as well, how much later the stream did; below 0: earlier.
        missed: slots that the node has had for long and the stream has not told of.
        gaps: parents that the stream has not told of, though it told of a child.
    """

    delays_s: dict[int, float]
    missed: int
    gaps: int


class SlotTracker:
    """Takes in what a subscription tells of slots, in any order.

    Slots that are skipped have no block, so nothing is said of a number that is left out: it is parents that are
    followed, and the node's own slots that are compared.

    Args:
        board: what the node told; None: nothing is known of it.
        late_s: seconds after which what has not come is missed.
    """

    def __init__(self, board: SlotBoard | None, late_s: float) -> None:
        self._board = board
        self._late_s = late_s
        self.newest: int | None = None
        self.begin()

    def begin(self) -> None:
        """Begin anew: what an earlier subscription told says nothing of this one."""
        self._seen: set[int] = set()
        self._ready: set[int] = set()
        self._untimed: dict[int, float] = {}
        self._parents: dict[int, float] = {}
        self._broken: set[int] = set()
        self._first: int | None = None
        self._checked = 0.0

    def take(self, update: geyser_pb2.SubscribeUpdateSlot, at: float) -> None:
        """Take in one update.

        Args:
            at: when it arrived, in seconds of the board's clock.
        """
        slot = update.slot
        self._parents.pop(slot, None)
        self._seen.add(slot)
        if update.status == geyser_pb2.SLOT_PROCESSED and slot not in self._ready:
            self._ready.add(slot)
            self._processed(update, at)
        if len(self._seen) > 2 * KEPT:
            self._forget()

    def _processed(self, update: geyser_pb2.SubscribeUpdateSlot, at: float) -> None:
        slot, parent = update.slot, update.parent
        self.newest = slot if self.newest is None else max(self.newest, slot)
        if self._first is None:
            self._first, self._checked = slot, at
        self._untimed[slot] = at
        if parent > self._first and parent not in self._seen and parent not in self._broken:
            self._parents.setdefault(parent, at)

    def tick(self, now: float) -> Tally:
        """Say what was found by now; each finding is told once."""
        due = now - self._late_s
        gaps = [parent for parent, at in self._parents.items() if at <= due]
        for parent in gaps:
            del self._parents[parent]
            # Told once, whatever else is built on it.
            self._broken.add(parent)
        return Tally(self._delays(due), self._missed(due), len(gaps))

    def _delays(self, due: float) -> dict[int, float]:
        if self._board is None:
            self._untimed.clear()
            return {}
        delays = {}
        for slot, at in list(self._untimed.items()):
            ready = self._board.ready_at(slot)
            if ready is not None:
                delays[slot] = at - ready
            if ready is not None or at <= due:
                del self._untimed[slot]
        return delays

    def _missed(self, due: float) -> int:
        if self._board is None or self._first is None or due <= self._checked:
            return 0
        missed = 0
        for slot, _ in self._board.told_between(self._checked, due):
            missed += slot > self._first and slot not in self._seen
        self._checked = due
        return missed

    def _forget(self) -> None:
        """Let go of the oldest slots; no parent is looked for among them any more."""
        self._seen = set(sorted(self._seen)[-KEPT:])
        oldest = min(self._seen)
        self._ready = {slot for slot in self._ready if slot >= oldest}
        self._broken = {slot for slot in self._broken if slot >= oldest}
        if self._first is not None:
            self._first = max(self._first, oldest)
