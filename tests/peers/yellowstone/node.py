"""The fake node: slots at a pace, told to whoever listens, and the faults of the stream that tells of them."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

FINALIZED_LAG = 32


class Slot(NamedTuple):
    """A slot, and the one that it builds on."""

    number: int
    parent: int


@dataclass
class Faults:
    """What goes wrong; each holds until it is taken back.

    Attributes:
        delay_ms: how much later than the node's own RPC the stream tells of a slot.
        silent: no slots come; pings do unless `mute`.
        mute: nothing comes at all.
        deaf: new streams get no answer, not even headers.
        shuffle: so many updates are put out of order.
        drop: slots that the stream leaves out.
        skip: slots that the cluster skips: nobody tells of them.
        end: code and words that open streams end with at once.
        refuse: code and words that new streams are refused with.
        big_mb: a message of so many megabytes is sent, once, to each stream.
        capacity: messages that wait for a slow reader before its stream ends.
        unknown: updates of a kind that no client knows come in between.
    """

    delay_ms: float = 0.0
    silent: bool = False
    mute: bool = False
    deaf: bool = False
    shuffle: int = 0
    drop: list[int] = field(default_factory=list)
    skip: list[int] = field(default_factory=list)
    end: tuple[str, str] | None = None
    refuse: tuple[str, str] | None = None
    big_mb: float = 0.0
    capacity: int = 250_000
    unknown: bool = False


class Node:
    """Makes a slot each `slot_ms` milliseconds, and tells of it."""

    def __init__(self, slot_ms: float, first_slot: int = 1_000) -> None:
        self._slot_s = slot_ms / 1000
        self.faults = Faults()
        self.slot = Slot(first_slot, first_slot - 1)
        # When each of the newest slots was told of, by the node's RPC and by the stream.
        self.pushed_at: dict[int, float] = {}
        self.streamed_at: dict[int, float] = {}
        self.listeners: set[Callable[[Slot], None]] = set()

    async def run(self) -> None:
        """Make slots until cancelled."""
        due = time.monotonic()
        while True:
            due += self._slot_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            number = self.slot.number + 1
            while number in self.faults.skip:
                number += 1
            self.slot = Slot(number, self.slot.number)
            for tell in list(self.listeners):
                tell(self.slot)


class Shuffler:
    """Holds things back and gives them in another order."""

    def __init__(self, seed: int = 7) -> None:
        self._held: list[object] = []
        self._random = random.Random(seed)

    def pass_on(self, thing: object, most: int) -> list[object]:
        """Take one thing in; give what is due."""
        self._held.append(thing)
        if len(self._held) <= most:
            return []
        self._random.shuffle(self._held)
        due, self._held = (self._held[:1], self._held[1:]) if most else (self._held, [])
        return due
