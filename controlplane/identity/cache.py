"""A small cache for answers that may be at most a moment old."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class ShortCache(Generic[Key, Value]):
    """Keeps answers for `life_s` seconds; this process forgets one at once when it changes what it says.

    Another replica's change is seen when the answer's life is over, which bounds how long a revoked
    credential still works.
    """

    def __init__(self, life_s: float, size: int = 10_000) -> None:
        self._life_s = life_s
        self._size = size
        self._kept: OrderedDict[Key, tuple[float, Value]] = OrderedDict()
        self._generation = 0

    async def get(self, key: Key, load: Callable[[], Awaitable[Value]]) -> Value:
        """Give the kept answer, or load it; a failure to load is not kept."""
        kept = self._kept.get(key)
        if kept and time.monotonic() < kept[0]:
            return kept[1]
        generation = self._generation
        value = await load()
        # An answer loaded before somebody forgot must not come back after it.
        if generation == self._generation:
            self._kept[key] = (time.monotonic() + self._life_s, value)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return value

    def forget(self) -> None:
        """Forget every answer."""
        self._kept.clear()
        self._generation += 1
