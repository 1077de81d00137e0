"""PostgreSQL restarted, frozen or held up amid the work: errors are clean, and nothing is half-written."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import pytest
from solward.hosts.v1 import link_pb2
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store import postgresql
from controlplane.store.audit import AuditRepository
from controlplane.store.database import close_engine, is_away, migrate, open_engine
from controlplane.store.events import EventRepository
from controlplane.store.hosts import ACTIVE, CURRENT, PENDING, CertificateRow, HostRepository
from controlplane.store.turns import take_turns
from tests.contract.store.test_audit import entry
from tests.support.postgres import FAST, IMMEDIATE, PostgresServer

CLEAN = (SQLAlchemyError, OSError)
RECOVER_S = 5.0
BATCH = 20


@pytest.fixture
async def engine(postgres_server: PostgresServer) -> AsyncIterator[AsyncEngine]:
    with postgres_server.database() as url:
        opened = open_engine(url)
        await migrate(opened)
        yield opened
        await close_engine(opened)


class Work(NamedTuple):
    """What was acknowledged, when each kind of work last was, and what failed."""

    done: list[tuple[str, int]]
    last: dict[str, float]
    errors: list[BaseException]

    async def repeat(self, kind: str, act: Callable[[int], Awaitable[object]]) -> None:
        """Do something again and again, whatever becomes of it."""
        number = 0
        while True:
            number += 1
            try:
                await act(number)
            except CLEAN as error:
                self.errors.append(error)
                await asyncio.sleep(0.01)
            else:
                self.done.append((kind, number))
                self.last[kind] = time.monotonic()


def works(engine: AsyncEngine) -> dict[str, Callable[[int], Awaitable[object]]]:
    """Things to do that each write several rows."""
    audit, events, hosts = AuditRepository(engine), EventRepository(engine), HostRepository(engine)

    async def write_two(_: int) -> None:
        size = await audit.size()
        await audit.append([entry(size + 1), entry(size + 2)])

    async def add_batch(number: int) -> None:
        assert await events.add("h", "5" * 32, number, [link_pb2.Event(unix_ms=number)] * BATCH)

    async def enroll(number: int) -> None:
        uid = f"h{number}"
        await hosts.replace(uid, uid, 1)
        await hosts.add_join_token(uid, uid, 1000)
        token = await hosts.join_token(uid)
        assert token
        assert await hosts.join(token, "key", "pem", CertificateRow(uid, "agent", uid, b"", 0, 1, CURRENT), 1)

    return {"audit": write_two, "events": add_batch, "hosts": enroll}


async def assert_whole(engine: AsyncEngine, done: list[tuple[str, int]]) -> None:
    """Nothing that was acknowledged is missing, and nothing is there by half."""
    acknowledged = {kind: {number for one, number in done if one == kind} for kind, _ in done}
    entries = await AuditRepository(engine).forward(0, 1_000_000)
    assert [one.sequence for one in entries] == list(range(1, len(entries) + 1))
    assert len(entries) % 2 == 0
    assert len(entries) >= 2 * len(acknowledged["audit"])
    async with engine.connect() as connection:
        batches = await connection.execute(text("SELECT sequence, count(*) FROM events GROUP BY sequence"))
        counted = {row[0]: row[1] for row in batches}
    assert set(counted.values()) == {BATCH}
    assert acknowledged["events"] <= counted.keys()
    hosts = HostRepository(engine)
    for uid, state in (await hosts.states()).items():
        token, certificate = await hosts.join_token(uid), await hosts.certificate(uid)
        joined = token is not None and token.used_ms is not None
        assert (state == ACTIVE, certificate is not None) == (joined, joined)
        assert state in (ACTIVE, PENDING)
        if uid != "h" and int(uid[1:]) in acknowledged["hosts"]:
            assert joined


@pytest.mark.parametrize("how", [FAST, IMMEDIATE], ids=["fast", "immediate"])
async def test_restart_amid_the_work_loses_nothing_that_was_acknowledged(
    engine: AsyncEngine, postgres_server: PostgresServer, how: signal.Signals
) -> None:
    await HostRepository(engine).replace("h", "h", 1)
    work = Work([], {}, [])
    tasks = [asyncio.create_task(work.repeat(kind, act)) for kind, act in works(engine).items()]
    for _ in range(2):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(postgres_server.restart, how)
        back = time.monotonic()
        async with asyncio.timeout(RECOVER_S):
            while min(work.last.values()) < back:
                await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    assert {type(end) for end in await asyncio.gather(*tasks, return_exceptions=True)} == {asyncio.CancelledError}
    assert work.errors
    assert not [error for error in work.errors if postgres_server.password in str(error)]
    await assert_whole(engine, work.done)


@pytest.mark.parametrize("how", [FAST, IMMEDIATE], ids=["fast", "immediate"])
async def test_connections_that_a_restart_cut_are_never_used(
    engine: AsyncEngine, postgres_server: PostgresServer, how: signal.Signals
) -> None:
    hosts = HostRepository(engine)
    await asyncio.gather(*(hosts.states() for _ in range(5)))
    await asyncio.to_thread(postgres_server.restart, how)
    assert await asyncio.gather(*(hosts.states() for _ in range(5))) == [{}] * 5


async def test_server_that_is_down_is_refused_at_once(engine: AsyncEngine, postgres_server: PostgresServer) -> None:
    hosts = HostRepository(engine)
    await asyncio.to_thread(postgres_server.kill)
    try:
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(SQLAlchemyError, match="Connection refused") as refused:
                await hosts.states()
            assert is_away(refused.value)
        assert time.monotonic() - began < 1
    finally:
        await asyncio.to_thread(postgres_server.start)
    assert await hosts.states() == {}


async def test_server_that_never_answers_is_given_up(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("CONNECT_S", "COMMAND_S", "POOL_S"):
        monkeypatch.setattr(postgresql, limit, 0.5)
    with postgres_server.database() as url:
        engine = open_engine(url)
        await migrate(engine)
        hosts = HostRepository(engine)
        async with engine.connect() as amid:
            await amid.execute(text("SELECT 1"))
            with postgres_server.frozen():
                began = time.monotonic()
                # More than there are connections: some wait for one.
                calls = [hosts.states() for _ in range(15)]
                ends = await asyncio.gather(amid.execute(text("SELECT 2")), *calls, return_exceptions=True)
                assert time.monotonic() - began < 8
            assert [end for end in ends if not isinstance(end, CLEAN) or not is_away(end)] == []
            assert str(ends[0]) == "the database did not answer in 0.5 s"
        # The breaker lets one call try first, so that the others do not all wait for a server that is still away.
        async with asyncio.timeout(RECOVER_S):
            again: list[object] = []
            while again != [{}] * 15:
                again = list(await asyncio.gather(*(hosts.states() for _ in range(15)), return_exceptions=True))
                assert all(end == {} or isinstance(end, CLEAN) for end in again)
                await asyncio.sleep(0.05)
        await close_engine(engine)


async def test_call_that_is_cancelled_in_its_turn_gives_it_back(engine: AsyncEngine) -> None:
    begun = asyncio.Event()

    async def sleep_in_its_turn() -> None:
        async with engine.begin() as connection:
            await take_turns(connection, "sol-1")
            begun.set()
            await connection.execute(text("SELECT pg_sleep(60)"))

    call = asyncio.create_task(sleep_in_its_turn())
    await begun.wait()
    await asyncio.sleep(0.1)
    call.cancel()
    async with asyncio.timeout(RECOVER_S):
        await HostRepository(engine).replace("h1", "sol-1", 1)
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_control_plane_that_hangs_in_its_turn_does_not_hold_the_others_up(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_server.database() as url:
        hanging, working = open_engine(url), open_engine(url)
        await migrate(working)
        monkeypatch.setitem(postgresql._SESSION, "idle_in_transaction_session_timeout", "300ms")
        with pytest.raises(SQLAlchemyError):
            async with hanging.begin() as connection:
                await take_turns(connection, "sol-1")
                await HostRepository(working).replace("h1", "sol-1", 1)
                await connection.execute(text("SELECT 1"))
        assert await HostRepository(hanging).states() == {"h1": PENDING}
        await close_engine(hanging)
        await close_engine(working)
