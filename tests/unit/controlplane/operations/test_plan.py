"""Plans: their hash, what they show, and when there can be none; the board that operations stand on."""

import asyncio
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from common.errors import SolwardError
from controlplane.links.registry import AgentLink, Links
from controlplane.operations.board import Board
from controlplane.operations.plan import UnitPlan, Wish, plan_unit, validator_unit
from controlplane.operations.receipts import receipt_entry
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.hosts import ACTIVE, HostRow
from controlplane.store.operations import OperationRepository

UNIT = "sol.service"
HOST = HostRow("a" * 32, "sol-1", ACTIVE, "", "", "", 0.0, 0, 0, "")
REQUEST = link_pb2.ActionRequest(unit=link_pb2.UnitAction(unit=UNIT)).SerializeToString()
PLAN = UnitPlan("validator.restart", HOST.uid, "sol-1", UNIT, "active/running", REQUEST, 300)


# Plans

words = st.text(st.characters(blacklist_characters="\0", codec="utf-8"), max_size=8)


@given(st.tuples(words, words, words, words, words, st.binary(max_size=8)), st.integers(0, 5), words.filter(bool))
def test_hash_changes_with_every_part_of_a_plan(
    parts: tuple[str, str, str, str, str, bytes], place: int, more: str
) -> None:
    plan = UnitPlan(*parts, 300)
    changed = list(parts)
    changed[place] = changed[place] + (more.encode() if place == 5 else more)  # type: ignore[operator]
    assert UnitPlan(*changed, 300).hash != plan.hash  # type: ignore[arg-type]
    assert UnitPlan(*parts, 300).hash == plan.hash


def test_hash_does_not_let_parts_run_into_each_other() -> None:
    assert PLAN._replace(unit="sol", state=".service").hash != PLAN._replace(unit="sol.", state="service").hash


def connected(*actions: str, active: str = "active", knows: bool = False) -> Links:
    links = Links()
    allowed = link_pb2.AllowedUnit(unit=UNIT, actions=actions)
    asyncio.run(
        links.attach(
            AgentLink(
                HOST.uid,
                "sol-1",
                0,
                link_pb2.Hello(allowed_units=[allowed], knows_validator=knows, has_ledger_tool=True),
            )
        )
    )
    host = links.get(HOST.uid)
    assert host is not None
    state = link_pb2.UnitState(unit=UNIT, active_state=active, sub_state="running", invocation_id="i" * 32)
    host.units[UNIT] = link_pb2.UnitReport(state=state)
    return links


def test_plan_binds_the_invocation_that_was_seen_and_the_timeout() -> None:
    plan = plan_unit("validator.restart", HOST, connected("validator.restart"), Wish(60))
    action = link_pb2.ActionRequest.FromString(plan.request).unit
    assert (action.unit, action.verb, action.timeout_ms) == (UNIT, link_pb2.UNIT_VERB_RESTART, 60_000)
    assert (action.expected_invocation, action.expected_active_state) == ("i" * 32, "active")
    assert plan.state == "active/running"
    assert plan.hash != plan_unit("validator.restart", HOST, connected("validator.restart"), Wish(61)).hash


def test_plan_shows_its_steps_and_hash() -> None:
    shown = PLAN.operation("alice", "maintenance")
    assert [(step.id, step.title) for step in shown.steps] == [
        ("check", "Wait for the agent of sol-1"),
        ("act", "Restart sol.service if it still is active/running, for at most 300 s"),
        ("verify", "Verify that the agent sees sol.service active"),
    ]
    assert (shown.plan_hash, shown.requester, shown.state) == (PLAN.hash, "alice", pb.OPERATION_STATE_PLANNED)
    assert shown.name == ""


@pytest.mark.parametrize(
    ("kind", "state", "title"),
    [
        ("validator.start", "active/running", "Start sol.service: it is already active, so nothing will change"),
        ("validator.stop", "inactive/dead", "Stop sol.service: it is already inactive, so nothing will change"),
        # A restart does something whatever state it finds.
        ("geyser.restart", "active/running", "Restart sol.service if it still is active/running, for at most 300 s"),
        ("validator.start", "inactive/dead", "Start sol.service if it still is inactive/dead, for at most 300 s"),
        ("validator.stop", "failed/failed", "Stop sol.service if it still is failed/failed, for at most 300 s"),
    ],
)
def test_plan_says_where_nothing_will_change(kind: str, state: str, title: str) -> None:
    assert PLAN._replace(kind=kind, state=state).operation("alice", "").steps[1].title == title


