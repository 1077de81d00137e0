"""Operations on many hosts, as a durable workflow: each host has its turn as an operation of its own.

What has been begun and how it stands is on the board before it happens, so that a killed control plane goes on from
there: no host has two operations for one turn, and never are more at work than the plan allows.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import grpc
import structlog
from dbos import DBOS, DBOSConfiguredInstance
from solward.operations.v1 import operations_pb2 as pb

from common.clock import timestamp_now
from common.errors import SolwardError, info_of
from common.names import operation_name
from controlplane.links.registry import Links
from controlplane.operations.approvals import wait_for_approval
from controlplane.operations.board import ended
from controlplane.operations.fleet_plan import FleetPlan, TargetPlan, child_kind, restored
from controlplane.operations.plan import RESTART, UnitPlan, Wish, plan_unit, plan_written
from controlplane.operations.rollout import RUNNING, WAITING, Decision, decide
from controlplane.operations.steps import Steps
from controlplane.store.hosts import ACTIVE, HostRepository

log = structlog.get_logger(__name__)

# Reasons that say that nothing was done, or that nobody knows what was: a person must look, the host did not fail.
UNSURE = ("HOST_OFFLINE", "RECEIPT_MISSING", "NEVER_BEGUN")
# Reasons that pass by themselves: the host's turn has not come yet.
NOT_YET = ("HOST_BUSY", "HOST_OFFLINE", "HELD")


class Children(Protocol):
    """What begins the operation on each host."""

    async def begin_child(self, uid: str, plan: UnitPlan, parent: pb.Operation) -> None:
        """Begin an operation under a uid, once; raises SolwardError."""

    async def child(self, uid: str) -> pb.Operation | None:
        """Find an operation; one that was stored and not set going when we died is closed as never begun."""


class Patience:
    """How long nothing may move before a person is asked."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Something has moved: the time begins anew."""
        self._until = time.monotonic() + self._seconds

    @property
    def over(self) -> bool:
        """Whether it has run out."""
        return time.monotonic() >= self._until


