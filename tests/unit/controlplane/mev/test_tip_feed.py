"""The tip feed: what it was told, how old that is, and nothing lost to an answer that is none."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from common.breaker import breakers
from controlplane.mev.tip_feed import DAY_S, TipFeed
from controlplane.mev.tips import Floor

TOLD = {f"landed_tips_{name}_percentile": 1e-5 for name in ("25th", "50th", "75th", "95th", "99th")} | {
    "ema_landed_tips_50th_percentile": 1e-5
}


@asynccontextmanager
async def server(answers: list[Any]) -> AsyncIterator[str]:
    """Answer with one after the other, and with the last for ever."""

    async def answer(request: web.Request) -> web.StreamResponse:
        told = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(told, web.Response):
            return told
        # In pieces, as answers come that have a way to go.
        reply = web.StreamResponse()
        await reply.prepare(request)
        for at in range(0, len(told), 64):
            await reply.write(told[at : at + 64].encode())
            await asyncio.sleep(0)
        return reply

    app = web.Application()
    app.router.add_get("/tip_floor", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/tip_floor"
    finally:
        await runner.cleanup()


def told(second: int) -> str:
    return json.dumps([TOLD | {"time": f"2026-10-24T12:27:{second:02d}Z"}])


async def run_until(feed: TipFeed, kept: list[Floor], count: int) -> None:
    task = asyncio.create_task(feed.run())
    try:
        async with asyncio.timeout(10):
            while len(kept) < count:
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_each_new_floor_is_kept_once_and_bad_answers_are_passed_over() -> None:
    kept: list[Floor] = []
    answers = [told(1), told(1), "<html>", web.Response(status=503), "x" * 70_000, told(2)]
    async with server(answers) as url:
        feed = TipFeed(url, 0.01, kept.append)
        assert (feed.newest, feed.stale) == (None, True)
        await run_until(feed, kept, 2)
    assert [floor.tips[1] for floor in kept] == [10_000, 10_000]
    assert kept[1].unix_s - kept[0].unix_s == 1
    assert feed.newest == kept[-1]
    assert not feed.stale
    assert not [one for one in breakers() if one.name == "the tip floor"]


async def test_a_feed_that_nobody_answers_is_left_alone_for_a_while() -> None:
    feed = TipFeed("http://127.0.0.1:1/tip_floor", 0.01, lambda _: None)
    task = asyncio.create_task(feed.run())
    async with asyncio.timeout(10):
        while not any(one.name == "the tip floor" and one.state == "open" for one in breakers()):
            await asyncio.sleep(0.01)
    assert feed.newest is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not [one for one in breakers() if one.name == "the tip floor"]


def test_a_day_is_kept_and_what_is_older_let_go() -> None:
    kept: list[Floor] = []
    feed = TipFeed("", 10, kept.append)
    floor = Floor(0.0, (1_000, 10_000, 10_000, 10_000, 10_000), 10_000)
    for hour in range(30):
        feed.take(floor._replace(unix_s=hour * 3600.0))
    assert feed.history[-1].unix_s - feed.history[0].unix_s == DAY_S
    feed.take(floor._replace(unix_s=0.0))
    assert len(kept) == 30
    # Within a second the newest is known, and the history grows no longer.
    quick = floor._replace(unix_s=29 * 3600.0 + 0.4)
    feed.take(quick)
    assert (feed.newest, len(kept)) == (quick, 30)
    assert feed.congestion == pytest.approx(1.0)
