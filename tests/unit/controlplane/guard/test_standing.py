"""Standing: a stream's items pass as they are, and it ends soon after its caller lost what let it in."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from controlplane.guard import standing
from controlplane.guard.standing import while_standing


class Lost(Exception):
    pass


async def _well() -> None:
    return


async def test_items_pass_in_order_and_the_handler_is_closed() -> None:
    closed: list[bool] = []

    async def handler() -> AsyncIterator[int]:
        try:
            for number in range(5):
                yield number
        finally:
            closed.append(True)

    assert [item async for item in while_standing(handler(), _well)] == [0, 1, 2, 3, 4]
    assert closed == [True]


async def test_a_silent_stream_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "PERIOD_SECONDS", 0.05)
    closed: list[bool] = []

    async def silent() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    async def recheck() -> None:
        raise Lost

    began = time.monotonic()
    items = while_standing(silent(), recheck)
    assert await anext(items) == 1
    with pytest.raises(Lost):
        await anext(items)
    assert closed == [True]
    assert time.monotonic() - began < 5


async def test_a_handlers_own_failure_comes_through() -> None:
    async def failing() -> AsyncIterator[int]:
        yield 1
        raise Lost

    with pytest.raises(Lost):
        async for _ in while_standing(failing(), _well):
            pass
