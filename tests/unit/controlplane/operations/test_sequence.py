"""Several operations on one host: each has its turn once, and what was taken down is put back whatever came between."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest
from dbos import DBOSConfiguredInstance
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from common.errors import SolwardError
from common.names import operation_name
from controlplane.links.registry import AgentLink, Links
from controlplane.operations.board import Board
from controlplane.operations.fleet import child_uid
from controlplane.operations.ledger_plan import Range, repair, shown
from controlplane.operations.outcome import close
from controlplane.operations.plan import UnitPlan
from controlplane.operations.sequence import SequencePlan, SequenceWorkflow
from controlplane.operations.steering import abort
from controlplane.operations.steps import Steps
from controlplane.store.hosts import ACTIVE, HostRow

UNIT, UID = "sol.service", "b" * 32
HOST = HostRow("a" * 32, "sol-1", ACTIVE, "", "", "", 0.0, 0, 0, "")
ACTIONS = ("validator.ledger", "validator.stop", "validator.start")
STEPS = ("stop", "repair", "start")
KINDS = {"validator.stop": "stop", "ledger.repair": "repair", "validator.start": "start"}
# How a part ends.
End = Callable[[pb.Operation], None]


class Kept:
    """Operations in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, pb.Operation] = {}
        self.saves = 0

    async def get(self, uid: str) -> pb.Operation | None:
        return self.rows.get(uid)

    async def save(self, operation: pb.Operation) -> None:
        # As a database does, so that one that is written to all the time is seen, and does not stop the test.
        await asyncio.sleep(0)
        self.saves += 1
        self.rows[operation.name.partition("/")[2]] = operation


def done(part: pb.Operation) -> None:
    act = next(step for step in part.steps if step.id == "act")
    act.receipt.result = link_pb2.RECEIPT_RESULT_DONE
    act.verdict = pb.VERDICT_PASS
    close(part, pb.VERDICT_PASS)


def failed(part: pb.Operation) -> None:
    act = next(step for step in part.steps if step.id == "act")
    act.start_time.GetCurrentTime()
    act.verdict, act.message = pb.VERDICT_FAIL, "TOOL_FAILED: it did not work"
    act.receipt.result = link_pb2.RECEIPT_RESULT_FAILED
    close(part, pb.VERDICT_FAIL)


def unseen(part: pb.Operation) -> None:
    """It was done, and the agent went away before it could be seen."""
    act = next(step for step in part.steps if step.id == "act")
    act.receipt.result, act.verdict = link_pb2.RECEIPT_RESULT_DONE, pb.VERDICT_PASS
    verify = next(step for step in part.steps if step.id == "verify")
    verify.start_time.GetCurrentTime()
    verify.verdict, verify.message = pb.VERDICT_INCONCLUSIVE, "the agent's report does not agree"
    close(part, pb.VERDICT_INCONCLUSIVE)


def goes_on(_part: pb.Operation) -> None:
    """It is at work."""


