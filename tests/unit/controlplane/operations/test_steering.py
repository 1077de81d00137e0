"""Steering: pause, resume, abort and retry, each only where it means something."""

import pytest
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from common.clock import timestamp
from common.errors import SolwardError
from controlplane.operations import steering

RUNNING, PAUSED, FAILED = pb.OPERATION_STATE_RUNNING, pb.OPERATION_STATE_PAUSED, pb.OPERATION_STATE_FAILED


def single(state: int, *steps: pb.Step, ended: bool = False) -> pb.Operation:
    made = pb.Operation(name="operations/ab", host="hosts/sol-1", state=state, steps=steps)  # type: ignore[arg-type]
    if ended:
        made.end_time.CopyFrom(timestamp(1000))
    return made


def many(state: int, *targets: int, ended: bool = False) -> pb.Operation:
    made = single(state, ended=ended)
    made.host = ""
    for index, each in enumerate(targets):
        made.targets.add(host=f"hosts/sol-{index}", state=each, message="why")  # type: ignore[arg-type]
    return made


def refused(edit, *arguments: object) -> str:  # type: ignore[no-untyped-def]
    with pytest.raises(SolwardError) as error:
        edit(*arguments)
    return error.value.reason


def test_pause_and_resume() -> None:
    operation = many(RUNNING, pb.TARGET_STATE_FAILED, pb.TARGET_STATE_WAITING)
    steering.pause(operation)
    assert operation.wish == pb.WISH_PAUSE
    operation.state = PAUSED
    operation.error.message = "a person paused it"
    steering.resume(operation)
    assert (operation.state, operation.wish, operation.error.message) == (RUNNING, pb.WISH_UNSPECIFIED, "")
    assert [target.accepted for target in operation.targets] == [True, False]


def test_what_has_ended_cannot_be_steered() -> None:
    over = single(PAUSED, ended=True)
    assert refused(steering.pause, over) == "NOT_AT_WORK"
    assert refused(steering.resume, over) == "NOT_PAUSED"
    assert refused(steering.abort, over) == "NOT_AT_WORK"
    assert refused(steering.resume, single(RUNNING)) == "NOT_PAUSED"
    ending = single(RUNNING)
    steering.abort(ending)
    assert refused(steering.pause, ending) == "NOT_AT_WORK"


def test_a_step_is_tried_again_from_what_did_not_pass() -> None:
    receipt = link_pb2.Receipt(result=link_pb2.RECEIPT_RESULT_FAILED)
    operation = single(
        FAILED,
        pb.Step(id="check", verdict=pb.VERDICT_PASS),
        pb.Step(id="gate-health", verdict=pb.VERDICT_PASS, message="fine"),
        pb.Step(id="act", verdict=pb.VERDICT_FAIL, message="JOB_FAILED: so", receipt=receipt),
        ended=True,
    )
    steering.retry(operation)
    check, gate, act = operation.steps
    assert check.verdict == pb.VERDICT_PASS
    # A gate is a thing of the moment: it is judged again.
    assert (gate.verdict, gate.message) == (pb.VERDICT_UNSPECIFIED, "")
    assert (act.verdict, act.HasField("receipt"), act.figures["attempt"]) == (pb.VERDICT_UNSPECIFIED, False, "1")
    assert (operation.state, operation.retries, operation.HasField("end_time")) == (RUNNING, 1, False)


def test_a_receipt_that_never_came_is_asked_for_and_not_earned_anew() -> None:
    operation = single(
        PAUSED, pb.Step(id="act", verdict=pb.VERDICT_INCONCLUSIVE, message="RECEIPT_MISSING"), ended=True
    )
    steering.retry(operation)
    assert "attempt" not in operation.steps[0].figures


def test_after_the_act_gates_are_not_asked_again() -> None:
    operation = single(
        FAILED,
        pb.Step(id="gate-leader", verdict=pb.VERDICT_PASS, message="far"),
        pb.Step(id="act", verdict=pb.VERDICT_PASS),
        pb.Step(id="ready", verdict=pb.VERDICT_FAIL, message="NOT_READY: x"),
        ended=True,
    )
    steering.retry(operation)
    assert [step.verdict for step in operation.steps] == [pb.VERDICT_PASS, pb.VERDICT_PASS, pb.VERDICT_UNSPECIFIED]


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (single(RUNNING), "NOT_RETRYABLE"),
        (single(pb.OPERATION_STATE_SUCCEEDED, ended=True), "NOT_RETRYABLE"),
        (single(pb.OPERATION_STATE_ABORTED, ended=True), "NOT_RETRYABLE"),
        (single(FAILED, pb.Step(id="undo", start_time=timestamp(1)), ended=True), "NOT_RETRYABLE"),
        (many(FAILED, pb.TARGET_STATE_SUCCEEDED, ended=True), "NOT_RETRYABLE"),
    ],
)
def test_what_cannot_be_tried_again(operation: pb.Operation, reason: str) -> None:
    assert refused(steering.retry, operation) == reason


def test_an_approval_is_good_for_once() -> None:
    operation = single(FAILED, ended=True)
    operation.approvals_required = 1
    assert refused(steering.retry, operation) == "APPROVAL_USED"


def test_a_part_is_tried_again_through_the_whole() -> None:
    operation = single(FAILED, ended=True)
    operation.parent = "operations/cd"
    assert refused(steering.retry, operation) == "NOT_RETRYABLE"


def test_one_host_or_every_host_that_did_not_pass() -> None:
    states = (pb.TARGET_STATE_FAILED, pb.TARGET_STATE_PAUSED, pb.TARGET_STATE_SUCCEEDED, pb.TARGET_STATE_WAITING)
    one = many(PAUSED, *states)
    steering.retry(one, "hosts/sol-1")
    assert [t.state for t in one.targets] == [states[0], pb.TARGET_STATE_WAITING, *states[2:]]
    # It lives on, so that nothing is set going a second time.
    assert (one.state, one.retries) == (RUNNING, 0)
    ended = many(FAILED, pb.TARGET_STATE_FAILED, pb.TARGET_STATE_SKIPPED, ended=True)
    steering.retry(ended)
    assert [t.state for t in ended.targets] == [pb.TARGET_STATE_WAITING] * 2
    assert ended.retries == 1
    assert refused(steering.retry, many(PAUSED, *states), "hosts/sol-2") == "NOT_RETRYABLE"
