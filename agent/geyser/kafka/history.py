"""When a topic's ends were where: what turns a lag of messages into a lag of time."""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

# An end, a beginning or a commit that is not known.
UNKNOWN = -1
# The looks that are kept: the younger half as they came, the older ones ever sparser, so that days fit in.
LOOKS = 240


class Wait(NamedTuple):
    """How long the oldest message that is not committed has waited.

    Attributes:
        at_least: it came before the first look, so that it may have waited for longer.
    """

    seconds: float
    at_least: bool = False


class History:
    """The ends of one topic's partitions over time; times are of a clock that only goes on, in seconds."""

    def __init__(self, looks: int = LOOKS) -> None:
        self._looks = looks
        self._times = array("d")
        self._ends: list[array[int]] = []

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return len(self._ends)

    def end(self, partition: int) -> int:
        """Give the last end that is known; UNKNOWN where none is."""
        return self._ends[partition][-1] if partition < len(self._ends) and self._times else UNKNOWN

    def add(self, now: float, ends: Sequence[int]) -> list[int]:
        """Take a look's ends, by partition; an UNKNOWN one is taken to stand where it stood.

        Returns: the partitions whose end went back. Of them what was known before is forgotten.
        """
        back: list[int] = []
        del self._ends[len(ends) :]
        while len(self._ends) < len(ends):
            self._ends.append(array("q", [UNKNOWN]) * len(self._times))
        known = len(self._times)
        for partition, (column, end) in enumerate(zip(self._ends, ends, strict=True)):
            last = column[-1] if known else UNKNOWN
            if end == UNKNOWN:
                column.append(last)
                continue
            if end < last:
                back.append(partition)
                column[:] = array("q", [UNKNOWN]) * known
            column.append(end)
        self._times.append(now)
        if len(self._times) > self._looks:
            self._thin()
        return back

    def wait(self, partition: int, committed: int, now: float) -> Wait:
        """Say how long ago the end was where the commit is now, on the line between two looks."""
        ends = self._ends[partition]
        if not ends or committed >= ends[-1]:
            return Wait(0.0)
        after = bisect_right(ends, committed)
        until = self._times[after]
        before = ends[after - 1] if after else UNKNOWN
        if before == UNKNOWN:
            return Wait(max(0.0, now - until), at_least=True)
        since = self._times[after - 1]
        share = (committed - before) / (ends[after] - before)
        return Wait(max(0.0, now - (since + share * (until - since))))

    def _thin(self) -> None:
        older = slice(1, len(self._times) // 2, 2)
        del self._times[older]
        for column in self._ends:
            del column[older]
