"""The bell is heard by everybody who waits, and by who was busy when it was rung."""

import asyncio

from common.bell import Bell


async def test_everybody_who_waits_hears_it() -> None:
    bell = Bell()
    waiting = [asyncio.create_task(bell.after(bell.times, 5.0)) for _ in range(3)]
    await asyncio.sleep(0)
    bell.ring()
    assert await asyncio.gather(*waiting) == [True, True, True]


async def test_who_was_busy_hears_it_once() -> None:
    bell = Bell()
    heard = bell.times
    bell.ring()
    assert await bell.after(heard, 0.0)
    assert not await bell.after(bell.times, 0.01)
