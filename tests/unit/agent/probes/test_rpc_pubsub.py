"""Slots by subscription: what is pushed, and what a node that pushes nothing, or nonsense, is called."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from agent.probes.rpc_pubsub import PubsubProbe
from agent.probes.websocket import WebSocketError
from tests.peers.fixtures import validator_peer
from tests.support.sink import Kept


async def follow(url: str, seconds: float, *, silent_s: float = 15.0) -> Kept:
    kept = Kept()
    task = asyncio.create_task(PubsubProbe(url, silent_s=silent_s).run(kept))
    await asyncio.sleep(seconds)
    assert not task.done(), "a probe ended by itself"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return kept


def errors(kept: Kept) -> Counter[str]:
    return Counter(
        {dict(series.labels)["class"]: len(values) for series, values in kept.values.items() if "errors" in series.name}
    )


@asynccontextmanager
async def saying(*texts: str | bytes, status: int = 101) -> AsyncIterator[str]:
    """Serve a socket that says something to the first message, and then nothing."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if status != 101:
            return web.Response(status=status)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        for text in texts:
            await (socket.send_str(text) if isinstance(text, str) else socket.send_bytes(text))
        async for _ in socket:
            continue
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_slots_of_a_node_are_followed_and_timed() -> None:
    async with validator_peer(ws_port=0, slot_ms=100) as peer:
        kept = await follow(peer.ws_url, 2.6)
    slots = len(kept.of("solana_ws_slots"))
    assert slots >= 8
    gaps = kept.of("solana_ws_gap_seconds")
    assert len(gaps) == slots - 1
    assert 0.05 < sorted(gaps)[len(gaps) // 2] < 0.3
    assert 0 <= min(kept.of("solana_ws_delay_seconds")) < 0.2
    assert 1.0 in kept.of("solana_ws_up")
    assert not errors(kept)


async def test_a_node_that_takes_subscriptions_and_pushes_nothing_is_silent() -> None:
    async with validator_peer(ws_port=0, slot_ms=100, ws_silent="true") as peer:
        kept = await follow(peer.ws_url, 2.5, silent_s=1.0)
    assert set(errors(kept)) == {"silent"}
    assert not kept.of("solana_ws_slots")
    assert 0.0 in kept.of("solana_ws_up")


def told(slot: int, parent: int) -> str:
    result = {"slot": slot, "parent": parent, "root": 1}
    return json.dumps({"jsonrpc": "2.0", "method": "slotNotification", "params": {"result": result, "subscription": 1}})


async def test_slots_that_were_not_told_of_are_missed_and_skipped_ones_are_not() -> None:
    # The cluster skipped 12 and 13; 21 was never told of, though 22 builds on it.
    pushed = [told(10, 9), told(11, 10), told(14, 11), told(20, 14), told(22, 21), told(21, 20)]
    async with saying(*pushed) as url:
        kept = await follow(url, 0.5)
    assert len(kept.of("solana_ws_slots")) == len(pushed)
    assert kept.of("solana_ws_missed_slots") == [1.0]


REFUSED = '{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}'


@pytest.mark.parametrize(
    ("texts", "status", "kind"),
    [
        (["{"], 101, "invalid"),
        (['{"params":{"result":{"slot":"many"}}}'], 101, "invalid"),
        ([b"\0\1"], 101, "invalid"),
        (["x" * 70_000], 101, "invalid"),
        ([REFUSED], 101, "refused"),
        ([], 503, "refused"),
    ],
)
async def test_what_is_no_subscription_has_its_class(texts: Sequence[str | bytes], status: int, kind: str) -> None:
    async with saying(*texts, status=status) as url:
        kept = await follow(url, 0.6)
    assert set(errors(kept)) == {kind}


async def test_a_node_that_is_gone_and_comes_back(unused_tcp_port: int) -> None:
    kept = await follow(f"ws://127.0.0.1:{unused_tcp_port}", 0.5)
    assert set(errors(kept)) == {"transport"}
    assert set(kept.of("solana_ws_up")) == {0.0}


def test_only_ws_urls_are_taken() -> None:
    with pytest.raises(ValueError, match="ws or wss"):
        PubsubProbe("http://127.0.0.1:8900")


@given(
    st.text()
    | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.dictionaries(st.text(), x)).map(json.dumps)
)
def test_no_message_is_an_exception(text: str) -> None:
    kept, told = Kept(), False
    with suppress(WebSocketError):
        told = PubsubProbe("ws://127.0.0.1")._take(text, kept)
    assert bool(kept.of("solana_ws_slots")) is told
