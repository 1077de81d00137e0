"""What can honestly be done for a range of a ledger: steps for the tool, and what stays as it is, and why."""

import hashlib
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from agent.ledger.output import Slot
from agent.ledger.survey import Class, Run, Survey, runs

_LINKED = (Class.ROOTED, Class.FULL)
_ELSEWHERE = "only a copy from another ledger, or Bigtable, has it"


class Verb(StrEnum):
    """What a step has the tool do."""

    REPAIR_ROOTS = "REPAIR_ROOTS"
    REMOVE_DEAD = "REMOVE_DEAD"
    PURGE = "PURGE"


class Verdict(StrEnum):
    """Why nothing is done here for slots that are not whole.

    Attributes:
        NODE_REPAIRS: the running node asks its peers for them by itself; it can only be nudged.
        NOT_REPAIRABLE: no step brings them back.
        UNPROVEN: all is there, but that it belongs to the rooted chain cannot be seen from the range.
    """

    NODE_REPAIRS = "NODE_REPAIRS"
    NOT_REPAIRABLE = "NOT_REPAIRABLE"
    UNPROVEN = "UNPROVEN"


class PlanRefused(Exception):
    """A plan that is not made or not carried out.

    The reason is NO_SNAPSHOT, AT_OR_BELOW_SNAPSHOT, PURGE_OUT_OF_RANGE, TAIL_NOT_SURVEYED, PLAN_ALTERED or PLAN_STALE.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One command of the tool.

    Attributes:
        verb: which.
        first: the lowest slot that it changes.
        last: the highest; of REPAIR_ROOTS the root that it begins at, which stays as it is.
        slots: which of them it changes; empty for PURGE, which deletes all.
        why: in words.
    """

    verb: Verb
    first: int
    last: int
    slots: tuple[int, ...]
    why: str


