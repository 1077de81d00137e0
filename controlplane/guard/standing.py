"""Standing: a long stream ends when its caller would not be let in any more."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar, cast

Item = TypeVar("Item")

PERIOD_SECONDS = 2.0


async def while_standing(
    items: AsyncIterator[Item], recheck: Callable[[], Awaitable[None]]
) -> AsyncGenerator[Item, None]:
    """Pass items on, and look every two seconds, also when none come, whether they may still be.

    Args:
        items: what a handler gives; closed at the end.
        recheck: raises what the stream is to end with.
    """
    end = object()
    loop = asyncio.get_running_loop()
    due = loop.time() + PERIOD_SECONDS
    pending = asyncio.ensure_future(anext(items, end))
    try:
        while True:
            await asyncio.wait({pending}, timeout=max(0.0, due - loop.time()))
            if loop.time() >= due:
                await recheck()
                due = loop.time() + PERIOD_SECONDS
            if not pending.done():
                continue
            item = pending.result()
            if item is end:
                return
            yield cast(Item, item)
            pending = asyncio.ensure_future(anext(items, end))
    finally:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
        await items.aclose()  # type: ignore[attr-defined]
