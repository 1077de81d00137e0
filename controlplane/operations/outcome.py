"""How an operation ended, in words: its error, and its entry in the audit log."""

import grpc
from solward.operations.v1 import operations_pb2 as pb

from common.clock import timestamp_now
from common.errors import SolwardError

UNDO = "undo"
_BAD = (pb.VERDICT_FAIL, pb.VERDICT_INCONCLUSIVE, pb.VERDICT_ERROR)


def operation_error(operation: pb.Operation, verdict: int) -> SolwardError:
    """Say which step stopped an operation, and why; a gate that was forced open stopped nothing."""
    step = _stopped_at(operation)
    reason, _, words = step.message.partition(": ")
    if step.id.startswith("gate-") and verdict != pb.VERDICT_ERROR:
        reason, words = f"{step.id.upper().replace('-', '_')}_NOT_PASSED", step.message
    elif verdict == pb.VERDICT_ERROR:
        reason, words = "STEP_ERROR", step.message or "the control plane failed on it several times; its log says why"
    elif not words or not reason.isupper():
        reason, words = "STEP_NOT_PASSED", step.message
    undo = next((each for each in operation.steps if each.id == UNDO and each.HasField("end_time")), None)
    after = (
        f"; then {undo.message}"
        if undo
        else "".join(f"; then step {each.id} did not pass: {each.message}" for each in _bad_after(operation, step))
    )
    return SolwardError(
        grpc.StatusCode.FAILED_PRECONDITION, reason, f"step {step.id} did not pass: {words}{after}", {"step": step.id}
    )


def close(operation: pb.Operation, verdict: int) -> None:
    """End an operation with a verdict; without one, a person ended it before it began."""
    operation.end_time.CopyFrom(timestamp_now())
    if verdict == pb.VERDICT_PASS:
        operation.state = pb.OPERATION_STATE_SUCCEEDED
        return
    if verdict == pb.VERDICT_UNSPECIFIED:
        operation.state = pb.OPERATION_STATE_ABORTED
        operation.error.CopyFrom(
            SolwardError(grpc.StatusCode.ABORTED, "ABORTED", _ended_by_a_person(operation)).status()
        )
        return
    failed = verdict == pb.VERDICT_FAIL
    operation.state = pb.OPERATION_STATE_FAILED if failed else pb.OPERATION_STATE_PAUSED
    operation.error.CopyFrom(operation_error(operation, verdict).status())


def _ended_by_a_person(operation: pb.Operation) -> str:
    begun = [step for step in operation.steps if step.HasField("start_time") and _acts(step)]
    if not begun:
        return "a person ended it; nothing was done"
    said = next((step for step in begun if step.verdict != pb.VERDICT_PASS), begun[-1])
    return f"a person ended it: {said.message}"


def _acts(step: pb.Step) -> bool:
    return step.id not in ("approve", "check") and not step.id.startswith("gate-")


def outcome_entry(operation: pb.Operation) -> dict[str, object]:
    """Make the audit entry of an operation's end."""
    entry: dict[str, object] = {
        "phase": "event",
        "principal": operation.requester,
        "method": operation.kind,
        "resource": operation.host,
        "operation": operation.name,
        "code": pb.OperationState.Name(operation.state).removeprefix("OPERATION_STATE_"),
    }
    if operation.approvals:
        entry["approvers"] = [approval.approver for approval in operation.approvals]
    return entry | ({"message": operation.error.message} if operation.error.message else {})


def _bad_after(operation: pb.Operation, step: pb.Step) -> list[pb.Step]:
    """Find what did not pass either, and was done although the step before it had not: what puts things back."""
    steps = list(operation.steps)
    return [each for each in steps[steps.index(step) + 1 :] if each.verdict in _BAD and _acts(each)]


def _stopped_at(operation: pb.Operation) -> pb.Step:
    # What was undone is not what stopped it.
    steps = [step for step in operation.steps if step.id != UNDO]
    begun = [step for step in steps if step.HasField("start_time")] or [steps[0]]
    acts = [step for step in begun if step.verdict in _BAD and not step.id.startswith("gate-")]
    if acts:
        return acts[0]
    if not begun[-1].id.startswith("gate-"):
        return begun[-1]
    gates = [step for step in begun if step.id.startswith("gate-")]
    order = (pb.VERDICT_FAIL, pb.VERDICT_ERROR, pb.VERDICT_INCONCLUSIVE)
    return next((step for verdict in order for step in gates if step.verdict == verdict), begun[-1])
