"""The wrapper around Redis, on a real server: what a dead, a frozen and a wrong one are to a caller."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from controlplane.store import redis as wrapper
from controlplane.store.redis import RedisDown, RedisStore
from tests.support.redis import RedisServer, redis


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis() as running:
        yield running


async def test_a_call_is_answered(server: RedisServer) -> None:
    store = RedisStore(server.url)
    assert await store.call(lambda client: client.incr("seen"))
    assert await store.call(lambda client: client.get("seen")) == b"1"
    await store.close()


async def test_a_dead_server_is_said_so_and_then_left_alone_and_then_found_again(server: RedisServer) -> None:
    store = RedisStore(server.url)
    server.kill()
    for _ in range(5):
        with pytest.raises(RedisDown, match="does not answer"):
            await store.call(lambda client: client.ping())
    assert store.breaker.state == "open"
    with pytest.raises(RedisDown, match="failed too often"):
        await store.call(lambda client: client.ping())
    await asyncio.to_thread(server.start)
    await asyncio.sleep(1.3)
    assert store.breaker.state == "half-open"
    assert await store.call(lambda client: client.ping())
    assert store.breaker.state == "closed"
    await store.close()


async def test_a_frozen_server_costs_one_deadline(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapper, "CALL_SECONDS", 0.3)
    store = RedisStore(server.url)
    await store.call(lambda client: client.ping())
    with server.frozen():
        began = time.monotonic()
        with pytest.raises(RedisDown, match="TimeoutError"):
            await store.call(lambda client: client.get("x"))
        assert time.monotonic() - began < 1
    await store.close()


async def test_a_wrong_password_is_refused_without_repeating_it(server: RedisServer) -> None:
    store = RedisStore(server.url.replace(server.password, "another-secret"))
    with pytest.raises(RedisDown) as refused:
        await store.call(lambda client: client.ping())
    assert "secret" not in str(refused.value)
    await store.close()


async def test_more_calls_than_connections_wait_for_one(server: RedisServer) -> None:
    store = RedisStore(server.url)
    seen = await asyncio.gather(*(store.call(lambda client: client.incr("seen")) for _ in range(500)))
    assert sorted(seen) == list(range(1, 501))
    assert store.breaker.failures == 0
    await store.close()
