"""A nudge: only what a node can still take is asked for, and what came is told from what did not."""

from typing import Any

import pytest
from solward.hosts.v1 import link_pb2

from agent.actions.nudge import NudgeAct, View
from agent.host.admin_rpc import AdminError
from agent.host.node_rpc import RpcError
from agent.permits import Refusal


@pytest.mark.parametrize(
    ("view", "slot", "state"),
    [
        (View(100, 110, frozenset({99, 105})), 105, "confirmed"),
        (View(100, 110, frozenset({99, 105})), 99, "confirmed"),
        (View(100, 110, frozenset({99, 105})), 100, "at_or_below_root"),
        (View(100, 110, frozenset({99, 105})), 106, "missing"),
        (View(100, 110, frozenset({99, 105})), 111, "not_seen_yet"),
        (View(100, None, None), 111, "unknown"),
        (View(100, 110, None), 105, "unknown"),
    ],
)
def test_how_a_slot_stands(view: View, slot: int, state: str) -> None:
    assert view.state(slot) == state


class FakeNode:
    """A node whose root is 100 and whose newest shred is of slot 110; `has` are the slots that it has."""

    def __init__(self, has: set[int], *, full_api: bool = True, gives: bool = True) -> None:
        self.has, self.full_api, self.gives = has, full_api, gives
        self.asked: list[tuple[object, ...]] = []
        self.trouble: AdminError | None = None
        self.rpc = self.admin = self

    async def call(self, method: str, *params: Any) -> Any:
        if method == "repairShredFromPeer":
            if self.trouble:
                raise self.trouble
            self.asked.append(params)
            if self.gives:
                self.has.add(params[1])
            return None
        if method == "getSlot":
            return 100
        if not self.full_api:
            raise RpcError("RPC_REFUSED", "Method not found", -32601)
        return 110 if method == "getMaxShredInsertSlot" else sorted(self.has)


async def nudged(node: FakeNode, first: int = 98, last: int = 112, shreds: tuple[int, ...] = (0,)) -> Any:
    action = link_pb2.NudgeAction(first_slot=first, last_slot=last, shreds=shreds, watch_ms=50)
    return await NudgeAct(None, action, node).act(lambda _: None)  # type: ignore[arg-type]


async def test_only_what_is_missing_above_the_root_is_asked_for() -> None:
    node = FakeNode({101, 102, 104, 105, 107, 108, 109, 110})
    done = await nudged(node, shreds=(0, 7))
    assert node.asked == [(None, 103, 0), (None, 103, 7), (None, 106, 0), (None, 106, 7)]
    assert done.message == "2 of 2 slots that were missing have come"
    assert [(run.first, run.last, run.state, run.after) for run in done.ledger.runs][:3] == [
        (98, 100, "at_or_below_root", "at_or_below_root"),
        (101, 102, "confirmed", "confirmed"),
        (103, 103, "missing", "confirmed"),
    ]


async def test_a_slot_that_never_comes_is_no_failure_and_is_said() -> None:
    done = await nudged(FakeNode(set(range(101, 110)), gives=False))
    assert (done.result, done.message) == (
        link_pb2.RECEIPT_RESULT_DONE, "0 of 1 slots that were missing have come",
    )  # fmt: skip


async def test_a_node_that_does_not_say_what_it_has_is_asked_and_believed_nothing() -> None:
    node = FakeNode(set(), full_api=False)
    done = await nudged(node, 99, 103)
    assert [slot for _, slot, _ in node.asked] == [101, 102, 103]
    assert "does not say" in done.message
    assert {run.after for run in done.ledger.runs} == {"at_or_below_root", "unknown"}


async def test_nothing_is_asked_for_where_nothing_is_missing() -> None:
    node = FakeNode(set(range(90, 120)))
    done = await nudged(node)
    assert (node.asked, done.message) == ([], "nothing that it could be asked for is missing")


async def test_a_socket_that_refuses_is_a_failure() -> None:
    node = FakeNode(set())
    node.trouble = AdminError("ADMIN_NOT_ALLOWED", "root does not list it")
    done = await nudged(node)
    assert (done.result, done.reason) == (link_pb2.RECEIPT_RESULT_FAILED, "ADMIN_NOT_ALLOWED")


@pytest.mark.parametrize(
    "asked",
    [
        {"first_slot": 0, "last_slot": 2**64 - 1},
        {"first_slot": 0, "last_slot": 512},
        {"first_slot": 5, "last_slot": 4},
        {"shreds": [0] * 33},
        {"watch_ms": 2**40},
        {"watch_ms": -1},
    ],
)
async def test_whatever_the_control_plane_asks_the_agent_is_not_kept_at_it(asked: dict[str, Any]) -> None:
    action = link_pb2.NudgeAction(**{"first_slot": 1, "last_slot": 2, "shreds": [0], "watch_ms": 50} | asked)
    act = NudgeAct(None, action, FakeNode(set()))  # type: ignore[arg-type]
    with pytest.raises(Refusal) as refused:
        await act.precondition(link_pb2.UnitState(active_state="active"))
    assert refused.value.reason == "RANGE_WRONG"


@pytest.mark.parametrize("said", [None, "many", [1]])
async def test_a_node_that_says_what_cannot_be_is_a_failure(said: object) -> None:
    class Odd(FakeNode):
        async def call(self, method: str, *params: Any) -> Any:
            return said if method == "getSlot" else [said]

    done = await nudged(Odd(set()))
    assert (done.result, done.reason) == (link_pb2.RECEIPT_RESULT_FAILED, "RPC_GARBLED")
