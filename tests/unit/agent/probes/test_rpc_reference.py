"""How far a node is behind, and when that cannot be told."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from agent.probes.rpc_reference import ReferenceProbe, References, majority
from tests.support.sink import Kept


@asynccontextmanager
async def node(slot: int, status: int = 200) -> AsyncIterator[str]:
    """Run a node that stands at a slot."""

    async def answer(request: web.Request) -> web.Response:
        assert (await request.json())["method"] == "getSlot"
        return web.Response(status=status, text=json.dumps({"jsonrpc": "2.0", "result": slot, "id": 1}))

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def measured(own: int, others: Sequence[tuple[int, int]]) -> Kept:
    kept = Kept()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(node(own))
        urls = [await stack.enter_async_context(node(*one)) for one in others]
        probe = ReferenceProbe(url, References(tuple(urls), period_s=0.1))
        task = asyncio.create_task(probe.run(kept))
        async with asyncio.timeout(10):
            while not kept.of("solana_rpc_monitor_reliable"):
                await asyncio.sleep(0.02)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return kept


@pytest.mark.parametrize(
    ("others", "lag"),
    [
        ([(1010, 200)], 10),
        ([(995, 200)], -5),
        ([(1010, 200), (1012, 200), (1014, 200)], 12),
        # One of three is behind, or gone: the other two decide.
        ([(1010, 200), (1012, 200), (400, 200)], 12),
        ([(1010, 200), (1012, 200), (1013, 503)], 12),
    ],
)
async def test_the_lag_is_what_a_majority_says(others: list[tuple[int, int]], lag: int) -> None:
    kept = await measured(1000, others)
    assert kept.of("solana_rpc_monitor_reliable")[0] == 1.0
    assert kept.of("solana_rpc_slot_lag")[0] == lag
    assert kept.of("solana_rpc_slot")[0] == 1000.0


@pytest.mark.parametrize(
    "others",
    [[(1010, 429)], [(1010, 200), (700, 200), (400, 200)], [(1010, 200), (1010, 500), (1010, 500)]],
    ids=["none answers", "none agree", "one of three answers"],
)
async def test_without_a_majority_nothing_is_said_of_the_node(others: list[tuple[int, int]]) -> None:
    kept = await measured(1000, others)
    assert kept.of("solana_rpc_monitor_reliable")[0] == 0.0
    assert not kept.of("solana_rpc_slot_lag")
    failed = [(number, status) for number, (_, status) in enumerate(others) if status != 200]
    for number, status in failed:
        labels = {"reference": str(number), "class": f"http_{status}"}
        # Once: it is left alone for a while then.
        assert kept.of("solana_rpc_reference_errors", **labels) == [1.0]


@given(
    st.lists(st.integers(0, 2**40), max_size=5),
    st.integers(0, 5),
    st.integers(0, 100),
)
def test_a_majority_agrees_and_is_more_than_half(slots: list[int], silent: int, agree: int) -> None:
    asked = len(slots) + silent
    found = majority(slots, asked, agree)
    if found is None:
        assert all(sum(0 <= top - slot <= agree for slot in slots) * 2 <= asked for top in slots)
    else:
        assert found in slots
        assert sum(abs(found - slot) <= agree for slot in slots) * 2 > asked


def test_a_reference_is_an_http_url() -> None:
    with pytest.raises(ValueError, match="http or https"):
        ReferenceProbe("http://127.0.0.1", References(("ftp://x",)))
