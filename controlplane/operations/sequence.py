"""Several operations on one host, one after the other, as a durable workflow; each is an operation of its own.

Its state is all on the board: a part is found again after a crash by its name, which follows from the whole, the step
and the attempt.
"""

from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import NamedTuple

import grpc
import structlog
from dbos import DBOS, DBOSConfiguredInstance
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from common.errors import SolwardError, info_of
from common.names import operation_name
from controlplane.links.registry import Links
from controlplane.operations.approvals import wait_for_approval
from controlplane.operations.board import ended
from controlplane.operations.fleet import NOT_YET, Children, Patience, child_uid, host_gone
from controlplane.operations.outcome import close
from controlplane.operations.plan import DOWN, UnitPlan, Wish, plan_unit, validator_unit
from controlplane.operations.steps import Steps
from controlplane.store.hosts import ACTIVE, HostRepository

log = structlog.get_logger(__name__)

PASS, ABORTED = int(pb.VERDICT_PASS), int(pb.VERDICT_UNSPECIFIED)
# So long a host is waited for that keeps a part from putting back what was taken down.
PUT_BACK_WITHIN_S = 24 * 3600.0
# For the gates of what puts back: a look that fails for a while must not leave the node down.
PUT_BACK_GATES_S = 600


class Part(NamedTuple):
    """One operation of several.

    Attributes:
        step: names it within the whole.
        title: what it does, in words.
        kind: what it is: a start or stop, planned when its turn comes, or a job.
        job: of a job, its UnitPlan's fields.
        puts_back: it undoes the first part, and has its turn whatever came of those between, also if they were aborted.
    """

    step: str
    title: str
    kind: str
    job: tuple[object, ...] = ()
    puts_back: bool = False


class SequencePlan(NamedTuple):
    """What is done to one host, in parts, each a Part's fields."""

    kind: str
    host_uid: str
    host: str
    hash: str
    parts: tuple[tuple[object, ...], ...]
    wait_s: int = 0


