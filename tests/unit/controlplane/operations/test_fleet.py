"""An operation on many hosts waits for the turn of a host, and does not ask for it all the time."""

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import pytest
from dbos import DBOSConfiguredInstance
from solward.operations.v1 import operations_pb2 as pb

from common.errors import SolwardError
from common.names import operation_name
from controlplane.operations.board import Board
from controlplane.operations.fleet import FleetWorkflow
from controlplane.operations.fleet_plan import ROLLING, FleetPlan, TargetPlan, stored
from controlplane.operations.plan import UnitPlan
from controlplane.operations.steps import Steps
from tests.unit.controlplane.operations.test_plan import HOST, UNIT, connected

UID = "b" * 32


class World:
    """A store that counts, and a host that is busy."""

    def __init__(self) -> None:
        self.rows: dict[str, pb.Operation] = {}
        self.tries = 0

    async def get(self, uid: str) -> pb.Operation | None:
        return self.rows.get(uid)

    async def save(self, operation: pb.Operation) -> None:
        await asyncio.sleep(0)
        self.rows[operation.name.partition("/")[2]] = operation

    async def by_name(self, _name: str) -> Any:
        return HOST

    async def child(self, uid: str) -> pb.Operation | None:
        return self.rows.get(uid)

    async def begin_child(self, _uid: str, _plan: UnitPlan, _parent: pb.Operation) -> None:
        self.tries += 1
        raise SolwardError(grpc.StatusCode.ABORTED, "HOST_BUSY", "another is at work on it")


def test_a_host_that_is_busy_is_tried_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DBOSConfiguredInstance, "__init__", lambda _self, config_name: None)
    links = connected("validator.restart")
    world, audit = World(), None
    board = Board(world)  # type: ignore[arg-type]
    steps = Steps(board, audit, audit)  # type: ignore[arg-type]
    plan = FleetPlan(ROLLING, (TargetPlan(HOST.uid, "sol-1", UNIT),), pb.Rollout(wait_seconds=60).SerializeToString())
    operation = plan.operation("alice", "")
    operation.name, operation.state = operation_name(UID), pb.OPERATION_STATE_RUNNING
    world.rows[UID] = operation
    fleet = FleetWorkflow(steps, links, world, world, begin_within_s=60)  # type: ignore[arg-type]

    async def a_while() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(fleet.roll(UID, stored(plan)), 0.5)

    asyncio.run(a_while())
    assert 1 <= world.tries < 10