@DBOS.dbos_class()
class FleetWorkflow(DBOSConfiguredInstance):
    """Carries out a FleetPlan."""

    def __init__(
        self, steps: Steps, links: Links, hosts: HostRepository, children: Children, *, begin_within_s: float
    ) -> None:
        self._steps = steps
        self._board = steps.board
        self._links = links
        self._hosts = hosts
        self._children = children
        self._begin_within_s = begin_within_s
        super().__init__(config_name="fleet")

    @DBOS.workflow()
    async def run(self, uid: str, plan: Sequence[object]) -> None:
        """Wait for approval, then give each host its turn; one durable step, whose state is all on the board."""
        try:
            await self._steps.work_on(uid)
            await self.roll(uid, plan)
        except Exception:
            log.exception("an operation cannot go on", operation=operation_name(uid))
            why = "the control plane failed on it several times; its log says why"
            await self._close(uid, Decision((), pb.OPERATION_STATE_FAILED, "STEP_ERROR", why))
        await self.record(uid)

    @DBOS.step(retries_allowed=True, max_attempts=10, interval_seconds=1.0)
    async def roll(self, uid: str, plan: Sequence[object]) -> None:
        """Give each host its turn, until the whole has ended."""
        wanted = restored(plan)
        if not await self._approved(uid):
            return
        await self._find_begun(uid)
        patience = Patience(max(float(wanted.how.wait_seconds), self._begin_within_s))
        while True:
            seen = self._board.changes
            moved = await self._rested(uid)
            moved |= await self._collect(uid)
            operation = await self._board.get(uid)
            if ended(operation):
                return
            decision = decide(operation, self._down(wanted, operation))
            begun, why = await self._begin(uid, wanted, decision)
            if moved or begun:
                patience.renew()
            elif patience.over and (stuck := why or _stuck(operation, decision)):
                decision = Decision((), pb.OPERATION_STATE_PAUSED, *stuck)
            if decision.state == pb.OPERATION_STATE_PAUSED:
                await self._pause(uid, decision)
            elif decision.state != pb.OPERATION_STATE_RUNNING:
                await self._close(uid, decision)
                return
            elif not (moved or begun):
                # What was noted of a host whose turn has not come is a change, and none to look again for.
                await self._board.wait(self._board.changes if why else seen)

    @DBOS.step(retries_allowed=True, max_attempts=10, interval_seconds=1.0)
    async def record(self, uid: str) -> None:
        """Put the operation's outcome on record; an audit store that is down for a while is waited for."""
        await self._steps.record_outcome(uid)

    async def _approved(self, uid: str) -> bool:
        operation = await self._board.get(uid)
        if not operation.approvals_required or operation.state != pb.OPERATION_STATE_AWAITING_APPROVAL:
            return True
        await self._steps.begin(uid, "approve")
        verdict, message = await wait_for_approval(self._board, uid)
        await self._steps.end(uid, "approve", verdict, message)
        if verdict == pb.VERDICT_PASS:
            return True
        aborted = verdict == pb.VERDICT_UNSPECIFIED
        state = pb.OPERATION_STATE_ABORTED if aborted else pb.OPERATION_STATE_FAILED
        reason, _, words = message.partition(": ")
        await self._close(uid, Decision((), state, "ABORTED" if aborted else reason, words or message))
        return False

    async def _find_begun(self, uid: str) -> None:
        """After a crash: a turn that was noted and whose operation was never stored, or set going, comes again."""
        for target in (await self._board.get(uid)).targets:
            if target.state == RUNNING and await self._children.child(_uid(target)) is None:
                await self._change(uid, target.host, _wait_again)

    async def _collect(self, uid: str) -> bool:
        """Take over how the operations on the hosts stand; tells whether one has ended."""
        operation = await self._board.get(uid)
        news: dict[str, pb.Operation] = {}
        for target in operation.targets:
            if target.state != RUNNING:
                continue
            child = await self._board.get(_uid(target))
            if operation.wish == pb.WISH_ABORT and child.wish != pb.WISH_ABORT and not ended(child):
                child = await self._board.change(_uid(target), _abort)
            if ended(child) or _passed(child) != target.steps_passed:
                news[target.host] = child

        def take_over(operation: pb.Operation) -> None:
            for target in operation.targets:
                if target.host in news:
                    _take_over(target, news[target.host])

        if news:
            await self._board.change(uid, take_over)
        return any(ended(child) for child in news.values())

    def _down(self, plan: FleetPlan, operation: pb.Operation) -> dict[str, str]:
        found = {}
        at_work = {target.host for target in operation.targets if target.state == RUNNING}
        for target, each in zip(operation.targets, plan.targets, strict=True):
            if target.host not in at_work and (why := self._trouble(each)):
                found[target.host] = why
        return found

    def _trouble(self, each: TargetPlan) -> str:
        host = self._links.get(each.host_uid)
        if host is None or host.link is None:
            return "is offline"
        report = host.units.get(each.unit)
        if report is None:
            return f"does not report {each.unit}"
        return "" if report.state.active_state == "active" else f"is {report.state.active_state}"

    async def _begin(self, uid: str, plan: FleetPlan, decision: Decision) -> tuple[bool, tuple[str, str] | None]:
        """Begin the hosts whose turn has come; gives what keeps one of them from it for now."""
        if not decision.begin:
            return False, None
        begins = (self._begin_one(uid, plan, host) for host in decision.begin)
        # All of them come to an end before any trouble is raised: none may go on behind a second try's back.
        ended_in = []
        for came in await asyncio.gather(*begins, return_exceptions=True):
            if isinstance(came, BaseException) and not isinstance(came, SolwardError):
                raise came
            ended_in.append(came)
        waits = [error for error in ended_in if error and error.reason in NOT_YET]
        return len(waits) < len(ended_in), (waits[0].reason, waits[0].message) if waits else None

    async def _begin_one(self, uid: str, plan: FleetPlan, host: str) -> SolwardError | None:
        """Begin one host, and note what came of it: it is at work, its turn has not come, or a person must look."""
        try:
            child_plan = await self._child_plan(plan, plan.target(host))
            operation = await self._board.change(uid, partial(_begin_turn, uid=uid, host=host))
            child = next(_uid(target) for target in operation.targets if target.host == host)
            await self._children.begin_child(child, child_plan, operation)
        except SolwardError as error:
            note = partial(_not_begun, why=error.message) if error.reason in NOT_YET else partial(_refuse, error=error)
            await self._change(uid, host, note)
            return error
        return None

    async def _child_plan(self, plan: FleetPlan, each: TargetPlan) -> UnitPlan:
        row = await self._hosts.by_name(each.host)
        if row is None or row.uid != each.host_uid or row.state != ACTIVE:
            raise host_gone(each.host)
        known = self._links.get(each.host_uid)
        if known is None or known.link is None or each.unit not in known.units:
            # It comes back, and says how its unit stands a moment after.
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "HOST_OFFLINE",
                f"{each.host} is not back yet, or has not said how {each.unit} is",
            )
        rollout = plan.how
        wish = Wish(rollout.timeout_seconds, plan.force, rollout.wait_seconds)
        if not each.restarts:
            return plan_written(row, self._links, each.config, each.diff)
        made = plan_unit(RESTART, row, self._links, wish)
        if not made.state.startswith("active/"):
            # To start what somebody has stopped, or what failed, is for a person to decide.
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "UNIT_NOT_ACTIVE", f"{made.unit} is {made.state}: look at it first"
            )
        return made._replace(
            kind=child_kind(plan), config=each.config, diff=each.diff, soak_s=rollout.soak_seconds,
            rollback=plan.rollback,
        )  # fmt: skip

    async def _pause(self, uid: str, decision: Decision) -> None:
        def edit(operation: pb.Operation) -> None:
            # A person may have asked for something in between.
            if operation.state == pb.OPERATION_STATE_RUNNING:
                operation.state = pb.OPERATION_STATE_PAUSED
                operation.error.CopyFrom(_error(decision).status())

        await self._board.change(uid, edit)
        log.warning("operation paused", operation=operation_name(uid), reason=decision.reason, why=decision.message)

    async def _rested(self, uid: str) -> bool:
        """Wait while it is paused, until a person says how it goes on; tells whether it was."""
        paused = False
        while True:
            operation = await self._board.get(uid)
            if operation.state != pb.OPERATION_STATE_PAUSED or operation.wish == pb.WISH_ABORT:
                return paused
            paused = True
            await self._board.wait(self._board.changes)

    async def _close(self, uid: str, decision: Decision) -> None:
        def edit(operation: pb.Operation) -> None:
            operation.state = decision.state
            operation.end_time.CopyFrom(timestamp_now())
            operation.ClearField("error")
            if decision.reason:
                operation.error.CopyFrom(_error(decision).status())
            for target in operation.targets:
                if target.state == WAITING:
                    target.state = pb.TARGET_STATE_SKIPPED

        await self._board.change(uid, edit)

    async def _change(self, uid: str, host: str, edit: Callable[[pb.Target], None]) -> pb.Operation:
        def change(operation: pb.Operation) -> None:
            edit(next(target for target in operation.targets if target.host == host))

        return await self._board.change(uid, change)


