"""Carries out a plan, as often as it takes: what is done already is not done again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from agent.ledger.child import Stop
from agent.ledger.output import Bounds
from agent.ledger.remedy import Plan, PlanRefused, Step, Verb
from agent.ledger.survey import Class, Survey, runs, survey
from agent.ledger.tool import LedgerTool

Tell = Callable[[str], None]
_GONE = (Class.UNSEEN, Class.HOLE, Class.SKIPPED)


class Change(NamedTuple):
    """Slots that follow each other, of one class before and one after."""

    first: int
    last: int
    before: Class
    after: Class


class Did(NamedTuple):
    """What came of a step.

    Attributes:
        step: which.
        done: whether the ledger is as the step was to make it.
        words: what the tool did.
    """

    step: Step
    done: bool
    words: str


@dataclass(frozen=True)
class Outcome:
    """What came of a plan.

    Attributes:
        did: each step.
        changes: the whole range, before and after.
        after: what was found afterwards.
    """

    did: tuple[Did, ...]
    changes: tuple[Change, ...]
    after: Survey

    @property
    def done(self) -> bool:
        """Whether the ledger is as the plan was to make it."""
        return all(did.done for did in self.did)


def carry_out(plan: Plan, tool: LedgerTool, tell: Tell, stop: Stop) -> Outcome:
    """Do a plan's steps, and look at the range again.

    After a crash, or a stop, the same plan is carried out again, and ends as if it had gone through at once. A new plan
    would be of what was half done, and have another digest.

    Args:
        plan: what to do; its snapshot must still be what the node boots from.
        tool: the tool, on the ledger that was surveyed.
        tell: shown how far it has come.
        stop: asked about five times a second.

    Raises:
        ToolError: the tool failed, or it was stopped; steps before it were done.
        PlanRefused: PLAN_ALTERED, or PLAN_STALE where the node has run since; nothing was done.
    """
    plan.check()
    tool = replace(tool, stop=stop)
    words = _do(plan, tool, tell) if plan.steps else []
    tell("looking at the ledger again")
    after = survey(tool, plan.first, plan.last)
    did = tuple(Did(step, _is_done(step, after), said) for step, said in zip(plan.steps, words, strict=True))
    before = (run.cls for run in plan.runs for _ in range(run.first, run.last + 1))
    pairs = zip(before, after.classes, strict=True)
    changes = tuple(Change(first, last, *pair) for first, last, pair in runs(enumerate(pairs, plan.first)))
    return Outcome(did, changes, after)


def _do(plan: Plan, tool: LedgerTool, tell: Tell) -> list[str]:
    bounds = tool.bounds()
    _check_fresh(plan, bounds)
    words = []
    for number, step in enumerate(plan.steps, 1):
        tell(f"step {number} of {len(plan.steps)}: {step.verb}, slots {step.first} to {step.last}")
        words.append(_VERBS[step.verb](step, tool, bounds))
        tell(words[-1])
    return words


def _check_fresh(plan: Plan, bounds: Bounds) -> None:
    """No step adds a slot, or a root above the newest; a node does."""
    for now, then in ((bounds.slots.last, plan.highest), (bounds.roots.last, plan.newest_root)):
        if now is not None and (then is None or now > then):
            raise PlanRefused("PLAN_STALE", f"the ledger has slot {now} by now, and had {then}: survey it again")


def _repair_roots(step: Step, tool: LedgerTool, _bounds: Bounds) -> str:
    # Those that are marked already are not counted and not written.
    count = tool.repair_roots(step.last, step.first, max(1, step.last - step.first))
    return f"{count} root markers written"


def _remove_dead(step: Step, tool: LedgerTool, _bounds: Bounds) -> str:
    dead = set(tool.dead_slots(step.first))
    slots = [slot for slot in step.slots if slot in dead]
    tool.remove_dead_slots(slots)
    return f"{len(slots)} slots are dead no more"


def _purge(step: Step, tool: LedgerTool, bounds: Bounds) -> str:
    # The tool fails where there is nothing to purge.
    if bounds.slots.last is None or bounds.slots.last < step.first:
        return "nothing was left to purge"
    tool.purge(step.first, step.last)
    return f"purged up to slot {bounds.slots.last}"


_VERBS: dict[Verb, Callable[[Step, LedgerTool, Bounds], str]] = {
    Verb.REPAIR_ROOTS: _repair_roots,
    Verb.REMOVE_DEAD: _remove_dead,
    Verb.PURGE: _purge,
}


def _is_done(step: Step, after: Survey) -> bool:
    """Whether the ledger is so: the tool says of some failures nothing but a line in its log."""
    match step.verb:
        case Verb.REPAIR_ROOTS:
            return all(after.of(slot) is Class.ROOTED for slot in step.slots)
        case Verb.REMOVE_DEAD:
            return all(after.of(slot) is not Class.DEAD for slot in step.slots)
        case Verb.PURGE:
            return all(cls in _GONE for slot, cls in after.each() if step.first <= slot <= step.last)
