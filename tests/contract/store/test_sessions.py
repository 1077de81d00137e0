"""Sessions on every backend, as several control planes see them: what counts is counted once, however many ask."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import now_ms
from controlplane.store.redis import RedisDown, RedisStore
from controlplane.store.redis_sessions import RedisSessions
from controlplane.store.sessions import Session, SessionRepository, SessionStore
from controlplane.store.users import UserRepository
from tests.contract.store.conftest import engines_at, in_postgresql, in_sqlite
from tests.support.redis import RedisServer, redis

Backend = Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[list[SessionStore]]]
TRIES = 9
NOW = now_ms()
END = NOW + 86_400_000
HOUR = NOW + 3_600_000


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The Redis of this module."""
    with redis() as server:
        yield server


@asynccontextmanager
async def in_redis(request: pytest.FixtureRequest) -> AsyncIterator[list[SessionStore]]:
    server: RedisServer = request.getfixturevalue("redis_server")
    planes = [RedisStore(server.url) for _ in range(3)]
    try:
        await planes[0].call(lambda client: client.flushall())
        yield [RedisSessions(planes[number % len(planes)]) for number in range(TRIES)]
    finally:
        for plane in planes:
            await plane.close()


def in_database(make: Callable[[pytest.FixtureRequest], AbstractContextManager[str]]) -> Backend:
    @asynccontextmanager
    async def opened(request: pytest.FixtureRequest) -> AsyncIterator[list[SessionStore]]:
        with make(request) as url:
            async with engines_at(url) as engines:
                users = UserRepository(engines[0])
                await users.add(uid="u", name="bob", password_hash="", totp_seed=b"", role="admin", now=1)
                yield [SessionRepository(engines[number % len(engines)]) for number in range(TRIES)]

    return opened


BACKENDS = [
    pytest.param(in_database(in_sqlite), id="sqlite"),
    pytest.param(in_database(in_postgresql), id="postgresql"),
    pytest.param(in_redis, id="redis"),
]


@pytest.fixture(scope="session")
def _servers(postgres_server: object, redis_server: object) -> None:
    """Start both before any loop runs."""


@pytest.fixture(params=BACKENDS)
async def sessions(request: pytest.FixtureRequest, tmp_path: Path, _servers: None) -> AsyncIterator[list[SessionStore]]:
    """The sessions, of which bob has one, as several control planes see them."""
    backend: Backend = request.param
    async with backend(request) as opened:
        await opened[0].open(Session("s", "u", END, None, 0, peer="192.0.2.1", idp_sid="idp-1"), NOW)
        yield opened


async def test_session_is_found_as_it_was_opened(sessions: list[SessionStore]) -> None:
    assert await sessions[1].get("s") == Session("s", "u", END, None, 0, NOW, NOW, "192.0.2.1", "idp-1")
    assert await sessions[1].get("other") is None


async def test_stored_session_and_token_belong_to_somebody(engines: list[AsyncEngine]) -> None:
    stored = SessionRepository(engines[0])
    with pytest.raises(IntegrityError):
        await stored.open(Session("of nobody", "nobody", END, None, 0), NOW)
    with pytest.raises(IntegrityError):
        await stored.add_refresh("r", "other", END)


async def test_session_is_confirmed_and_ends_once(sessions: list[SessionStore]) -> None:
    await sessions[0].confirm("s", 5)
    await sessions[1].end("s", 7)
    found = await sessions[0].get("s")
    assert found is not None
    assert (found.second_factor_ms, found.ended_ms) == (5, 7)
    assert await sessions[2].of_user("u", NOW) == []


async def test_a_users_sessions_are_listed_the_newest_first_and_ended_together(sessions: list[SessionStore]) -> None:
    await sessions[1].open(Session("later", "u", END, None, 0), NOW + 10)
    await sessions[1].open(Session("over", "u", HOUR, None, 0), NOW + 20)
    assert [one.id for one in await sessions[2].of_user("u", HOUR)] == ["later", "s"]
    assert await sessions[0].end_all("u", HOUR) == 2
    assert await sessions[1].of_user("u", HOUR) == []
    assert await sessions[0].end_all("u", HOUR) == 0
    later = await sessions[2].get("later")
    assert later is not None
    assert later.ended_ms == HOUR


async def test_sessions_of_one_login_at_the_provider_end_together(sessions: list[SessionStore]) -> None:
    await sessions[1].open(Session("other", "u", END, None, 0, idp_sid="idp-2"), NOW)
    assert await sessions[2].end_idp("idp-1", NOW) == 1
    assert await sessions[2].end_idp("idp-1", NOW) == 0
    assert [one.id for one in await sessions[0].of_user("u", NOW)] == ["other"]


