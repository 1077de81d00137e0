"""One stream: what goes up and in what order, what comes down, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from solward.hosts.v1 import link_pb2

from agent import PROTOCOL
from agent.link import direct as module
from common.permits import open_receipt
from tests.unit.agent.fakes import UNIT, command
from tests.unit.agent.link.harness import KEY, WAIT_S, Link, ScriptedPlane, link_parts, scripted_plane


@asynccontextmanager
async def running(link: Link, channel: grpc.aio.Channel) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(link.direct.run(channel, link.identity, lambda _: None))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def one_link(folder: Path) -> AsyncIterator[tuple[Link, ScriptedPlane, grpc.aio.Channel]]:
    with link_parts(folder) as link:
        async with scripted_plane() as (plane, channel):
            yield link, plane, channel


async def until_empty(link: Link) -> None:
    async with asyncio.timeout(WAIT_S):
        while link.spool.after(0, 1):
            await asyncio.sleep(0.01)


async def test_hello_says_who_and_where_the_spool_stands(tmp_path: Path) -> None:
    async with one_link(tmp_path) as (link, plane, channel):
        link.measure(5)
        link.spool.acknowledge(3)
        async with running(link, channel):
            hello = (await (await plane.stream()).next("hello")).hello
        assert (hello.protocol, hello.spool_id, hello.first_sequence) == (PROTOCOL, link.spool.id, 4)
        assert [(unit.unit, list(unit.actions)) for unit in hello.allowed_units] == [(UNIT, ["validator.restart"])]
        assert (hello.exchange_token, hello.dropped_samples) == ("", 0)


async def test_batches_go_up_in_order_and_leave_the_spool_when_acknowledged(tmp_path: Path) -> None:
    async with one_link(tmp_path) as (link, plane, channel):
        link.measure(120)
        async with running(link, channel):
            stream = await plane.stream()
            stream.welcome()
            assert [batch.sequence for batch in await stream.batches(120)] == list(range(1, 121))
            stream.send(ack=link_pb2.Ack(sequence=100))
            link.measure()
            assert [batch.sequence for batch in await stream.batches(1)] == [121]
            async with asyncio.timeout(WAIT_S):
                while link.spool.first_sequence != 101:
                    await asyncio.sleep(0.01)
            stream.send(ack=link_pb2.Ack(sequence=121))
            await until_empty(link)


async def test_a_new_stream_resumes_after_what_arrived_and_defines_its_series_anew(tmp_path: Path) -> None:
    async with one_link(tmp_path) as (link, plane, channel):
        link.measure(2, "first")
        link.measure(2, "second")
        async with running(link, channel):
            stream = await plane.stream()
            stream.welcome()
            sent = await stream.batches(4)
        assert [[one.name for one in batch.definitions] for batch in sent] == [["first"], [], ["second"], []]

        # Nothing was acknowledged, but the server had three when the stream broke.
        async with running(link, channel):
            stream = await plane.stream()
            stream.welcome(acked=3)
            resumed = await stream.batches(1)
            link.measure(1, "first")
            resumed += await stream.batches(1)
        assert [batch.sequence for batch in resumed] == [4, 5]
        assert [[one.name for one in batch.definitions] for batch in resumed] == [["second"], ["first"]]
        assert link.spool.first_sequence == 4


async def test_units_are_reported_after_welcome_and_on_change(tmp_path: Path) -> None:
    async with one_link(tmp_path) as (link, plane, channel):
        await link.units.look()
        async with running(link, channel):
            stream = await plane.stream()
            stream.welcome()
            assert (await stream.next("unit")).unit.state.active_state == "active"
            await link.systemd.stop(UNIT, timeout_s=1)
            await link.units.look()
            assert (await stream.next("unit")).unit.state.active_state == "inactive"


async def test_a_command_is_answered_by_a_look_and_then_its_receipt(tmp_path: Path) -> None:
    async with one_link(tmp_path) as (link, plane, channel):
        await link.units.look()
        async with running(link, channel):
            stream = await plane.stream()
            stream.welcome()
            await stream.next("unit")
            stream.send(command=command(KEY))
            progress = (await stream.next("progress")).progress
            assert (progress.operation, progress.step) == ("operations/one", "act")
            report = (await stream.next("unit")).unit.state
            receipt = open_receipt((await stream.next("receipt")).receipt, link.identity.key.public_key())
        assert receipt
        assert receipt.result == link_pb2.RECEIPT_RESULT_DONE
        assert receipt.after.invocation_id == report.invocation_id


async def test_a_command_outlives_its_stream_and_is_answered_on_the_next(tmp_path: Path) -> None:
    async with one_link(tmp_path) as (link, plane, channel):
        async with running(link, channel) as task:
            stream = await plane.stream()
            stream.welcome()
            stream.send(command=command(KEY))
            await stream.next("progress")
            stream.end()
            await task
        await link.direct.finish(WAIT_S)
        async with running(link, channel):
            stream = await plane.stream()
            stream.welcome()
            stream.send(command=command(KEY))
            assert (await stream.next("receipt")).receipt.receipt
        assert link.systemd.jobs == ["restart"]


async def test_an_end_in_peace_returns_and_a_refusal_raises(tmp_path: Path) -> None:
    async with one_link(tmp_path) as (link, plane, channel):
        async with running(link, channel) as task:
            stream = await plane.stream()
            # Read first: a stream that ends while its Hello is being written fails of that, whatever the status.
            await stream.next("hello")
            stream.welcome()
            stream.end()
            async with asyncio.timeout(WAIT_S):
                await task
        async with running(link, channel) as task:
            stream = await plane.stream()
            await stream.next("hello")
            stream.context.set_code(grpc.StatusCode.PERMISSION_DENIED)
            stream.context.set_details("cut off")
            stream.end()
            with pytest.raises(grpc.aio.AioRpcError, match="cut off"):
                async with asyncio.timeout(WAIT_S):
                    await task


async def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WELCOME_SECONDS", 0.2)
    async with one_link(tmp_path) as (link, plane, channel):
        with pytest.raises(TimeoutError):
            await link.direct.run(channel, link.identity, lambda _: None)
        assert await plane.stream()
