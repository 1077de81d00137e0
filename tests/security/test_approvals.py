"""Operations that another person approves: of the very plan that was shown, once, in time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solward.operations.v1 import operations_pb2 as pb
from sqlalchemy import update

from controlplane.operations import approvals
from controlplane.operations.plan import RESTART, UnitPlan
from controlplane.store.tables import users
from tests.support.plane import Person, Plane, control_plane
from tests.support.stream import refused

OPERATIONS = "solward.operations.v1.OperationsService"


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    async with control_plane(tmp_path, require_second_factor=False) as made:
        yield made


async def asked(plane: Plane, requester: Person, wanted: int = 1) -> pb.Operation:
    """Have an operation wait; its host's agent is away, so that nothing is done to anybody."""
    machine = await plane.add_machine(requester)
    plan = UnitPlan(RESTART, machine.uid, machine.name, "sol.service", "active/running", b"", 10)
    return await plane.app.operations.engine.begin_unit(
        plan, requester=requester.name, reason="", request_key=None, approvals=wanted
    )


async def approve(plane: Plane, who: Person, operation: pb.Operation, plan_hash: str = "") -> pb.Operation:
    request = pb.ApproveOperationRequest(name=operation.name, plan_hash=plan_hash or operation.plan_hash)
    return await plane.call(f"{OPERATIONS}/ApproveOperation", request, pb.Operation, who)


async def becomes(plane: Plane, who: Person, **values: object) -> None:
    async with plane.app.records.engine.begin() as connection:
        await connection.execute(update(users).where(users.c.uid == who.uid).values(**values))
    plane.app.identities.principals.forget()


async def test_case_29_a_second_account_of_one_person_approves_nothing(plane: Plane) -> None:
    ana, second, bob = await plane.sign_in(), await plane.sign_in(), await plane.sign_in()
    await becomes(plane, ana, email="ana@example.net")
    await becomes(plane, second, email="Ana@Example.net")
    operation = await asked(plane, ana, 2)
    for own in (ana, second):
        assert (await refused(approve(plane, own, operation))).reason == "OWN_REQUEST"
    assert [one.approver for one in (await approve(plane, bob, operation)).approvals] == [bob.name]
    # Who has left since does not count when the next one approves.
    await becomes(plane, bob, disabled=True)
    eve = await plane.sign_in()
    after = await approve(plane, eve, operation)
    assert [one.approver for one in after.approvals] == [eve.name]
    assert after.state == pb.OPERATION_STATE_AWAITING_APPROVAL


async def test_case_30_another_plan_than_the_one_that_was_shown_is_not_approved(plane: Plane) -> None:
    ana, bob = await plane.sign_in(), await plane.sign_in()
    operation = await asked(plane, ana)
    assert (await refused(approve(plane, bob, operation, "0" * 64))).reason == "PLAN_CHANGED"
    shown = await plane.call(
        f"{OPERATIONS}/GetOperation", pb.GetOperationRequest(name=operation.name), pb.Operation, bob
    )
    assert (shown.state, len(shown.approvals)) == (pb.OPERATION_STATE_AWAITING_APPROVAL, 0)


async def test_case_31_what_was_approved_goes_on_once_and_what_is_late_not_at_all(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bob, eve = await plane.sign_in(), await plane.sign_in(), await plane.sign_in()
    operation = await asked(plane, ana)
    await approve(plane, bob, operation)
    async with asyncio.timeout(5):
        while (now := await plane.app.operations.board.get(operation.name.partition("/")[2])).state == (
            pb.OPERATION_STATE_AWAITING_APPROVAL
        ):
            await asyncio.sleep(0.05)
    assert now.state != pb.OPERATION_STATE_AWAITING_APPROVAL
    refusal = await refused(approve(plane, eve, operation))
    assert (refusal.code.name, refusal.reason) == ("FAILED_PRECONDITION", "NOT_AWAITING_APPROVAL")
    late = await asked(plane, ana)
    after = late.approve_before.ToMilliseconds() + 1
    monkeypatch.setattr(approvals, "now_ms", lambda: after)
    refusal = await refused(approve(plane, bob, late))
    assert (refusal.code.name, refusal.reason) in (
        ("FAILED_PRECONDITION", "APPROVAL_EXPIRED"), ("FAILED_PRECONDITION", "NOT_AWAITING_APPROVAL"),
    )  # fmt: skip
    async with asyncio.timeout(5):
        while (ended := await plane.app.operations.board.get(late.name.partition("/")[2])).state == (
            pb.OPERATION_STATE_AWAITING_APPROVAL
        ):
            await asyncio.sleep(0.05)
    assert (ended.state, "APPROVAL_EXPIRED" in str(ended)) == (pb.OPERATION_STATE_FAILED, True)