async def test_refresh_token_is_first_used_once(sessions: list[SessionStore]) -> None:
    await sessions[0].add_refresh("r", "s", HOUR)
    uses = await asyncio.gather(*(one.use_refresh("r", NOW + 10) for one in sessions))
    assert sorted(uses, key=str) == [("s", False)] * (TRIES - 1) + [("s", True)]
    used = await sessions[0].get("s")
    assert used is not None
    assert used.used_ms == NOW + 10
    assert await sessions[0].use_refresh("unknown", NOW + 10) is None
    await sessions[0].add_refresh("late", "s", HOUR)
    assert await sessions[0].use_refresh("late", HOUR) == ("s", False)


async def test_proof_is_spent_once_for_its_own_session_and_call_in_time(sessions: list[SessionStore]) -> None:
    await sessions[0].add_proof("p", "s", "digest", HOUR)
    assert not await sessions[0].spend_proof("p", "other", "digest", NOW)
    assert not await sessions[0].spend_proof("p", "s", "other", NOW)
    assert not await sessions[0].spend_proof("p", "s", "digest", HOUR)
    assert not await sessions[0].spend_proof("unknown", "s", "digest", NOW)
    spent = await asyncio.gather(*(one.spend_proof("p", "s", "digest", HOUR - 1) for one in sessions))
    assert spent.count(True) == 1


async def test_ticket_is_spent_once_in_time(sessions: list[SessionStore]) -> None:
    await sessions[0].add_ticket("t", "s", END, HOUR)
    await sessions[0].add_proof("p", "s", "digest", HOUR)
    assert await sessions[0].spend_ticket("t", HOUR) is None
    assert await sessions[0].spend_ticket("unknown", NOW) is None
    # One is not the other.
    assert await sessions[0].spend_ticket("p", NOW) is None
    assert not await sessions[0].spend_proof("t", "s", f"live until {END}", HOUR)
    spent = await asyncio.gather(*(one.spend_ticket("t", HOUR - 1) for one in sessions))
    assert sorted(spent, key=str) == [("s", END)] + [None] * (TRIES - 1)
    assert await sessions[0].spend_proof("p", "s", "digest", NOW)


async def test_a_late_write_makes_no_session_again(sessions: list[SessionStore]) -> None:
    await sessions[0].confirm("gone", NOW)
    await sessions[0].end("gone", NOW)
    assert await sessions[0].get("gone") is None


async def test_what_was_over_long_ago_is_let_go_and_what_goes_on_stays(sessions: list[SessionStore]) -> None:
    await sessions[0].add_refresh("r", "s", HOUR)
    await sessions[0].add_proof("p", "s", "digest", HOUR)
    await asyncio.gather(*(one.prune(NOW) for one in sessions))
    assert await sessions[0].get("s") is not None
    assert await sessions[0].use_refresh("r", NOW) == ("s", True)
    assert await sessions[0].spend_proof("p", "s", "digest", NOW)


async def test_a_database_lets_a_session_go_with_all_that_is_its_own(sessions: list[SessionStore]) -> None:
    await sessions[0].add_refresh("r", "s", HOUR)
    await asyncio.gather(*(one.prune(END + 1) for one in sessions))
    # Redis has a clock of its own, by which it is not over yet.
    kept = isinstance(sessions[0], RedisSessions)
    assert (await sessions[0].get("s") is not None) is kept
    assert (await sessions[0].use_refresh("r", NOW) is not None) is kept


async def test_all_sessions_end_though_redis_has_let_their_list_go(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url)
    stored = RedisSessions(store)
    try:
        await stored.open(Session("unlisted", "u2", END, None, 0), NOW)
        assert await store.call(lambda client: client.delete("solward:sessions:u2")) == 1
        await stored.end_all("u2", NOW + 5)
        # Another control plane was about to open this one.
        await stored.open(Session("opening", "u2", END, None, 0), NOW + 5)
        await stored.open(Session("anew", "u2", END, None, 0), NOW + 6)
        found = {name: await stored.get(name) for name in ("unlisted", "opening", "anew")}
        assert {name: one and one.ended_ms for name, one in found.items()} == {
            "unlisted": NOW + 5, "opening": NOW + 5, "anew": None,
        }  # fmt: skip
    finally:
        await store.close()


async def test_without_redis_nobody_is_let_in(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url)
    await asyncio.to_thread(redis_server.kill)
    try:
        with pytest.raises(RedisDown):
            await RedisSessions(store).get("s")
    finally:
        await asyncio.to_thread(redis_server.start)
        await store.close()
