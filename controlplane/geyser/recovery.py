"""When a pipeline mends itself, and how; pure: flows and tries in, one decision out.

It does nothing without knowing that a hop is at fault: one thing at a time, with a pause between two tries that
doubles, and no more often in an hour than its budget.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from solward.geyser.v1 import geyser_pb2 as pb

from controlplane.geyser.settings import Cure, CureSettings, Flaw, RecoverySettings
from controlplane.store.recoveries import Try

HOUR_MS = 3600 * 1000
_FLAWS: dict[Flaw, pb.Flow] = {
    "slow": pb.FLOW_SLOW, "losing": pb.FLOW_LOSING, "stalled": pb.FLOW_STALLED, "down": pb.FLOW_DOWN,
}  # fmt: skip


class Decision(NamedTuple):
    """What is done now: a step of a cure, or nothing; and why, in words."""

    message: str
    hop: str = ""
    step: Cure | None = None


@dataclass(slots=True)
class Faults:
    """How long each hop has been at fault, for each cure.

    Attributes:
        since_ms: when it began, by the place of the cure.
        well_ms: when the hop was last seen to flow, by its name.
        asked_ms: when a person turned the recovery on, who has looked: steps begin anew then.
    """

    since_ms: dict[int, int] = field(default_factory=dict)
    well_ms: dict[str, int] = field(default_factory=dict)
    asked_ms: int = 0

    def see(self, cures: Sequence[CureSettings], flows: Mapping[str, pb.Flow], now_ms: int) -> None:
        """Take in how the hops stand."""
        for place, cure in enumerate(cures):
            flow = flows[cure.hop]
            if flow == pb.FLOW_OK:
                self.well_ms[cure.hop] = now_ms
            if flow in [_FLAWS[flaw] for flaw in cure.flaws]:
                self.since_ms.setdefault(place, now_ms)
            else:
                # What is not known to be at fault is not: unknown and starved count from the start again.
                self.since_ms.pop(place, None)


def decide(recovery: RecoverySettings, faults: Faults, tries: Sequence[Try], now_ms: int) -> Decision:
    """Decide what a pipeline does about its faults now.

    Args:
        recovery: what it may do.
        faults: what is at fault, and since when.
        tries: what it tried within the last day, the oldest first.
        now_ms: milliseconds since the epoch.
    """
    due = [
        cure
        for place, cure in enumerate(recovery.cures)
        if (since := faults.since_ms.get(place)) is not None and now_ms - since >= cure.for_seconds * 1000
    ]
    if not due:
        waits = [recovery.cures[place].hop for place in sorted(faults.since_ms)]
        return Decision(f"{waits[0]} is at fault, and is given time" if waits else "nothing is at fault")
    if tries and (left := _pause_ms(recovery, faults, tries) - (now_ms - tries[-1].begun_ms)) > 0:
        return Decision(f"{due[0].hop}: {tries[-1].step} is given time; {left / 1000:.0f} s until the next try")
    if len(lately(tries, now_ms)) >= recovery.budget_per_hour:
        return Decision(f"{due[0].hop}: the budget of {recovery.budget_per_hour} tries an hour is used up")
    for cure in due:
        steps = list(cure.steps)
        # Of several cures of a hop each has its own steps; one that they share is tried once for all of them.
        for one in _of_this_fault(cure.hop, faults, tries):
            if one.step in steps:
                steps.remove(one.step)
        if steps:
            return Decision(f"{cure.hop}: {steps[0]} is due", cure.hop, steps[0])
    return Decision(f"{due[0].hop}: every step was tried, and it is still at fault: a person must look")


def lately(tries: Sequence[Try], now_ms: int) -> list[Try]:
    """Give the tries of the last hour, which its budget is about."""
    return [one for one in tries if one.begun_ms >= now_ms - HOUR_MS]


def _of_this_fault(hop: str, faults: Faults, tries: Sequence[Try]) -> list[Try]:
    """Find the tries about a fault: those since the hop flowed last, or a person turned the recovery on.

    Not those of the last hour alone: what was tried in vain is not tried again because time has passed. After a restart
    of ours all that are known count, for it is not known when the hop flowed last.
    """
    since_ms = max(faults.well_ms.get(hop, 0), faults.asked_ms)
    return [one for one in tries if one.hop == hop and one.begun_ms >= since_ms]


def _pause_ms(recovery: RecoverySettings, faults: Faults, tries: Sequence[Try]) -> float:
    """How long after a try the next one may begin: its time to show, and the pause, doubled with each in a row."""
    row = len(_of_this_fault(tries[-1].hop, faults, tries))
    return (recovery.settle_seconds + recovery.back_off_seconds * float(2 ** max(0, row - 1))) * 1000
