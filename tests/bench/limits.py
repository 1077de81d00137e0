"""How fast calls are counted against their budgets in a real Redis, from one process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from controlplane.guard.budgets import Budget, LocalBudgets, Rate, Verdict
from controlplane.store.budgets import RedisBudgets
from controlplane.store.redis import RedisStore
from tests.bench.rows import Row, row
from tests.support.redis import redis

IN_FLIGHT = 64
DECISIONS = 30_000
CALLERS, ADDRESSES = 1000, 200
CALLER, ADDRESS = Rate.of("100/second"), Rate.of("500/second")
Spend = Callable[[Sequence[Budget]], Awaitable[Verdict]]


async def run() -> list[Row]:
    """Measure decisions on two budgets each, the caller's and the address's, as the guard makes them."""
    with redis() as server:
        store = RedisStore(server.url)
        shared = RedisBudgets(store)
        per_s = await _decide(shared.spend)
        await shared.close()
        await store.close()
    alone = await _decide(LocalBudgets().spend)
    detail = f"two budgets each, {IN_FLIGHT} in flight, Redis on the same machine; in process: {alone:,.0f}/s"
    return [row("ratelimit_decisions_per_s", round(per_s), "1/s", ">= 10000", detail)]


async def _decide(spend: Spend) -> float:
    numbers = iter(range(DECISIONS))

    async def client() -> None:
        for number in numbers:
            caller, address = f"read:{number % CALLERS}", f"address:{number % ADDRESSES}"
            await spend((CALLER.budget(caller), ADDRESS.budget(address)))

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for _ in range(IN_FLIGHT):
            clients.create_task(client())
    return DECISIONS / (time.perf_counter() - begin)
