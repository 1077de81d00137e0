"""The Yellowstone peer serves as the real one does: its unary calls, its token, and what befalls a slow reader."""

import asyncio
import json
from typing import Any

import grpc
import grpc.aio
import pytest
from yellowstone import geyser_pb2 as pb
from yellowstone.geyser_pb2_grpc import GeyserStub

from tests.peers.process import python, running
from tests.peers.yellowstone import yellowstone


async def test_unary_calls_and_the_token() -> None:
    async with (
        yellowstone(token="let-me-in") as peer,
        grpc.aio.insecure_channel(peer.url.removeprefix("http://")) as channel,
    ):
        stub: Any = GeyserStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetSlot(pb.GetSlotRequest())
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        token = (("x-token", "let-me-in"),)
        slot = await stub.GetSlot(pb.GetSlotRequest(), metadata=token)
        assert abs(slot.slot - peer.node.slot.number) < 3
        assert (await stub.Ping(pb.PingRequest(count=5), metadata=token)).count == 5
        version = await stub.GetVersion(pb.GetVersionRequest(), metadata=token)
        assert json.loads(version.version)["version"]["solana"] == "4.2.1"


async def test_a_reader_that_is_too_slow_is_let_go_of() -> None:
    async with yellowstone(slot_ms=5) as peer:
        # Beyond what the wire itself holds, little waits here.
        peer.faults.capacity, peer.faults.big_mb = 5, 3
        options = (("grpc.max_receive_message_length", -1),)
        async with grpc.aio.insecure_channel(peer.url.removeprefix("http://"), options=options) as channel:
            stub: Any = GeyserStub(channel)
            call = stub.Subscribe()
            request = pb.SubscribeRequest()
            request.slots["s"].interslot_updates = True
            await call.write(request)
            await call.read()
            # It reads nothing until it has been let go of.
            await asyncio.sleep(4.0)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async with asyncio.timeout(30):
                    while await call.read() is not grpc.aio.EOF:
                        await asyncio.sleep(0)
            assert caught.value.code() is grpc.StatusCode.INTERNAL
            assert "lagged to receive" in str(caught.value.details())


async def test_it_runs_as_a_program_and_knows_how_late_it_was() -> None:
    import aiohttp

    async with running(python("tests.peers.yellowstone", "--slot-ms", "50", "--delay-ms", "60")) as (_, line):
        _, url, ws_url, control = line.split()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(ws_url) as socket,
            grpc.aio.insecure_channel(url.removeprefix("http://")) as channel,
        ):
            await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"})
            stub: Any = GeyserStub(channel)
            call = stub.Subscribe()
            request = pb.SubscribeRequest()
            request.slots["s"].SetInParent()
            await call.write(request)
            for _ in range(30):
                update = await call.read()
                assert update.slot.status in (pb.SLOT_PROCESSED, pb.SLOT_CONFIRMED, pb.SLOT_FINALIZED)
            async with session.get(f"{control}/late") as answer:
                late = await answer.json()
            assert late
            assert all(0.05 < seconds < 0.5 for seconds in late.values())
            async with session.post(f"{control}/faults", json={"nonsense": 1}) as answer:
                assert (answer.status, await answer.json()) == (400, {"unknown": ["nonsense"]})
