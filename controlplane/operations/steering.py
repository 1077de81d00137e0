"""Steering: what a person may ask of an operation that is at work, has paused, or did not pass.

Pure edits of the stored operation; whoever carries it out looks there before each thing that it begins.
"""

import grpc
from google.protobuf.message import Message
from solward.operations.v1 import operations_pb2 as pb

from common.errors import SolwardError
from controlplane.operations.outcome import UNDO
from controlplane.operations.plan import LEDGER_REPAIR
from controlplane.operations.rollout import NOT_PASSED

AT_WORK = (pb.OPERATION_STATE_RUNNING, pb.OPERATION_STATE_AWAITING_APPROVAL, pb.OPERATION_STATE_PAUSED)


def lives(operation: pb.Operation) -> bool:
    """Whether something still carries it out, or waits to."""
    return operation.state in AT_WORK and not operation.HasField("end_time")


def pause(operation: pb.Operation) -> None:
    """Ask it to begin nothing more for now; raises SolwardError NOT_AT_WORK."""
    if not lives(operation) or operation.state != pb.OPERATION_STATE_RUNNING:
        raise _not_possible("NOT_AT_WORK", f"{operation.name} is not at work, so there is nothing to pause")
    if operation.wish == pb.WISH_ABORT:
        raise _not_possible("NOT_AT_WORK", f"{operation.name} is being ended")
    operation.wish = pb.WISH_PAUSE


def resume(operation: pb.Operation) -> None:
    """Go on; hosts that did not pass stay as they are. Raises SolwardError NOT_PAUSED."""
    if not lives(operation):
        retried = operation.state in (pb.OPERATION_STATE_PAUSED, pb.OPERATION_STATE_FAILED)
        hint = ": ctl operations retry takes it up again" if retried else ""
        raise _not_possible("NOT_PAUSED", f"{operation.name} has ended{hint}")
    if operation.state != pb.OPERATION_STATE_PAUSED and operation.wish != pb.WISH_PAUSE:
        raise _not_possible("NOT_PAUSED", f"{operation.name} is not paused")
    for target in operation.targets:
        target.accepted = target.accepted or target.state in NOT_PASSED
    _set_to_work(operation)


def abort(operation: pb.Operation) -> None:
    """End it: what has begun is seen to its end, and nothing else begins. Raises SolwardError NOT_AT_WORK."""
    if not lives(operation):
        raise _not_possible("NOT_AT_WORK", f"{operation.name} has ended already")
    operation.wish = pb.WISH_ABORT


def retry(operation: pb.Operation, host: str = "") -> None:
    """Take it up again at what did not pass.

    Args:
        host: of an operation on many, the one to try again; empty: every one that did not pass.

    Raises: SolwardError NOT_RETRYABLE, APPROVAL_USED.
    """
    if operation.approvals_required:
        raise _not_possible("APPROVAL_USED", f"{operation.name} was approved for once: ask for it anew")
    if operation.targets:
        _retry_targets(operation, host)
    else:
        _retry_steps(operation, host)
    if not lives(operation):
        operation.retries += 1
    _set_to_work(operation)


def _retry_targets(operation: pb.Operation, host: str) -> None:
    ended = not lives(operation)
    if operation.state not in (pb.OPERATION_STATE_PAUSED, pb.OPERATION_STATE_FAILED):
        raise _not_possible("NOT_RETRYABLE", f"{operation.name} has neither paused nor failed")
    wanted = [t for t in operation.targets if t.state in NOT_PASSED and host in ("", t.host)]
    if not wanted:
        raise _not_possible("NOT_RETRYABLE", f"{host or 'no host'} of {operation.name} did not pass")
    for target in operation.targets:
        if target in wanted or (ended and target.state == pb.TARGET_STATE_SKIPPED):
            target.state = pb.TARGET_STATE_WAITING
            target.accepted = False
            _clear(target, "message", "end_time")
        elif host and target.state in NOT_PASSED:
            # The person has seen the others too, and has chosen this one.
            target.accepted = True


def _retry_steps(operation: pb.Operation, host: str) -> None:
    if host and host != operation.host:
        raise _not_possible("NOT_RETRYABLE", f"{operation.name} is on {operation.host}")
    if lives(operation) or operation.state not in (pb.OPERATION_STATE_PAUSED, pb.OPERATION_STATE_FAILED):
        raise _not_possible("NOT_RETRYABLE", f"{operation.name} has neither failed nor ended for a person to look")
    if operation.parent:
        raise _not_possible("NOT_RETRYABLE", f"{operation.name} is a part of {operation.parent}: retry that")
    if any(step.id == UNDO and step.HasField("start_time") for step in operation.steps):
        raise _not_possible("NOT_RETRYABLE", "its flags were put back: ask for the change anew")
    acted = any(step.id == "act" and step.verdict == pb.VERDICT_PASS for step in operation.steps)
    # A node that was started again after a repair that did not pass must be stopped again for another one.
    every = operation.kind == LEDGER_REPAIR
    for step in operation.steps:
        if every or step.verdict != pb.VERDICT_PASS or (step.id.startswith("gate-") and not acted):
            _again(step, operation.retries + 1)


def _again(step: pb.Step, attempt: int) -> None:
    if step.HasField("receipt"):
        # The agent remembers how this one ended; to do it again is another step to it.
        step.figures["attempt"] = str(attempt)
    step.verdict = pb.VERDICT_UNSPECIFIED
    _clear(step, "message", "start_time", "end_time", "receipt", "signed_receipt")


def _set_to_work(operation: pb.Operation) -> None:
    operation.state = pb.OPERATION_STATE_RUNNING
    operation.wish = pb.WISH_UNSPECIFIED
    _clear(operation, "error", "end_time")


def _clear(message: Message, *fields: str) -> None:
    for field in fields:
        message.ClearField(field)


def _not_possible(reason: str, message: str) -> SolwardError:
    return SolwardError(grpc.StatusCode.FAILED_PRECONDITION, reason, message)