@pytest.mark.parametrize(
    ("links", "reason"),
    [
        (Links(), "HOST_OFFLINE"),
        (connected("validator.stop"), "ACTION_NOT_ALLOWED"),
        (connected(), "ACTION_NOT_ALLOWED"),
    ],
)
def test_there_is_no_plan_for_what_cannot_be_done_now(links: Links, reason: str) -> None:
    with pytest.raises(SolwardError) as caught:
        plan_unit("validator.restart", HOST, links, Wish(60))
    assert (caught.value.code.name, caught.value.reason) == ("FAILED_PRECONDITION", reason)


def test_validator_is_the_unit_that_may_be_acted_on_as_one() -> None:
    host = connected("validator.stop").get(HOST.uid)
    assert host is not None
    found = validator_unit(host)
    assert found is not None
    assert found.state.unit == UNIT
    other = connected("backup.run").get(HOST.uid)
    assert other is not None
    assert validator_unit(other) is None
    # Of a host whose agent is away, its validator is still known.
    host.link = None
    assert validator_unit(host) is found


def test_receipt_entry_holds_the_signed_bytes() -> None:
    signed = link_pb2.SignedReceipt(receipt=b"r", signature=b"s", certificate_serial="5e")
    entry = receipt_entry(PLAN.operation("alice", ""), signed, link_pb2.Receipt(result=link_pb2.RECEIPT_RESULT_DONE))
    assert (entry["principal"], entry["code"]) == ("hosts/sol-1", "DONE")
    assert entry["signed_receipt"] == {"receipt": "cg==", "signature": "cw==", "certificate_serial": "5e"}


def test_receipt_with_a_result_that_has_no_name_is_put_on_record_as_it_is() -> None:
    odd = link_pb2.Receipt.FromString(link_pb2.Receipt(result=link_pb2.RECEIPT_RESULT_DONE).SerializeToString())
    odd.result = 77  # type: ignore[assignment]
    assert receipt_entry(PLAN.operation("alice", ""), link_pb2.SignedReceipt(), odd)["code"] == "77"


# The board


@pytest.fixture
async def board(tmp_path: Path) -> object:
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'state.db'}")
    await migrate(engine)
    store = OperationRepository(engine)
    operation = PLAN.operation("alice", "")
    operation.name, operation.state = "operations/1", pb.OPERATION_STATE_RUNNING
    await store.add("1", HOST.uid, operation, None)
    yield Board(store)
    await close_engine(engine)


async def test_unknown_operation_is_said_to_be_so(board: Board) -> None:
    with pytest.raises(SolwardError) as caught:
        await board.get("2")
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND")


async def test_watching_an_unknown_operation_leaves_nothing_behind(board: Board) -> None:
    for number in range(10):
        with pytest.raises(SolwardError) as caught:
            await anext(board.watch(f"unknown{number}"))
        assert caught.value.reason == "OPERATION_NOT_FOUND"
    assert board._changed == {}


async def test_changes_side_by_side_are_all_kept(board: Board) -> None:
    def add(number: int) -> object:
        def edit(operation: pb.Operation) -> None:
            operation.steps[0].figures[str(number)] = "x"

        return board.change("1", edit)

    await asyncio.gather(*(add(number) for number in range(20)))  # type: ignore[call-overload]
    assert len((await board.get("1")).steps[0].figures) == 20


async def test_step_begins_once_and_ends_with_its_verdict(board: Board) -> None:
    await board.begin_step("1", "act")
    began = (await board.get("1")).steps[1].start_time
    await board.begin_step("1", "act")
    await board.end_step("1", "act", pb.VERDICT_PASS, "done", {"job_ms": "12.5"})
    step = (await board.get("1")).steps[1]
    assert step.start_time == began
    assert (step.verdict, step.message, dict(step.figures)) == (pb.VERDICT_PASS, "done", {"job_ms": "12.5"})
    assert step.HasField("end_time")


async def test_watchers_see_every_change_and_the_end(board: Board) -> None:
    async def watch(seen: list[str]) -> None:
        async for operation in board.watch("1"):
            message = operation.steps[1].message
            seen.append(message)

    async def all_saw(message: str) -> None:
        async with asyncio.timeout(5):
            while any(seen[-1:] != [message] for seen in told):
                await asyncio.sleep(0.01)

    told: list[list[str]] = [[], [], []]
    watchers = [asyncio.create_task(watch(seen)) for seen in told]
    await all_saw("")
    for number in range(3):
        await board.end_step("1", "act", pb.VERDICT_UNSPECIFIED, str(number), {})
        await all_saw(str(number))

    def finish(operation: pb.Operation) -> None:
        operation.state = pb.OPERATION_STATE_SUCCEEDED
        operation.steps[1].message = "end"

    await board.change("1", finish)
    await asyncio.wait_for(asyncio.gather(*watchers), 3)
    assert told == [["", "0", "1", "2", "end"]] * 3
    late: list[str] = []
    await watch(late)
    assert late == ["end"]