@DBOS.dbos_class()
class SequenceWorkflow(DBOSConfiguredInstance):
    """Carries out a SequencePlan."""

    def __init__(
        self, steps: Steps, links: Links, hosts: HostRepository, children: Children, *, begin_within_s: float
    ) -> None:
        self._steps = steps
        self._board = steps.board
        self._links = links
        self._hosts = hosts
        self._children = children
        self._begin_within_s = begin_within_s
        super().__init__(config_name="sequence")

    @DBOS.workflow()
    async def run(self, uid: str, plan: Sequence[object]) -> None:
        """Wait for approval, then give each part its turn."""
        try:
            await self._steps.work_on(uid)
            verdict = await self.go(uid, plan)
        except Exception:
            log.exception("an operation cannot go on", operation=operation_name(uid))
            verdict = int(pb.VERDICT_ERROR)
        await self.close(uid, verdict)
        await self.record(uid)

    @DBOS.step(retries_allowed=True, max_attempts=10, interval_seconds=1.0)
    async def go(self, uid: str, plan: Sequence[object]) -> int:
        """Give each part its turn, once.

        Gives the verdict of the first that did not pass; of what did not put back what was taken down, that one's.
        """
        wanted = SequencePlan(*plan)  # type: ignore[arg-type]
        worst = await self._approved(uid)
        if worst != PASS:
            return worst
        for fields in wanted.parts:
            part = Part(*fields)  # type: ignore[arg-type]
            if not (await self._steps.get(uid, part.step)).HasField("end_time"):
                if not await self._has_its_turn(uid, part, worst):
                    worst = ABORTED if worst == PASS else worst
                    continue
                await self._turn(uid, wanted, part)
            verdict = (await self._steps.get(uid, part.step)).verdict
            if part.puts_back and verdict != PASS:
                # What was taken down is down: that is how the whole ended, also where a person had ended it.
                return verdict
            worst = verdict if worst == PASS else worst
        return ABORTED if worst != PASS and await self._steps.aborted(uid) else worst

    @DBOS.step(retries_allowed=True, max_attempts=10, interval_seconds=1.0)
    async def close(self, uid: str, verdict: int) -> None:
        """End the operation, once."""

        def end(operation: pb.Operation) -> None:
            if not ended(operation):
                close(operation, verdict)

        await self._board.change(uid, end)

    @DBOS.step(retries_allowed=True, max_attempts=10, interval_seconds=1.0)
    async def record(self, uid: str) -> None:
        """Put the operation's outcome on record; an audit store that is down for a while is waited for."""
        await self._steps.record_outcome(uid)

    async def _approved(self, uid: str) -> int:
        operation = await self._board.get(uid)
        if not operation.approvals_required or operation.state != pb.OPERATION_STATE_AWAITING_APPROVAL:
            return PASS
        await self._steps.begin(uid, "approve")
        verdict, message = await wait_for_approval(self._board, uid)
        return await self._steps.end(uid, "approve", verdict, message)

    async def _has_its_turn(self, uid: str, part: Part, worst: int) -> bool:
        if part.puts_back:
            if not _taken_down(await self._board.get(uid)):
                return False
            # A person may have ended it while it was paused.
            await self._board.change(uid, _at_work)
            return True
        if worst != PASS:
            return False
        while await self._steps.held(uid):
            pass
        return not await self._steps.aborted(uid)

    async def _turn(self, uid: str, wanted: SequencePlan, part: Part) -> None:
        """Begin the operation of a part, unless an earlier life did, and follow it to its end."""
        await self._steps.begin(uid, part.step)
        within_s = max(float(wanted.wait_s), self._begin_within_s)
        patience = Patience(PUT_BACK_WITHIN_S if part.puts_back else within_s)
        while True:
            child = await self._child(uid, part)
            refused = await self._begin(uid, child, wanted, part, patience)
            if refused is not None:
                await self._steps.end(uid, part.step, pb.VERDICT_FAIL, f"{refused.reason}: {refused.message}")
                return
            found = await self._follow(uid, part, child)
            if patience.over or not _passed_over(found, part):
                break
        await self._conclude(uid, part, found)

    async def _child(self, uid: str, part: Part) -> str:
        """Name the operation of a part; one that did nothing, and whose turn comes again, is passed over."""
        attempt = (await self._board.get(uid)).retries
        for turn in count():
            child = child_uid(uid, f"{part.step}.{turn}", attempt)
            found = await self._children.child(child)
            if found is None or not _passed_over(found, part):
                return child
        raise AssertionError("count() has no end")

    async def _begin(
        self, uid: str, child: str, wanted: SequencePlan, part: Part, patience: Patience
    ) -> SolwardError | None:
        while await self._children.child(child) is None:
            seen = self._board.changes
            try:
                whole = await self._board.get(uid)
                await self._children.begin_child(child, await self._plan(wanted, part, whole), whole)
            except SolwardError as error:
                if error.reason not in NOT_YET or patience.over:
                    return error
                if not part.puts_back and await self._steps.aborted(uid):
                    return SolwardError(grpc.StatusCode.ABORTED, "ABORTED", "a person ended it before it began")
                if not await self._said(uid, part, error.message):
                    await self._board.wait(seen)
        return None

    async def _said(self, uid: str, part: Part, message: str) -> bool:
        """Show what a part is at; tells whether it was another thing before, which is a change that nobody awaits."""
        if (await self._steps.get(uid, part.step)).message == message:
            return False
        await self._steps.say(uid, part.step, message)
        return True

    async def _plan(self, wanted: SequencePlan, part: Part, whole: pb.Operation) -> UnitPlan:
        if part.job:
            return UnitPlan(*part.job)  # type: ignore[arg-type]
        row = await self._hosts.by_name(wanted.host)
        if row is None or row.uid != wanted.host_uid or row.state != ACTIVE:
            raise host_gone(wanted.host)
        known = self._links.get(wanted.host_uid)
        if known is None or known.link is None or validator_unit(known) is None:
            # It comes back, and says how its unit stands a moment after.
            why = f"{wanted.host} is not back yet, or has not said how its validator is"
            raise SolwardError(grpc.StatusCode.FAILED_PRECONDITION, "HOST_OFFLINE", why)
        made = plan_unit(
            part.kind,
            row,
            self._links,
            Wish(wait_s=max(wanted.wait_s, PUT_BACK_GATES_S) if part.puts_back else wanted.wait_s),
        )
        if not part.puts_back and made.state.partition("/")[0] in DOWN and not whole.retries:
            # It would be started in the end; what somebody has stopped, or what failed, is for a person to start.
            why = f"{made.unit} is {made.state} by now: look at it first, and ask anew"
            raise SolwardError(grpc.StatusCode.FAILED_PRECONDITION, "UNIT_NOT_ACTIVE", why)
        return made

    async def _follow(self, uid: str, part: Part, child: str) -> pb.Operation:
        while True:
            seen = self._board.changes
            found = await self._board.get(child)
            if ended(found):
                return found
            if not part.puts_back and found.wish != pb.WISH_ABORT and await self._steps.aborted(uid):
                await self._board.change(child, _abort)
            at = [each for each in found.steps if each.HasField("start_time")]
            if not await self._said(uid, part, at[-1].message or at[-1].title if at else ""):
                await self._board.wait(seen)

    async def _conclude(self, uid: str, part: Part, found: pb.Operation) -> None:
        act = next(each for each in found.steps if each.id == "act")
        await self._board.change_step(uid, part.step, partial(_take_over, act=act))
        verdict, words = _verdict(found, act)
        await self._steps.end(uid, part.step, verdict, words, **(dict(act.figures) | {"operation": found.name}))


def _taken_down(operation: pb.Operation) -> bool:
    """Whether the first part has done its work, also where nobody could see afterwards that it had."""
    first = next(step for step in operation.steps if step.id != "approve")
    return bool(first.verdict == pb.VERDICT_PASS or first.receipt.result == link_pb2.RECEIPT_RESULT_DONE)


def _passed_over(child: pb.Operation, part: Part) -> bool:
    """Whether an operation did nothing, and another is to be begun in its place."""
    return info_of(child.error).reason in (
        ("NEVER_BEGUN", "HOST_OFFLINE", "LEDGER_BUSY") if part.puts_back else ("NEVER_BEGUN",)
    )


def _at_work(operation: pb.Operation) -> None:
    if operation.state == pb.OPERATION_STATE_PAUSED:
        operation.state = pb.OPERATION_STATE_RUNNING


def _take_over(step: pb.Step, act: pb.Step) -> None:
    """Show what a part's agent did as what the step did."""
    if act.HasField("receipt"):
        step.receipt.CopyFrom(act.receipt)
        step.signed_receipt.CopyFrom(act.signed_receipt)


def _abort(operation: pb.Operation) -> None:
    if not ended(operation):
        operation.wish = pb.WISH_ABORT


def _verdict(child: pb.Operation, act: pb.Step) -> tuple[pb.Verdict, str]:
    if child.state == pb.OPERATION_STATE_SUCCEEDED:
        return pb.VERDICT_PASS, act.receipt.message or act.message
    if child.state == pb.OPERATION_STATE_PAUSED:
        return pb.VERDICT_INCONCLUSIVE, child.error.message
    return pb.VERDICT_FAIL, f"{info_of(child.error).reason or 'FAILED'}: {child.error.message}"
