"""Approvals: an operation that other people must agree to waits for them, for a while."""

import asyncio
from collections.abc import Container
from datetime import timedelta

import grpc
from solward.operations.v1 import operations_pb2 as pb

from common.clock import now_ms, timestamp_now
from common.errors import SolwardError
from controlplane.operations.board import Board
from controlplane.store.operations import HostBusy

AWAITING = pb.OPERATION_STATE_AWAITING_APPROVAL
APPROVE_WITHIN = timedelta(hours=1)
_POLL_S = 0.25


def await_approval(operation: pb.Operation, wanted: int) -> None:
    """Have an operation that is about to be stored wait for the approval of some other people."""
    operation.state = AWAITING
    operation.approvals_required = wanted
    operation.approve_before.FromMilliseconds(now_ms() + round(APPROVE_WITHIN.total_seconds() * 1000))
    people = "another person" if wanted == 1 else f"{wanted} other people"
    operation.steps.insert(0, pb.Step(id="approve", title=f"Wait for the approval of {people}"))


def approve(operation: pb.Operation, approver: str, plan_hash: str, counted: Container[str]) -> None:
    """Add one person's approval, and let go of earlier ones that count no more.

    Args:
        counted: the names of earlier approvers who may still approve.

    Raises: SolwardError NOT_AWAITING_APPROVAL, APPROVAL_EXPIRED, PLAN_CHANGED, OWN_REQUEST or ALREADY_APPROVED.
    """
    if operation.state != AWAITING:
        raise _not_possible("NOT_AWAITING_APPROVAL", f"{operation.name} does not await approval")
    if now_ms() >= operation.approve_before.ToMilliseconds():
        raise _not_possible("APPROVAL_EXPIRED", f"{operation.name} was to be approved earlier: ask for it anew")
    if plan_hash != operation.plan_hash:
        raise _not_possible("PLAN_CHANGED", "the plan is not the one that you saw: look at it first")
    if approver == operation.requester:
        raise _refused("OWN_REQUEST", "who asked for it cannot approve it: another person must")
    if approver in {approval.approver for approval in operation.approvals}:
        raise _refused("ALREADY_APPROVED", "you have approved it already: another person must, too")
    for approval in list(operation.approvals):
        if approval.approver not in counted:
            operation.approvals.remove(approval)
    operation.approvals.add(approver=approver, time=timestamp_now())


async def wait_for_approval(board: Board, uid: str) -> tuple[pb.Verdict, str]:
    """Wait until enough people have approved, then set the operation to work.

    Returns: the verdict, and what to say of it.
    """
    while True:
        operation = await board.get(uid)
        if operation.state != AWAITING:
            return pb.VERDICT_PASS, _approved_by(operation)
        if operation.wish == pb.WISH_ABORT:
            return pb.VERDICT_UNSPECIFIED, "a person ended it"
        if len(operation.approvals) >= operation.approvals_required:
            return await _set_to_work(board, uid)
        if now_ms() >= operation.approve_before.ToMilliseconds():
            return pb.VERDICT_FAIL, "APPROVAL_EXPIRED: nobody else approved it in time; nothing was done"
        await asyncio.sleep(_POLL_S)


async def _set_to_work(board: Board, uid: str) -> tuple[pb.Verdict, str]:
    def edit(operation: pb.Operation) -> None:
        operation.state = pb.OPERATION_STATE_RUNNING

    try:
        return pb.VERDICT_PASS, _approved_by(await board.change(uid, edit))
    except HostBusy:
        return pb.VERDICT_FAIL, "HOST_BUSY: another operation was at work on the host when it was approved"


def _approved_by(operation: pb.Operation) -> str:
    return f"approved by {', '.join(approval.approver for approval in operation.approvals)}"


def _not_possible(reason: str, message: str) -> SolwardError:
    return SolwardError(grpc.StatusCode.FAILED_PRECONDITION, reason, message)


def _refused(reason: str, message: str) -> SolwardError:
    return SolwardError(grpc.StatusCode.PERMISSION_DENIED, reason, message)
