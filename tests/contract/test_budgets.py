"""Budgets of calls: one suite for those in process and those in a real Redis, and the way from one to the other."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from controlplane.guard.budgets import Budget, Budgets, FallbackBudgets, LocalBudgets
from controlplane.store.budgets import RedisBudgets
from controlplane.store.redis import RedisDown, RedisStore
from tests.support.redis import RedisServer, redis


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis() as running:
        yield running


@asynccontextmanager
async def shared(server: RedisServer) -> AsyncIterator[RedisBudgets]:
    store = RedisStore(server.url)
    budgets = RedisBudgets(store)
    try:
        yield budgets
    finally:
        await budgets.close()
        await store.close()


@pytest.fixture(params=["local", "redis"])
async def budgets(request: pytest.FixtureRequest, server: RedisServer) -> AsyncIterator[Budgets]:
    if request.param == "local":
        yield LocalBudgets()
        return
    async with shared(server) as made:
        await made._store.call(lambda client: client.flushall())
        yield made


def budget(key: str, limit: int, period_s: float = 60) -> Budget:
    return Budget(key, limit, period_s, f"{limit} per {period_s} s")


async def test_a_budget_is_spent_and_says_how_it_stands(budgets: Budgets) -> None:
    verdicts = [await budgets.spend([budget("a", 3)]) for _ in range(4)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, True, False]
    assert [verdict.remaining for verdict in verdicts] == [2, 1, 0, 0]
    assert all(59 < verdict.wait_s <= 60 for verdict in verdicts)
    assert (await budgets.spend([budget("b", 3)])).allowed


async def test_of_several_budgets_the_tightest_speaks(budgets: Budgets) -> None:
    assert (await budgets.spend([budget("a", 9), budget("b", 2)])).tightest == 1
    assert (await budgets.spend([budget("a", 9), budget("b", 2)])).remaining == 0
    refused = await budgets.spend([budget("a", 9), budget("b", 2)])
    assert (refused.allowed, refused.tightest) == (False, 1)


async def test_what_one_budget_refuses_is_drawn_from_none(budgets: Budgets) -> None:
    await budgets.spend([budget("full", 1)])
    for _ in range(5):
        assert not (await budgets.spend([budget("a", 2), budget("full", 1)])).allowed
        assert not (await budgets.spend([budget("full", 1), budget("a", 2)])).allowed
    assert (await budgets.spend([budget("a", 2)])).remaining == 1


async def test_the_window_moves(budgets: Budgets) -> None:
    """Two bursts around the turn of a clock's second are one burst to it."""
    assert (await budgets.spend([budget("a", 2, 0.4)])).allowed
    await asyncio.sleep(0.3)
    assert (await budgets.spend([budget("a", 2, 0.4)])).allowed
    refused = await budgets.spend([budget("a", 2, 0.4)])
    assert not refused.allowed
    assert 0 < refused.wait_s < 0.15
    await asyncio.sleep(refused.wait_s + 0.02)
    # The first call has left the window, the second has not.
    assert (await budgets.spend([budget("a", 2, 0.4)])).allowed
    assert not (await budgets.spend([budget("a", 2, 0.4)])).allowed


async def test_a_flood_at_once_gets_exactly_its_budget(budgets: Budgets) -> None:
    verdicts = await asyncio.gather(*(budgets.spend([budget("a", 100), budget("b", 1000)]) for _ in range(700)))
    assert sum(verdict.allowed for verdict in verdicts) == 100


async def test_two_control_planes_together_keep_to_one_limit(server: RedisServer) -> None:
    limit, period_s, seconds = 200, 1.0, 2.3
    let: list[float] = []
    async with shared(server) as one, shared(server) as other:

        async def flood(replica: RedisBudgets, end: float) -> None:
            while time.monotonic() < end:
                if (await replica.spend([budget("two", limit, period_s)])).allowed:
                    let.append(time.monotonic())

        end = time.monotonic() + seconds
        await asyncio.gather(*(flood(replica, end) for replica in (one, other) * 8))
    let.sort()
    # A reply takes a moment that differs from call to call, so the window judged is that much shorter.
    window = period_s - 0.05
    most = max(sum(begin <= at < begin + window for at in let) for begin in let)
    assert most <= limit * 1.01
    assert len(let) >= 2 * limit


async def test_while_redis_is_down_limits_go_on_and_come_back(server: RedisServer) -> None:
    def alone() -> float | None:
        return REGISTRY.get_sample_value("solward_rate_limits_not_shared")

    async with shared(server) as inner:
        budgets = FallbackBudgets(inner, RedisDown, LocalBudgets())
        assert (await budgets.spend([budget("down", 2)])).remaining == 1
        assert alone() == 0
        await asyncio.to_thread(server.kill)
        with capture_logs() as logs:
            allowed = [(await budgets.spend([budget("down", 2)])).allowed for _ in range(8)]
            assert allowed == [True, True] + [False] * 6
            assert [entry["log_level"] for entry in logs] == ["error"]
            assert server.password not in str(logs)
            assert alone() == 1
            await asyncio.to_thread(server.start)
            deadline = time.monotonic() + 10
            while alone() and time.monotonic() < deadline:
                await budgets.spend([budget("other", 1000)])
                await asyncio.sleep(0.05)
            assert alone() == 0
            assert [entry["event"] for entry in logs][1:] == ["rate limits are shared again"]


async def test_a_redis_that_stands_still_costs_a_caller_little(server: RedisServer) -> None:
    async with shared(server) as inner:
        budgets = FallbackBudgets(inner, RedisDown, LocalBudgets())
        await budgets.spend([budget("still", 5)])
        with server.frozen():
            began = time.monotonic()
            verdicts = await asyncio.gather(*(budgets.spend([budget("still", 5)]) for _ in range(50)))
            assert time.monotonic() - began < 1.5
        assert sum(verdict.allowed for verdict in verdicts) == 5


async def test_what_one_process_remembers_is_bounded() -> None:
    budgets = LocalBudgets(most=100)
    for number in range(1000):
        await budgets.spend([budget(f"k{number}", 1)])
    assert len(budgets._spent) == 100
    assert not (await budgets.spend([budget("k999", 1)])).allowed
