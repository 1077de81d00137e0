"""How far the slot delay that the agent tells of a stream is off, against what the peer knows of it.

One program plays the node and its plugin: it tells of a slot over WebSocket and, later, over gRPC, and notes both
moments. The agent's subscriptions to both share one event loop, as they do in the agent.
"""

import asyncio
import json
from typing import Any

import aiohttp
from solward.hosts.v1 import link_pb2
from yellowstone import geyser_pb2

from agent.geyser.board import SlotBoard
from agent.geyser.ends import End
from agent.geyser.plugin_settings import StreamSettings
from agent.geyser.slots import SlotTracker
from agent.geyser.stream import GeyserStream
from agent.probes.base import Series
from agent.probes.rpc_pubsub import PubsubProbe
from tests.bench.rows import Row, quantile, row
from tests.peers.process import python, running

DELAYS_MS = (0, 20, 100, 400, 1_500)
SLOT_MS = 400


class _Delays:
    """A listener and a sink: it keeps the delay of each slot, and nothing else."""

    def __init__(self, board: SlotBoard) -> None:
        self._tracker = SlotTracker(board, 10.0)
        self.found: dict[int, float] = {}

    def began(self) -> None:
        self._tracker.begin()

    def slot(self, update: geyser_pb2.SubscribeUpdateSlot, at: float) -> None:
        self._tracker.take(update, at)
        self.found |= self._tracker.tick(at).delays_s

    def block(self, meta: geyser_pb2.SubscribeUpdateBlockMeta) -> None:
        raise AssertionError("no blocks were asked for")

    def ended(self, end: End, stood_s: float | None) -> None:
        raise AssertionError(f"the stream ended: {end.message}")

    def sample(self, series: Series, value: float) -> None: ...

    def event(self, event: link_pb2.Event, *, urgent: bool = False) -> None: ...

    def position(self, source: str, value: str) -> None: ...


async def _measure(seconds: float) -> list[float]:
    """Follow a peer that is late by several times; give by how many seconds each slot's delay is off."""
    board = SlotBoard()
    delays = _Delays(board)
    async with running(python("tests.peers.yellowstone", "--slot-ms", str(SLOT_MS))) as (_, line):
        _, url, ws_url, control = line.split()
        work = GeyserStream("ys", StreamSettings(url=url), delays).run(), PubsubProbe(ws_url, board).run(delays)
        tasks = [asyncio.create_task(one) for one in work]
        async with aiohttp.ClientSession() as session:
            for delay_ms in DELAYS_MS:
                async with session.post(f"{control}/faults", data=json.dumps({"delay_ms": delay_ms})) as answer:
                    answer.raise_for_status()
                await asyncio.sleep(seconds)
            async with session.get(f"{control}/late") as answer:
                late: dict[str, float] = await answer.json()
        for task in tasks:
            task.cancel()
        ended: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended
    return [
        abs(delays.found[slot] - truth)
        for slot, truth in ((int(key), late[key]) for key in late)
        if slot in delays.found
    ]


async def run(seconds: float = 20.0) -> list[Row]:
    """Measure and return the row of the report.

    Args:
        seconds: for each of the delays.
    """
    errors = [1000 * one for one in await _measure(seconds)]
    assert len(errors) > 0.8 * len(DELAYS_MS) * seconds * 1000 / SLOT_MS, f"only {len(errors)} slots were timed"
    loop = type(asyncio.get_running_loop()).__module__
    detail = (
        f"p99 of {len(errors)} slots at {1000 / SLOT_MS:g} a second that came {', '.join(map(str, DELAYS_MS))} ms"
        f" late, median {quantile(errors, 0.5):.2f} ms, at worst {max(errors):.2f} ms, {loop}; the passages through"
        " the loopback are in it"
    )
    return [row("slot_delay_error_ms", quantile(errors, 0.99), "ms", "<= 5", detail)]
