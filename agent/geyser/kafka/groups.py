"""Consumer groups over time: whether they work, and when they rebalance."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

# REBALANCING is both of Kafka's names for it; UNKNOWN: the cluster did not say, or in words that are not known here.
State = Literal["stable", "rebalancing", "empty", "dead", "unknown"]
_UP: dict[State, float] = {"stable": 1.0, "rebalancing": 0.5, "empty": 0.0, "dead": 0.0}

Assigned = Mapping[str, Collection[int]]


@dataclass(frozen=True)
class GroupLook:
    """What a cluster said of a group.

    Attributes:
        members: their ids; a consumer that joins anew has another one.
        assigned: the partitions that its members read, by topic.
        committed: by topic and partition; None where the cluster did not say.
    """

    state: State
    members: frozenset[str] = frozenset()
    assigned: Assigned = field(default_factory=dict)
    committed: Mapping[str, Mapping[int, int]] | None = None

    @property
    def up(self) -> float | None:
        """1 while it has members and is stable, 0.5 amid a rebalance, 0 while nobody reads; None: not known."""
        return _UP.get(self.state)


class Group:
    """One group, from look to look."""

    def __init__(self) -> None:
        self._last: GroupLook | None = None
        self._assigned: Assigned = {}

    def take(self, look: GroupLook) -> int:
        """Take the next look; give how many rebalances were seen to begin since the last one, 0 or 1.

        One that began and ended between two looks shows in the members, each of whom a join gives another id.
        """
        last, self._last = self._last, look if look.state != "unknown" else self._last
        if look.state == "stable":
            self._assigned = look.assigned
        elif look.state in ("empty", "dead"):
            self._assigned = {}
        if last is None or look.state == "unknown":
            return 0
        if look.state == "rebalancing":
            return int(last.state != "rebalancing")
        return int(look.state == "stable" and last.state != "rebalancing" and last.members != look.members)

    @property
    def assigned(self) -> Assigned:
        """What the members read, as of the last time when all had been said; nothing while there are none."""
        return self._assigned

    @property
    def works(self) -> bool:
        """Whether it has members."""
        return self._last is not None and bool(self._last.members)
