"""How far a group is behind in a topic: pure functions over what was seen.

The commits of a look were read before its ends, so that a consumer that keeps up is never seen ahead of the end; what
is left of that (a leader that moved, a topic made anew) is clamped to 0 and flagged.
"""

from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from agent.geyser.kafka.history import UNKNOWN, History

# A commit that stood for this long, and for three looks, while the end moved, has stalled: consumers by default commit
# every 5 s.
STALLED_S: Final = 15.0
STALLED_LOOKS: Final = 3

NO_COMMIT: Final = 1
LOST: Final = 2
BEYOND_END: Final = 4
STALLED: Final = 8
AT_LEAST: Final = 16
FLAGS: Final = {
    NO_COMMIT: "no_commit",
    LOST: "lost",
    BEYOND_END: "beyond_end",
    STALLED: "stalled",
    AT_LEAST: "at_least",
}


class PartitionLag(NamedTuple):
    """How far a group is behind in one partition.

    Attributes:
        committed: the next message to be read; UNKNOWN where the group never committed.
        begin: the first message that is still there; UNKNOWN where it could not be asked.
        lag: messages that can still be read and are not committed.
        lag_s: how long the oldest of them has waited.
        lost: messages that retention took before they were read.
    """

    partition: int
    committed: int
    begin: int
    end: int
    lag: int
    lag_s: float
    lost: int
    flags: int

    @property
    def flag_names(self) -> list[str]:
        """The flags in words."""
        return [name for flag, name in FLAGS.items() if self.flags & flag]


class Moved(NamedTuple):
    """What the commits of a topic did between two looks.

    Attributes:
        consumed: messages committed.
        back: by partition, from where to where a commit went back.
    """

    consumed: int
    back: dict[int, tuple[int, int]]


class Summed(NamedTuple):
    """A group's lag in a topic, over its partitions."""

    lag: int = 0
    lag_max: int = 0
    lag_s: float = 0.0
    stalled: int = 0
    uncommitted: int = 0
    lost: int = 0


class Progress:
    """The commits of one group in one topic, and when each of them last moved."""

    def __init__(self) -> None:
        self._committed: array[int] = array("q")
        self._moved_at = array("d")
        self._end_then: array[int] = array("q")

    def take(self, committed: Mapping[int, int], end: Callable[[int], int], now: float) -> Moved:
        """Take a look's commits, by partition, and the ends that were read after them."""
        consumed, back = 0, {}
        self._grow(1 + max(committed, default=-1))
        for partition, before in enumerate(self._committed):
            offset = committed.get(partition, UNKNOWN)
            if offset == before:
                continue
            if offset != UNKNOWN and before != UNKNOWN:
                consumed += max(0, offset - before)
                if offset < before:
                    back[partition] = (before, offset)
            self._committed[partition] = offset
            self._moved_at[partition] = now
            self._end_then[partition] = end(partition)
        return Moved(consumed, back)

    def partitions(self, assigned: Collection[int] = ()) -> list[int]:
        """List the partitions that the group committed in, and those of `assigned`."""
        committed = [partition for partition, offset in enumerate(self._committed) if offset != UNKNOWN]
        return sorted({*committed, *assigned}) if assigned else committed

    def committed(self, partition: int) -> int:
        """Give a partition's commit; UNKNOWN where there is none."""
        return self._committed[partition] if partition < len(self._committed) else UNKNOWN

    def stalled(self, partition: int, end: int, now: float, after_s: float) -> bool:
        """Say whether the commit stands, for some seconds now, while the end moves."""
        return now - self._moved_at[partition] >= after_s and end > self._end_then[partition]

    def _grow(self, partitions: int) -> None:
        more = partitions - len(self._committed)
        if more > 0:
            self._committed.extend([UNKNOWN] * more)
            self._moved_at.extend([0.0] * more)
            self._end_then.extend([UNKNOWN] * more)


class Members(NamedTuple):
    """What a group's members have to do with a topic.

    Attributes:
        assigned: the partitions that they read; those never committed in count from their beginning.
        stalled_after_s: after how long a commit that stands has stalled; None where the group has no members.
    """

    assigned: Collection[int] = ()
    stalled_after_s: float | None = None


def lags(
    progress: Progress, history: History, begins: Sequence[int], members: Members, now: float
) -> list[PartitionLag]:
    """Say how far a group is behind, by partition; a partition whose end is not known, or that is gone, is left out.

    Args:
        begins: the beginning of each partition.
    """
    rows: list[PartitionLag] = []
    for partition in progress.partitions(members.assigned):
        end = history.end(partition)
        if end == UNKNOWN:
            continue
        begin, committed = begins[partition], progress.committed(partition)
        flags, lost = 0, 0
        if committed == UNKNOWN:
            flags, reads = NO_COMMIT, begin
            if begin == UNKNOWN:
                continue
        else:
            lost = max(0, begin - committed) if begin != UNKNOWN else 0
            reads = max(begin, committed)
            flags = (LOST if lost else 0) | (BEYOND_END if committed > end else 0)
        if reads >= end:
            rows.append(PartitionLag(partition, committed, begin, end, 0, 0.0, lost, flags))
            continue
        wait = history.wait(partition, reads, now)
        if wait.at_least:
            flags |= AT_LEAST
        after_s = members.stalled_after_s
        if after_s is not None and committed != UNKNOWN and progress.stalled(partition, end, now, after_s):
            flags |= STALLED
        rows.append(PartitionLag(partition, committed, begin, end, end - reads, wait.seconds, lost, flags))
    return rows


def summed(rows: Sequence[PartitionLag]) -> Summed:
    """Sum a topic's partitions up."""
    total = most = stalled = uncommitted = lost = 0
    longest = 0.0
    for row in rows:
        total += row.lag
        lost += row.lost
        if row.lag > most:
            most = row.lag
        if row.lag_s > longest:
            longest = row.lag_s
        if row.flags:
            stalled += bool(row.flags & STALLED)
            uncommitted += row.flags & NO_COMMIT
    return Summed(total, most, longest, stalled, uncommitted, lost)
