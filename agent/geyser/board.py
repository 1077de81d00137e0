"""When the node itself told of its slots: what probes of its RPC see, for those who compare a stream with it."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

# Seven minutes of slots.
KEPT: Final = 1024


class SlotBoard:
    """Remembers when each of the newest slots was first told of.

    A slot is told of when its bank is made, and once more when it is frozen, where the node tells of that; a stream's
    `processed` is the same moment as the latter. All times are of `time.monotonic`, in seconds.
    """

    def __init__(self) -> None:
        self._told: OrderedDict[int, float] = OrderedDict()
        self._frozen: OrderedDict[int, float] = OrderedDict()

    def told(self, slot: int, at: float) -> None:
        """Note that the node told of a slot."""
        _note(self._told, slot, at)

    def frozen(self, slot: int, at: float) -> None:
        """Note that the node told of a slot that was frozen, which is replayed whole by then."""
        _note(self._frozen, slot, at)
        self.told(slot, at)

    def ready_at(self, slot: int) -> float | None:
        """Say when the node had a slot: frozen, or where it never tells of that, at all; None where it has not."""
        return (self._frozen or self._told).get(slot)

    def told_between(self, after: float, until: float) -> Iterator[tuple[int, float]]:
        """Give the slots that were first told of within a time (its end included), the newest first, and when."""
        for slot, at in reversed(self._told.items()):
            if at <= after:
                return
            if at <= until:
                yield slot, at


def _note(where: OrderedDict[int, float], slot: int, at: float) -> None:
    where.setdefault(slot, at)
    while len(where) > KEPT:
        where.popitem(last=False)