class Left(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Slots that are not whole and that no step is for."""

    first: int
    last: int
    cls: Class
    verdict: Verdict
    why: str


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be done, in this order; kept as JSON (msgspec.json) it is carried on with after a crash.

    Attributes:
        first: the range's first slot.
        last: its last.
        snapshot: the slot that the node boots from; None where it has no usable snapshot.
        purge_from: what the caller asked to be purged from on; None for nothing.
        newest_root: the newest root marker of the ledger; None where there is none.
        highest: the highest slot of the ledger; None where it is empty.
        runs: the range as it was found.
        steps: what is to be done.
        left: what stays as it is.
        digest: the sha256 of all that.
    """

    first: int
    last: int
    snapshot: int | None
    purge_from: int | None
    newest_root: int | None
    highest: int | None
    runs: tuple[Run, ...]
    steps: tuple[Step, ...]
    left: tuple[Left, ...]
    digest: str = ""

    def sealed(self) -> "Plan":
        """Give the plan with its digest."""
        bare = msgspec.structs.replace(self, digest="")
        return msgspec.structs.replace(bare, digest=hashlib.sha256(msgspec.json.encode(bare)).hexdigest())

    def check(self) -> None:
        """Look whether it is as it was made, and purges nothing that the node boots from; raises PlanRefused."""
        if self.digest != self.sealed().digest:
            raise PlanRefused("PLAN_ALTERED", "the plan is not as it was made")
        for step in self.steps:
            if step.verb is Verb.PURGE:
                _check_above(step.first, self.snapshot)


def plan(found: Survey, snapshot: int | None, purge_from: int | None = None) -> Plan:
    """Plan what can be done for what was found.

    Args:
        found: a survey of the ledger, whose node is down.
        snapshot: the slot of the newest snapshot that the node can boot from; None where there is none.
        purge_from: delete all from this slot on, so that the node asks for it again; None for no purge. It takes a
            person to say so: a tail that was replayed well looks the same.

    Raises: PlanRefused.
    """
    planner = _Planner(found, snapshot, purge_from)
    highest, root = found.bounds.slots.last, found.bounds.roots.last
    return Plan(
        first=found.first,
        last=found.last,
        snapshot=snapshot,
        purge_from=purge_from,
        newest_root=root,
        highest=highest,
        runs=found.runs,
        steps=planner.steps(),
        left=planner.left(),
    ).sealed()


def _check_above(slot: int, snapshot: int | None) -> None:
    if snapshot is None:
        raise PlanRefused("NO_SNAPSHOT", "nothing is purged where the node has no snapshot to boot from")
    if slot <= snapshot:
        raise PlanRefused("AT_OR_BELOW_SNAPSHOT", f"slot {slot} is not above the snapshot's, {snapshot}")


class _Planner:
    """Makes the parts of a plan; raises PlanRefused."""

    def __init__(self, found: Survey, snapshot: int | None, purge_from: int | None) -> None:
        self._found, self._snapshot = found, snapshot
        self._root = found.bounds.roots.last
        highest = found.bounds.slots.last
        self._purged = range(0)
        if purge_from is not None:
            self._check_purge(purge_from, highest)
            self._purged = range(purge_from, (highest or 0) + 1)
        self._chains = [chain for chain in _lost(found, self._purged) if chain[1:]]
        self._dead = [slot for slot, cls in found.each() if cls is Class.DEAD and self._replayed(slot)]
        self._changed = {slot for chain in self._chains for slot in chain[1:]} | set(self._dead)

    def steps(self) -> tuple[Step, ...]:
        """Give the steps: the purge comes last, so that what is before it can be done again after a crash."""
        return (*self._root_steps(), *self._dead_steps(), *self._purge_steps())

    def left(self) -> tuple[Left, ...]:
        """Give what no step is for."""
        judged = ((slot, self._judge(slot, cls)) for slot, cls in self._found.each())
        return tuple(
            Left(first, last, *what)
            for first, last, what in runs((slot, what) for slot, what in judged if what is not None)
        )

    def _check_purge(self, start: int, highest: int | None) -> None:
        _check_above(start, self._snapshot)
        if self._found.of(start) is None:
            raise PlanRefused("PURGE_OUT_OF_RANGE", f"slot {start} was not surveyed")
        # Were a root left above what is purged, the node would never ask for it again.
        if highest is not None and highest > self._found.last:
            raise PlanRefused("TAIL_NOT_SURVEYED", f"the ledger goes on to slot {highest}: survey up to that one")

    def _replayed(self, slot: int) -> bool:
        return self._snapshot is not None and slot > self._snapshot and slot not in self._purged

    def _root_steps(self) -> Iterator[Step]:
        for before, *lost in self._chains:
            why = f"{len(lost)} ancestors of root {before} have all shreds and no root marker"
            yield Step(Verb.REPAIR_ROOTS, lost[-1], before, tuple(lost[::-1]), why)

    def _dead_steps(self) -> Iterator[Step]:
        if self._dead:
            why = (
                f"they are above the snapshot's slot {self._snapshot}: without the mark the node replays them; "
                "what is truly wrong it will mark again"
            )
            yield Step(Verb.REMOVE_DEAD, self._dead[0], self._dead[-1], tuple(self._dead), why)

    def _purge_steps(self) -> Iterator[Step]:
        if self._purged:
            rooted = sum(cls is Class.ROOTED for slot, cls in self._found.each() if slot in self._purged)
            why = f"asked for; {rooted} of them are rooted; from slot {self._snapshot} on the node asks for them again"
            yield Step(Verb.PURGE, self._purged[0], self._purged[-1], (), why)

    def _judge(self, slot: int, cls: Class) -> tuple[Class, Verdict, str] | None:
        if cls in (Class.ROOTED, Class.SKIPPED) or slot in self._purged or slot in self._changed:
            return None
        if cls is Class.FULL:
            return None if self._above_root(slot) else (cls, Verdict.UNPROVEN, self._unproven())
        if cls in (Class.PARTIAL, Class.HOLE, Class.UNSEEN) and self._above_root(slot):
            return cls, Verdict.NODE_REPAIRS, "above the root; the node asks its peers for it once it runs"
        return cls, Verdict.NOT_REPAIRABLE, self._why_not(slot, cls)

    def _above_root(self, slot: int) -> bool:
        # A node that boots from a snapshot takes its slot for its root.
        return slot > max(-1 if edge is None else edge for edge in (self._root, self._snapshot))

    @staticmethod
    def _unproven() -> str:
        return "no root of the range descends from it: a fork that was let go, or its root is above the range"

    def _why_not(self, slot: int, cls: Class) -> str:
        if cls is Class.DEAD and self._snapshot is None:
            return "it is not known which snapshot the node boots from, so not whether it replays it"
        if cls is Class.DEAD:
            return "at or below the snapshot's slot; the node never replays it"
        if cls is Class.BELOW_LOWEST:
            return f"older than what the ledger keeps; {_ELSEWHERE}"
        why = f"at or below the root, where the node takes no shreds; {_ELSEWHERE}"
        if cls is Class.UNREADABLE:
            why = f"the node does not ask again for shreds that it has; {_ELSEWHERE}"
        if self._snapshot is not None and slot > self._snapshot:
            why += (
                "; above the snapshot's slot, so a purge from there on, where asked for, has the node ask for all again"
            )
        return why


def _lost(found: Survey, purged: range) -> Iterator[list[int]]:
    """Give the chains of lost root markers: a root that stays, then its unmarked ancestors, from the newest on.

    Where a chain has markers in between it goes on: to mark the whole of it is one command. It never goes over a slot
    that is not whole: the tool would mark that too.
    """
    slots: dict[int, Slot] = {slot.slot: slot for slot in found.slots}
    seen: set[int] = set()
    for anchor in _anchors(found, purged):
        chain: list[int] = []
        root = slot = anchor
        while slot not in seen:
            seen.add(slot)
            if found.of(slot) is Class.FULL:
                chain.append(slot)
            elif not chain:
                root = slot
            parent = found.after.parent if found.after and slot == found.after.slot else slots[slot].parent
            if parent is None or parent == slot or found.of(parent) not in _LINKED:
                break
            slot = parent
        yield [root, *chain]


def _anchors(found: Survey, purged: range) -> Iterator[int]:
    after = found.after
    if after is not None and after.root and after.full:
        yield after.slot
    yield from (slot for slot, cls in reversed(list(found.each())) if cls is Class.ROOTED and slot not in purged)
