"""Work on a ledger, as a job: survey and repair; each ends by saying how every slot of the range stands."""

from collections import Counter
from collections.abc import Callable, Iterable

from solward.hosts.v1 import link_pb2

from agent.host.snapshots import Snapshots
from agent.jobs.folder import DONE, FAILED, Standing
from agent.jobs.plans import Plans
from agent.ledger import remedy
from agent.ledger.child import ToolError
from agent.ledger.mend import Change, Did, Outcome, carry_out
from agent.ledger.remedy import Plan, PlanRefused
from agent.ledger.survey import Class, RangeRefused, Run, survey
from agent.ledger.tool import LedgerTool

Tell = Callable[[str], None]
Stop = Callable[[], bool]

# So many runs, steps and rests are shown: what a job says must stay small enough to be read.
SHOWN = 200
SURVEY, REPAIR = link_pb2.LEDGER_VERB_SURVEY, link_pb2.LEDGER_VERB_REPAIR
WHOLE = (Class.ROOTED, Class.FULL, Class.SKIPPED)


class LedgerJob:
    """One job.

    Args:
        tool: agave-ledger-tool, on the validator's ledger.
        snapshots: what the node boots from.
        plans: where surveys keep what they planned.
        tell: shown how far it has come.
        stop: whether it is to stop.
    """

    def __init__(
        self,
        tool: LedgerTool,
        snapshots: Snapshots,
        plans: Plans,
        action: link_pb2.LedgerAction,
        tell: Tell,
        stop: Stop,
    ) -> None:
        self._tool = tool
        self._snapshots = snapshots
        self._plans = plans
        self._action = action
        self._tell = tell
        self._stop = stop

    def run(self) -> Standing:
        """Do it, and say what came of it."""
        work = {SURVEY: self._survey, REPAIR: self._repair}.get(self._action.verb)
        if work is None:
            return _failed("ACTION_UNKNOWN", "this agent does not know what is asked of it")
        try:
            return work()
        except (ToolError, PlanRefused, RangeRefused) as error:
            return _failed(error.reason, str(error))
        except OSError as error:
            return _failed("LEDGER_UNREADABLE", f"{error.filename}: {error.strerror}")

    def _survey(self) -> Standing:
        plan = self._planned(self._action.purge_from if self._action.HasField("purge_from") else None)
        report = _report(plan, ())
        report.steps.extend(_step(step) for step in plan.steps[:SHOWN])
        whole = sum(run.last - run.first + 1 for run in plan.runs if run.cls in WHOLE)
        count = plan.last - plan.first + 1
        words = f"{whole} of {count} slots are whole; {len(plan.steps)} steps can be done; plan {plan.digest[:12]}"
        return Standing(state=DONE, message=words, figures=_figures(plan), ledger=report.SerializeToString())

    def _planned(self, purge_from: int | None) -> Plan:
        self._tell(f"looking at slots {self._action.first_slot} to {self._action.last_slot}")
        found = survey(self._tool, self._action.first_slot, self._action.last_slot)
        plan = remedy.plan(found, self._snapshots.boot_slot(), purge_from)
        # Before anything is done: after a crash it is this plan that is gone on with.
        self._plans.keep(plan)
        return plan

    def _repair(self) -> Standing:
        plan = self._shown_plan(self._action.plan_digest) if self._action.plan_digest else self._planned(None)
        outcome = carry_out(plan, self._tool, self._tell, self._stop)
        report = _report(plan, outcome.changes)
        report.steps.extend(_step(did.step, done=did.done, words=did.words) for did in _shown(outcome.did))
        done = sum(did.done for did in outcome.did)
        words = f"{done} of {len(outcome.did)} steps done; {_left_words(plan)}"
        state, reason = (DONE, "") if outcome.done else (FAILED, "NOT_AS_PLANNED")
        return Standing(
            state=state, reason=reason, message=words, figures=_after(plan, outcome), ledger=report.SerializeToString()
        )

    def _shown_plan(self, digest: str) -> Plan:
        plan = self._plans.find(digest)
        if plan is None:
            raise PlanRefused(
                "SURVEY_UNKNOWN", f"no survey with the digest {digest[:12]} is kept here: survey it again"
            )
        if (plan.first, plan.last) != (self._action.first_slot, self._action.last_slot):
            raise PlanRefused("SURVEY_OTHER_RANGE", f"that survey was of slots {plan.first} to {plan.last}")
        if plan.snapshot != self._snapshots.boot_slot():
            raise PlanRefused("PLAN_STALE", "the node would boot from another snapshot by now: survey it again")
        return plan


def _report(plan: Plan, changes: tuple[Change, ...]) -> link_pb2.LedgerReport:
    runs = changes or plan.runs
    return link_pb2.LedgerReport(
        runs=map(_run, runs[:SHOWN]),
        runs_left_out=max(0, len(runs) - SHOWN),
        left=[
            link_pb2.LedgerLeft(
                first=left.first, last=left.last, state=_word(left.cls), verdict=left.verdict.lower(), why=left.why
            )
            for left in plan.left[:SHOWN]
        ],
        left_left_out=max(0, len(plan.left) - SHOWN),
        digest=plan.digest,
        snapshot_slot=plan.snapshot,
        newest_root=plan.newest_root,
    )


def _shown(did: tuple[Did, ...]) -> Iterable[Did]:
    """Choose which steps are shown where there are too many: those first that did not come to what they were for."""
    return did if len(did) <= SHOWN else sorted(did, key=lambda each: each.done)[:SHOWN]


def _run(run: Run | Change) -> link_pb2.SlotRun:
    if isinstance(run, Change):
        return link_pb2.SlotRun(first=run.first, last=run.last, state=_word(run.before), after=_word(run.after))
    return link_pb2.SlotRun(first=run.first, last=run.last, state=_word(run.cls))


def _step(step: remedy.Step, *, done: bool = False, words: str = "") -> link_pb2.LedgerStep:
    return link_pb2.LedgerStep(
        verb=step.verb.lower(), first=step.first, last=step.last, slots=len(step.slots), why=step.why,
        done=done, words=words,
    )  # fmt: skip


def _figures(plan: Plan) -> dict[str, str]:
    figures = _counts(f"slots_{_word(run.cls)}" for run in plan.runs for _ in range(run.first, run.last + 1))
    if len(plan.steps) > SHOWN:
        figures["steps_left_out"] = str(len(plan.steps) - SHOWN)
    return figures | {"plan_digest": plan.digest}


def _after(plan: Plan, outcome: Outcome) -> dict[str, str]:
    return _figures(plan) | _counts(f"slots_{_word(cls)}_after" for cls in outcome.after.classes)


def _counts(names: Iterable[str]) -> dict[str, str]:
    return {name: str(count) for name, count in sorted(Counter(names).items())}


def _left_words(plan: Plan) -> str:
    counts = Counter[remedy.Verdict]()
    for left in plan.left:
        counts[left.verdict] += left.last - left.first + 1
    if not counts:
        return "nothing else is wrong"
    said = {
        remedy.Verdict.NODE_REPAIRS: "that the node repairs itself once it runs",
        remedy.Verdict.NOT_REPAIRABLE: "that cannot be had back here",
        remedy.Verdict.UNPROVEN: "that are whole and not marked as roots",
    }
    return ", ".join(f"{count} slots {said[verdict]}" for verdict, count in counts.items())


def _word(cls: Class) -> str:
    return cls.lower()


def _failed(reason: str, message: str) -> Standing:
    return Standing(state=FAILED, reason=reason, message=message)
