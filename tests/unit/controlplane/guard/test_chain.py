"""The chain: every link in order on the way in, in reverse on the way out, for all four kinds of call."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from solward.auth.v1 import auth_pb2

from common.errors import SolwardError
from controlplane.guard.chain import GuardChain, Link
from controlplane.guard.context import Call, caller, current_call
from tests.support.calls import FakeContext, rule

NAME = "/toy.v1.Toys/Play"
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
ALL = ["enter a", "enter b", "enter c", "handler", "leave c", "leave b", "leave a"]


def walk(log: list[str]) -> list[str]:
    return [line for line in log if not line.startswith("check")]


def error(reason: str) -> SolwardError:
    return SolwardError(grpc.StatusCode.ABORTED, reason, reason)


class Noted(Link):
    """Writes down what it sees; fails where it is told to."""

    def __init__(
        self, name: str, log: list[str], enter: Exception | None = None, leave: Exception | None = None
    ) -> None:
        self.name, self.log, self.fail_enter, self.fail_leave = name, log, enter, leave
        self.saw: BaseException | None = None

    async def enter(self, call: Call) -> None:
        self.log.append(f"enter {self.name}")
        if self.fail_enter:
            raise self.fail_enter

    async def leave(self, call: Call, error: BaseException | None) -> None:
        self.log.append(f"leave {self.name}")
        self.saw = error
        if self.fail_leave:
            raise self.fail_leave

    def check_message(self, call: Call, message: Message) -> None:
        self.log.append(f"check {self.name}")


async def messages(count: int) -> AsyncIterator[Message]:
    for _ in range(count):
        yield auth_pb2.LoginRequest()


async def serve(kind: str, links: list[Link], handler: Any, count: int = 2) -> list[Any]:
    """Send a call of some kind through a chain; give every answer."""
    chain = GuardChain({"toy.v1.Toys/Play": rule(kind)}, links)
    source = messages(count) if kind.startswith("stream") else auth_pb2.LoginRequest()
    answer = await chain.intercept(handler, source, FakeContext(), NAME)
    return [one async for one in answer] if kind.endswith("stream") else [answer]


def handler_of(kind: str, log: list[str], failure: BaseException | None = None) -> Any:
    async def work(source: Any) -> None:
        log.append("handler")
        if kind.startswith("stream"):
            async for _ in source:
                pass
        if failure:
            raise failure

    async def one(source: Any, context: Any) -> str:
        await work(source)
        return "answer"

    async def many(source: Any, context: Any) -> AsyncIterator[str]:
        await work(source)
        yield "answer"
        yield "answer"

    return many if kind.endswith("stream") else one


@pytest.mark.parametrize("kind", KINDS)
async def test_links_are_entered_in_order_and_left_in_reverse(kind: str) -> None:
    log: list[str] = []
    answers = await serve(kind, [Noted(name, log) for name in "abc"], handler_of(kind, log))
    assert answers == ["answer"] * (2 if kind.endswith("stream") else 1)
    assert walk(log) == ALL


@pytest.mark.parametrize("kind", ["stream_unary", "stream_stream"])
async def test_each_message_of_a_stream_is_shown_to_each_link(kind: str) -> None:
    log: list[str] = []
    await serve(kind, [Noted(name, log) for name in "ab"], handler_of(kind, log), count=3)
    assert [line for line in log if line.startswith("check")] == ["check a", "check b"] * 3


@pytest.mark.parametrize("kind", KINDS)
async def test_refusal_keeps_the_call_from_its_handler_and_from_inner_links(kind: str) -> None:
    log: list[str] = []
    outer = Noted("a", log)
    links = [outer, Noted("b", log, enter=error("NO")), Noted("c", log)]
    with pytest.raises(SolwardError, match="NO"):
        await serve(kind, links, handler_of(kind, log))
    assert log == ["enter a", "enter b", "leave b", "leave a"]
    assert isinstance(outer.saw, SolwardError)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("failure", [error("OUCH"), ValueError("ouch"), asyncio.CancelledError()])
async def test_every_link_sees_how_the_handler_ended(kind: str, failure: BaseException) -> None:
    log: list[str] = []
    links = [Noted(name, log) for name in "abc"]
    with pytest.raises(type(failure)):
        await serve(kind, links, handler_of(kind, log, failure))
    assert walk(log) == ALL
    assert [link.saw for link in links] == [failure] * 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("late", [error("LATE"), ValueError("late")])
async def test_failure_on_the_way_out_replaces_the_outcome_for_the_outer_links(kind: str, late: Exception) -> None:
    log: list[str] = []
    outer, inner = Noted("a", log), Noted("c", log)
    with pytest.raises(type(late)):
        await serve(kind, [outer, Noted("b", log, leave=late), inner], handler_of(kind, log))
    assert walk(log) == ALL
    assert (outer.saw, inner.saw) == (late, None)


async def test_client_that_goes_away_leaves_every_link() -> None:
    log: list[str] = []
    chain = GuardChain({"toy.v1.Toys/Play": rule("unary_stream")}, [Noted("a", log), Noted("b", log)])
    answer = await chain.intercept(handler_of("unary_stream", log), auth_pb2.LoginRequest(), FakeContext(), NAME)
    assert await anext(answer) == "answer"
    await answer.aclose()
    assert log == ["enter a", "enter b", "handler", "leave b", "leave a"]


async def test_handler_knows_its_call_and_calls_side_by_side_do_not_mix() -> None:
    seen = {}

    async def handler(request: Any, context: Any) -> str:
        mine = current_call().id
        await asyncio.sleep(0.01)
        assert current_call().id == mine
        assert caller().name == "anonymous"
        seen[mine] = True
        return mine

    chain = GuardChain({"toy.v1.Toys/Play": rule()}, [])
    ids = await asyncio.gather(
        *(chain.intercept(handler, auth_pb2.LoginRequest(), FakeContext(), NAME) for _ in range(8))
    )
    assert set(ids) == set(seen)
    assert len(seen) == 8