def host_gone(host: str) -> SolwardError:
    """Make the error of a host that was cut off since the plan was made."""
    return SolwardError(grpc.StatusCode.FAILED_PRECONDITION, "HOST_NOT_ACTIVE", f"{host} was cut off")


def child_uid(parent: str, host: str, attempt: int) -> str:
    """Name the operation of a host's turn; the same turn has the same name, however often it is begun."""
    return uuid.uuid5(uuid.UUID(parent), f"{host}/{attempt}").hex


def _uid(target: pb.Target) -> str:
    return target.operation.partition("/")[2]


def _begin_turn(operation: pb.Operation, uid: str, host: str) -> None:
    if operation.wish or operation.state != pb.OPERATION_STATE_RUNNING:
        # Whoever asked was told that nothing more begins.
        raise SolwardError(grpc.StatusCode.FAILED_PRECONDITION, "HELD", "a person has paused or ended it")
    _begin(next(target for target in operation.targets if target.host == host), uid)


def _begin(target: pb.Target, parent: str) -> None:
    target.state = RUNNING
    target.attempts += 1
    target.operation = operation_name(child_uid(parent, target.host, target.attempts))
    target.steps_passed = target.steps = 0
    target.start_time.CopyFrom(timestamp_now())
    target.ClearField("end_time")
    target.message = ""


def _wait_again(target: pb.Target, why: str = "") -> None:
    target.state = WAITING
    target.message = why
    target.ClearField("operation")
    target.ClearField("start_time")


def _not_begun(target: pb.Target, why: str) -> None:
    if target.state == RUNNING:
        # Its operation was not stored, so that the next attempt is this one.
        target.attempts -= 1
    _wait_again(target, why)


def _refuse(target: pb.Target, error: SolwardError) -> None:
    target.state = pb.TARGET_STATE_PAUSED
    target.message = f"{error.reason}: {error.message}"
    target.end_time.CopyFrom(timestamp_now())


def _abort(operation: pb.Operation) -> None:
    operation.wish = pb.WISH_ABORT


def _passed(child: pb.Operation) -> int:
    return sum(step.verdict == pb.VERDICT_PASS for step in child.steps)


def _take_over(target: pb.Target, child: pb.Operation) -> None:
    target.steps = len(child.steps)
    target.steps_passed = _passed(child)
    if not ended(child):
        return
    target.end_time.CopyFrom(child.end_time)
    reason = info_of(child.error).reason
    target.message = f"{reason}: {child.error.message}" if reason else "done"
    if child.state == pb.OPERATION_STATE_SUCCEEDED:
        target.state = pb.TARGET_STATE_SUCCEEDED
    elif child.state == pb.OPERATION_STATE_ABORTED:
        target.state = pb.TARGET_STATE_SKIPPED
    elif reason == "NEVER_BEGUN":
        _wait_again(target)
    elif child.state == pb.OPERATION_STATE_PAUSED or reason in UNSURE:
        target.state = pb.TARGET_STATE_PAUSED
    else:
        target.state = pb.TARGET_STATE_FAILED


def _stuck(operation: pb.Operation, decision: Decision) -> tuple[str, str] | None:
    """Say what keeps every host from its turn while none is at work."""
    busy = any(target.state == RUNNING for target in operation.targets)
    return (decision.reason, decision.message) if decision.reason and not busy else None


def _error(decision: Decision) -> SolwardError:
    return SolwardError(grpc.StatusCode.FAILED_PRECONDITION, decision.reason, decision.message)
