"""Approvals: other people's, of this very plan, in time, each counted once."""

import pytest
from solward.operations.v1 import operations_pb2 as pb

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.operations import approvals
from controlplane.operations.approvals import APPROVE_WITHIN, approve, await_approval
from controlplane.operations.outcome import operation_error

EVERYBODY = ("ana", "bob", "eve")


def asked(wanted: int = 2) -> pb.Operation:
    operation = pb.Operation(name="operations/1", requester="ana", plan_hash="h" * 64, steps=[pb.Step(id="act")])
    await_approval(operation, wanted)
    return operation


def refusal(operation: pb.Operation, who: str, plan_hash: str = "h" * 64) -> str:
    before = list(operation.approvals)
    with pytest.raises(SolwardError) as caught:
        approve(operation, who, plan_hash, EVERYBODY)
    assert list(operation.approvals) == before
    return caught.value.reason


def test_operation_waits_and_says_for_how_many() -> None:
    operation = asked()
    assert (operation.state, operation.approvals_required) == (pb.OPERATION_STATE_AWAITING_APPROVAL, 2)
    assert operation.steps[0].title == "Wait for the approval of 2 other people"


def test_two_others_may_approve_once_each() -> None:
    operation = asked()
    approve(operation, "bob", "h" * 64, EVERYBODY)
    assert refusal(operation, "bob") == "ALREADY_APPROVED"
    assert refusal(operation, "ana") == "OWN_REQUEST"
    approve(operation, "eve", "h" * 64, EVERYBODY)
    assert [one.approver for one in operation.approvals] == ["bob", "eve"]


def test_an_earlier_approval_of_who_may_approve_no_more_is_let_go() -> None:
    operation = asked()
    approve(operation, "bob", "h" * 64, EVERYBODY)
    approve(operation, "eve", "h" * 64, ("eve",))
    assert [one.approver for one in operation.approvals] == ["eve"]


def test_another_plan_is_not_approved() -> None:
    assert refusal(asked(), "bob", "0" * 64) == "PLAN_CHANGED"


def test_too_late_is_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = asked()
    late = now_ms() + round(APPROVE_WITHIN.total_seconds() * 1000) + 1
    monkeypatch.setattr(approvals, "now_ms", lambda: late)
    assert refusal(operation, "bob") == "APPROVAL_EXPIRED"


def test_what_runs_or_has_ended_is_not_approved() -> None:
    operation = asked()
    operation.state = pb.OPERATION_STATE_RUNNING
    assert refusal(operation, "bob") == "NOT_AWAITING_APPROVAL"


def test_error_names_the_step_that_stopped_it_and_not_a_gate_that_was_forced() -> None:
    steps = [pb.Step(id=name) for name in ("check", "gate-health", "gate-leader", "act")]
    operation = pb.Operation(steps=steps)
    for step, verdict in zip(operation.steps[:3], (pb.VERDICT_PASS, pb.VERDICT_PASS, pb.VERDICT_FAIL), strict=True):
        step.start_time.FromSeconds(1)
        step.verdict, step.message = verdict, "leads in 2.0 minutes"
    stopped = operation_error(operation, pb.VERDICT_FAIL)
    assert (stopped.reason, stopped.metadata["step"]) == ("GATE_LEADER_NOT_PASSED", "gate-leader")
    operation.steps[3].start_time.FromSeconds(2)
    operation.steps[3].message = "EXIT_TIMEOUT: process 5 still runs"
    assert operation_error(operation, pb.VERDICT_FAIL).reason == "EXIT_TIMEOUT"
