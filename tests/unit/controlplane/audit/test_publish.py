"""The live stream: in order, without a gap, nothing twice, and never in the log's way; on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from common.errors import SolwardError
from controlplane.audit import publish as module
from controlplane.audit.log import AuditLog
from controlplane.audit.publish import STREAM, Publisher
from controlplane.store.audit import AuditRepository
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.redis import RedisStore
from tests.support.redis import RedisServer, redis

SIGNING = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
WAIT_S = 15.0


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis() as running:
        yield running


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    made = RedisStore(server.url)
    await made.client.flushall()
    yield made
    await made.close()


@asynccontextmanager
async def log_in(folder: Path) -> AsyncIterator[AuditLog]:
    engine: AsyncEngine = open_engine(f"sqlite+aiosqlite:///{folder / 'state.db'}")
    await migrate(engine)
    log = AuditLog(AuditRepository(engine), mac_key=b"k", signing_key=SIGNING, origin="test")
    await log.start()
    try:
        yield log
    finally:
        await log.close()
        await close_engine(engine)


@pytest.fixture
async def audit(tmp_path: Path) -> AsyncIterator[AuditLog]:
    async with log_in(tmp_path) as log:
        yield log


async def write(log: AuditLog, count: int) -> None:
    await asyncio.gather(*(log.append({"reason": f"{number}"}) for number in range(count)))


@asynccontextmanager
async def publishing(log: AuditLog, store: RedisStore, **options: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(Publisher(log, store, **options).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def published(store: RedisStore, last: int) -> list[int]:
    """Wait until an entry is in the stream, and give the numbers of all."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                rows = await store.client.xrange(STREAM)
            except RedisError:
                # A connection of before its restart.
                continue
            numbers = [int(fields[b"sequence"]) for _, fields in rows]
            if numbers and numbers[-1] >= last:
                assert [name for name, _ in rows] == [f"{number}-0".encode() for number in numbers]
                return numbers
            await asyncio.sleep(0.02)


async def test_every_entry_comes_once_in_order_as_it_was_written(audit: AuditLog, store: RedisStore) -> None:
    await write(audit, 250)
    async with publishing(audit, store):
        assert await published(store, 250) == [*range(1, 251)]
        await write(audit, 700)
        assert await published(store, 950) == [*range(1, 951)]
    async with publishing(audit, store):
        await write(audit, 3)
        assert await published(store, 953) == [*range(1, 954)]
    newest = (await audit.list(limit=1)).entries[0]
    ((_, fields),) = await store.client.xrevrange(STREAM, count=1)
    assert fields == {
        b"sequence": b"953", b"body": newest.body.encode(), b"hash": newest.hash.hex().encode(),
        b"mac": newest.mac.hex().encode(),
    }  # fmt: skip


async def test_log_goes_on_without_redis_and_the_stream_catches_up(
    audit: AuditLog, server: RedisServer, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_S", 0.5)
    monkeypatch.setattr(store.breaker, "before", lambda: None)
    await write(audit, 5)
    async with publishing(audit, store):
        await published(store, 5)
        await asyncio.to_thread(server.kill)
        # More than memory holds of the newest.
        async with asyncio.timeout(5):
            await write(audit, 1200)
        assert audit.size == 1205
        await asyncio.to_thread(server.start)
        # What was in memory of Redis is gone with it; nothing of the log is.
        assert await published(store, 1205) == [*range(1, 1206)]


async def test_redis_that_stands_still_does_not_hinder_the_log(
    audit: AuditLog, server: RedisServer, store: RedisStore
) -> None:
    async with publishing(audit, store):
        await write(audit, 1)
        await published(store, 1)
        with server.frozen():
            async with asyncio.timeout(1.5):
                await write(audit, 300)
            assert audit.size == 301
        assert await published(store, 301) == [*range(1, 302)]


async def test_stream_is_bounded(audit: AuditLog, store: RedisStore) -> None:
    await write(audit, 600)
    async with publishing(audit, store, length=100):
        numbers = await published(store, 600)
        # It begins no further back than it is long.
        assert numbers == [*range(501, 601)]
        await write(audit, 900)
        numbers = await published(store, 1500)
    # Redis trims whole nodes of 100.
    assert len(numbers) < 300
    assert numbers == [*range(numbers[0], 1501)]


async def test_case_33_stream_of_another_history_is_set_aside(
    tmp_path: Path, audit: AuditLog, store: RedisStore
) -> None:
    (tmp_path / "other").mkdir()
    async with log_in(tmp_path / "other") as other:
        for length in (3, 9):
            await write(other, length)
            async with publishing(other, store):
                await published(store, other.size)
            await write(audit, 4)
            async with publishing(audit, store):
                async with asyncio.timeout(WAIT_S):
                    while len([*await store.client.keys(f"{STREAM}:*")]) < 1:
                        await asyncio.sleep(0.02)
                assert await published(store, audit.size) == [*range(1, audit.size + 1)]
            await store.client.flushall()


async def test_follow_tells_of_a_gap_instead_of_hiding_it(audit: AuditLog) -> None:
    await write(audit, 20)
    await audit.checkpoint()
    await write(audit, 1)
    await audit.cut(10, "user:alice")
    with pytest.raises(SolwardError) as caught:
        await anext(audit.follow(5))
    assert (caught.value.reason, caught.value.metadata) == ("ENTRIES_PRUNED", {"first": "11"})
    assert [entry.sequence for entry in await anext(audit.follow(10))] == [*range(11, 22)]
