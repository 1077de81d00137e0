"""The live topic of operations: what is open comes first, what is long over not at all, and nothing out of reach."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.rpc.error_details_pb2 import ErrorInfo
from solward.operations.v1 import operations_pb2 as pb

from common.clock import now_ms
from controlplane.operations import topic as module
from controlplane.operations.topic import JUST_MS, TOPIC, OperationsTopic
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.operations import OperationRepository
from controlplane.telemetry.topics import Topic

RUNNING, PAUSED, DONE = pb.OPERATION_STATE_RUNNING, pb.OPERATION_STATE_PAUSED, pb.OPERATION_STATE_SUCCEEDED


class Sees:
    """A view of some hosts."""

    key = "some"

    def __init__(self, *hosts: str) -> None:
        self._hosts = hosts

    def sees(self, kind: str, host: str) -> bool:
        assert kind == TOPIC
        return host in self._hosts


@pytest.fixture
async def operations(tmp_path: Path) -> Any:
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'state.db'}")
    await migrate(engine)
    yield OperationRepository(engine)
    await close_engine(engine)


def operation(uid: str, state: pb.OperationState, host: str = "hosts/sol-1", *, ended_ms: int = 0) -> pb.Operation:
    made = pb.Operation(
        name=f"operations/{uid}", kind="validator.restart", host=host, state=state, requester="users/ann"
    )
    made.create_time.FromMilliseconds(now_ms() - 1_000 * int(uid))
    if ended_ms:
        made.end_time.FromMilliseconds(ended_ms)
    return made


async def told(operations: OperationRepository, *hosts: str) -> dict[str, Any]:
    frame = await OperationsTopic(operations).make(Topic(TOPIC, TOPIC), Sees(*hosts))
    found: dict[str, Any] = json_format.MessageToDict(frame)["operations"]
    return found


async def test_what_is_open_comes_first_and_what_is_long_over_not_at_all(operations: OperationRepository) -> None:
    now = now_ms()
    for place, one in enumerate((
        operation("4", RUNNING), operation("3", PAUSED), operation("2", DONE, ended_ms=now),
        operation("1", DONE, ended_ms=now - JUST_MS - 1),
        # Nothing carries it out any more: it is over, whatever a person makes of it.
        operation("5", PAUSED, ended_ms=now - JUST_MS - 1),
    )):  # fmt: skip
        await operations.add(one.name.partition("/")[2], f"host-{place}", one, None)
    found = await told(operations, "hosts/sol-1")
    assert [one["name"] for one in found["operations"]] == ["operations/3", "operations/4", "operations/2"]
    assert found["openCount"] == 2


async def test_an_operation_is_told_of_where_all_its_hosts_are_within_reach(operations: OperationRepository) -> None:
    fleet = operation("1", RUNNING, "")
    for host, state in (("sol-1", pb.TARGET_STATE_SUCCEEDED), ("sol-2", pb.TARGET_STATE_FAILED)):
        fleet.targets.add(host=f"hosts/{host}", state=state)
    await operations.add("1", "", fleet, None)
    await operations.add("2", "x", operation("2", RUNNING, "hosts/sol-2"), None)
    assert await told(operations, "hosts/sol-1") == {}
    assert [one["name"] for one in (await told(operations, "hosts/sol-2"))["operations"]] == ["operations/2"]
    both = await told(operations, "hosts/sol-1", "hosts/sol-2")
    assert both["openCount"] == 2
    assert (both["operations"][0]["targetCount"], both["operations"][0]["doneCount"]) == (2, 1)
    assert both["operations"][0]["failedCount"] == 1


async def test_it_says_what_an_operation_is_at_and_why_it_waits(
    operations: OperationRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, waits = operation("1", RUNNING), operation("2", PAUSED)
    for title in ("gates", "restart sol.service", "wait until it has caught up"):
        at_work.steps.add(title=title, message=f"{title} now")
    for step in at_work.steps[:2]:
        step.start_time.FromMilliseconds(now_ms())
    waits.error.message = "its slot lag is 40"
    waits.error.details.add().Pack(ErrorInfo(reason="GATE_INCONCLUSIVE", domain="solward"))
    for place, one in enumerate((at_work, waits)):
        await operations.add(str(place), f"host-{place}", one, None)
    first, second = (await told(operations, "hosts/sol-1"))["operations"]
    assert (first["step"], first["message"]) == ("restart sol.service", "restart sol.service now")
    assert (second["reason"], second["message"]) == ("GATE_INCONCLUSIVE", "its slot lag is 40")
    monkeypatch.setattr(module, "MOST", 1)
    found = await told(operations, "hosts/sol-1")
    assert (found["openCount"], len(found["operations"])) == (2, 1)