class World:
    """A host whose validator runs, and a repair of its ledger; `ends` is how each part ends once it is begun."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.board = Board(self.kept)  # type: ignore[arg-type]
        self.links = Links()
        self.ends: dict[str, End] = dict.fromkeys(STEPS, done)
        self.refuses: dict[str, SolwardError] = {}
        self.begun: list[str] = []
        self.tries = 0
        audit: Any = None
        steps = Steps(self.board, audit, audit)
        self.workflow = SequenceWorkflow(steps, self.links, self, self, begin_within_s=0.2)  # type: ignore[arg-type]

    async def prepare(self) -> SequencePlan:
        allowed = link_pb2.AllowedUnit(unit=UNIT, actions=ACTIONS)
        hello = link_pb2.Hello(allowed_units=[allowed], knows_validator=True, has_ledger_tool=True)
        await self.links.attach(AgentLink(HOST.uid, "sol-1", 0, hello))
        self.unit("active")
        plan = repair(HOST, self.links, Range(1, 5), 0)
        operation = shown(plan, "alice", "")
        operation.name, operation.state = operation_name(UID), pb.OPERATION_STATE_RUNNING
        self.kept.rows[UID] = operation
        return plan

    def unit(self, active: str) -> None:
        host = self.links.get(HOST.uid)
        assert host is not None
        pid = 42 if active == "active" else 0
        state = link_pb2.UnitState(unit=UNIT, active_state=active, invocation_id="i" * 32 if pid else "", main_pid=pid)
        host.units[UNIT] = link_pb2.UnitReport(state=state)

    async def by_name(self, _name: str) -> HostRow:
        return HOST

    async def begin_child(self, uid: str, plan: UnitPlan, parent: pb.Operation) -> None:
        step = KINDS[plan.kind]
        self.tries += 1
        if step in self.refuses:
            raise self.refuses[step]
        operation = plan.operation(parent.requester, parent.reason)
        operation.name, operation.state = operation_name(uid), pb.OPERATION_STATE_RUNNING
        self.kept.rows[uid] = operation
        self.begun.append(step)
        if step == "stop":
            self.unit("inactive")
        self.ends[step](operation)

    async def child(self, uid: str) -> pb.Operation | None:
        return await self.kept.get(uid)

    async def run(self, plan: SequencePlan) -> pb.Operation:
        await self.workflow.close(UID, await self.workflow.go(UID, tuple(plan)))
        return self.kept.rows[UID]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    # DBOS knows one instance of each name in a process; steps outside of a workflow do not ask it.
    monkeypatch.setattr(DBOSConfiguredInstance, "__init__", lambda _self, config_name: None)
    return World()


async def test_a_node_is_stopped_mended_and_started(world: World) -> None:
    ended = await world.run(await world.prepare())
    assert (world.begun, ended.state) == (list(STEPS), pb.OPERATION_STATE_SUCCEEDED)


async def test_a_part_that_is_at_work_is_followed_without_writing_all_the_time(world: World) -> None:
    plan = await world.prepare()
    world.ends["repair"] = goes_on
    task = asyncio.create_task(world.workflow.go(UID, tuple(plan)))
    await asyncio.sleep(0.5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert world.begun == ["stop", "repair"]
    assert world.kept.saves < 20


async def test_a_part_whose_turn_has_not_come_is_tried_now_and_then(world: World) -> None:
    plan = await world.prepare()
    world.refuses["stop"] = SolwardError(grpc.StatusCode.ABORTED, "HOST_BUSY", "another is at work on it")
    ended = await world.run(plan)
    assert ended.state == pb.OPERATION_STATE_FAILED
    assert "HOST_BUSY" in ended.steps[0].message
    assert world.tries < 10


async def test_what_was_stopped_is_started_also_where_nobody_saw_it_stop(world: World) -> None:
    plan = await world.prepare()
    world.ends["stop"] = unseen
    ended = await world.run(plan)
    assert (world.begun, ended.state) == (["stop", "start"], pb.OPERATION_STATE_PAUSED)


async def test_a_stop_that_was_not_done_is_not_followed_by_a_start(world: World) -> None:
    plan = await world.prepare()
    world.ends["stop"] = failed
    ended = await world.run(plan)
    assert (world.begun, ended.state) == (["stop"], pb.OPERATION_STATE_FAILED)


async def test_a_host_that_goes_away_before_its_node_is_started_is_waited_for(world: World) -> None:
    plan = await world.prepare()

    def went_away(part: pb.Operation) -> None:
        check = part.steps[0]
        check.start_time.GetCurrentTime()
        check.verdict, check.message = pb.VERDICT_FAIL, "HOST_OFFLINE: the agent is not connected"
        close(part, pb.VERDICT_FAIL)
        world.ends["start"] = done

    world.ends["start"] = went_away
    ended = await world.run(plan)
    assert (world.begun, ended.state) == ([*STEPS, "start"], pb.OPERATION_STATE_SUCCEEDED)


async def test_an_agent_that_has_not_said_yet_how_its_unit_is_is_waited_for(world: World) -> None:
    plan = await world.prepare()
    host = world.links.get(HOST.uid)
    assert host is not None

    def back_again(part: pb.Operation) -> None:
        done(part)
        report = host.units.pop(UNIT)
        asyncio.get_running_loop().call_later(0.3, host.units.__setitem__, UNIT, report)

    world.ends["repair"] = back_again
    ended = await world.run(plan)
    assert (world.begun, ended.state) == (list(STEPS), pb.OPERATION_STATE_SUCCEEDED)


async def test_a_host_that_is_busy_when_its_node_is_to_be_started_is_waited_for(world: World) -> None:
    plan = await world.prepare()
    world.refuses["start"] = SolwardError(grpc.StatusCode.ABORTED, "HOST_BUSY", "another is at work on it")
    task = asyncio.create_task(world.run(plan))
    await asyncio.sleep(0.6)
    assert not task.done()
    assert "another is at work on it" in world.kept.rows[UID].steps[2].message
    del world.refuses["start"]
    await world.board.change(UID, lambda _: None)
    assert (await task).state == pb.OPERATION_STATE_SUCCEEDED


async def test_a_node_that_is_left_down_is_said_to_be_also_where_a_person_ended_the_repair(world: World) -> None:
    plan = await world.prepare()

    def ended_by_a_person(part: pb.Operation) -> None:
        failed(part)
        abort(world.kept.rows[UID])

    world.ends |= {"repair": ended_by_a_person, "start": failed}
    ended = await world.run(plan)
    assert ended.state == pb.OPERATION_STATE_FAILED
    assert "start" in ended.error.message


async def test_both_are_said_where_the_repair_and_the_start_fail(world: World) -> None:
    plan = await world.prepare()
    world.ends |= {"repair": failed, "start": failed}
    ended = await world.run(plan)
    assert "step repair did not pass" in ended.error.message
    assert "start" in ended.error.message.partition("step repair did not pass")[2]


async def test_a_node_that_somebody_has_stopped_since_it_was_planned_is_neither_mended_nor_started(
    world: World,
) -> None:
    plan = await world.prepare()
    world.unit("inactive")
    ended = await world.run(plan)
    assert (world.begun, ended.state) == ([], pb.OPERATION_STATE_FAILED)
    assert "UNIT_NOT_ACTIVE" in ended.steps[0].message


async def test_a_repair_that_is_tried_again_takes_a_node_that_was_left_down(world: World) -> None:
    plan = await world.prepare()
    world.unit("inactive")
    world.kept.rows[UID].retries = 1
    ended = await world.run(plan)
    assert (world.begun, ended.state) == (list(STEPS), pb.OPERATION_STATE_SUCCEEDED)


async def test_one_that_is_ended_while_it_is_paused_is_at_work_again_while_it_puts_things_back(world: World) -> None:
    plan = await world.prepare()
    states = []

    def paused(part: pb.Operation) -> None:
        done(part)
        world.kept.rows[UID].wish = pb.WISH_PAUSE

    def noted(part: pb.Operation) -> None:
        states.append(world.kept.rows[UID].state)
        done(part)

    world.ends |= {"stop": paused, "start": noted}
    task = asyncio.create_task(world.run(plan))
    await asyncio.sleep(0.1)
    assert world.kept.rows[UID].state == pb.OPERATION_STATE_PAUSED
    await world.board.change(UID, abort)
    assert (await task).state == pb.OPERATION_STATE_ABORTED
    assert (world.begun, states) == (["stop", "start"], [pb.OPERATION_STATE_RUNNING])


async def test_after_a_crash_what_was_begun_is_not_begun_again(world: World) -> None:
    plan = await world.prepare()
    world.ends["repair"] = goes_on
    task = asyncio.create_task(world.workflow.go(UID, tuple(plan)))
    await asyncio.sleep(0.2)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    done(world.kept.rows[child_uid(UID, "repair.0", 0)])
    ended = await world.run(plan)
    assert (world.begun, ended.state) == (list(STEPS), pb.OPERATION_STATE_SUCCEEDED)
