"""The contract of the repositories: what is atomic, what is unique, and what a failure never shows."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from solward.operations.v1 import operations_pb2
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.database import migrate
from controlplane.store.hosts import ACTIVE, CURRENT, ENDED, NEXT, PENDING, REVOKED, CertificateRow, HostRepository
from controlplane.store.operations import OperationRepository
from controlplane.store.sessions import Session, SessionRepository
from controlplane.store.tables import metadata
from controlplane.store.users import UserRepository


async def test_migrations_make_exactly_the_tables_of_the_code(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        names = set((await connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'index'"))).scalars())
    assert {"hosts_live_name", "operations_busy_host"} <= names


async def test_migrating_again_changes_nothing(engine: AsyncEngine) -> None:
    await migrate(engine)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM alembic_version"))).scalar() == 1


async def test_store_keeps_what_it_acknowledged_and_holds_its_keys(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        pragmas = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar() for name in ("journal_mode", "synchronous")
        ]
        assert pragmas == ["wal", 2]
        with pytest.raises(IntegrityError):
            await connection.execute(text("INSERT INTO join_tokens VALUES ('h', 'nobody', 1, NULL, '', '')"))


async def test_errors_never_show_the_values_of_a_statement(engine: AsyncEngine) -> None:
    users = UserRepository(engine)
    row = {"name": "bob", "password_hash": "the-hash", "totp_seed": b"the-seed", "role": "admin", "now": 1}
    await users.add(uid="1", **row)
    with pytest.raises(IntegrityError) as caught:
        await users.add(uid="2", **row)
    assert "the-hash" not in str(caught.value)
    assert "the-seed" not in str(caught.value)


def certificate(serial: str, uid: str = "h1", state: str = CURRENT) -> CertificateRow:
    return CertificateRow(serial, "agent", uid, b"key", 0, 10_000, state)


# Hosts


async def named(hosts: HostRepository, uid: str = "h1", name: str = "sol-1") -> None:
    await hosts.replace(uid, name, 1)


async def test_name_has_one_live_host_and_old_ones_are_kept(engine: AsyncEngine) -> None:
    hosts = HostRepository(engine)
    await named(hosts)
    await hosts.add_certificate(certificate("c1"), 1)
    await named(hosts, "h2")
    live, old, ended = await hosts.by_name("sol-1"), await hosts.by_uid("h1"), await hosts.certificate("c1")
    assert live is not None
    assert old is not None
    assert ended is not None
    assert (live.uid, live.state, old.name, ended.state) == ("h2", PENDING, "sol-1", ENDED)
    assert await hosts.states() == {"h2": PENDING}


async def test_join_token_is_taken_once_however_many_try(engine: AsyncEngine) -> None:
    hosts = HostRepository(engine)
    await named(hosts)
    await hosts.add_join_token("t", "h1", 1000)
    token = await hosts.join_token("t")
    assert token is not None
    tries = [hosts.join(token, f"k{n}", f"pem{n}", certificate(f"c{n}"), 10) for n in range(8)]
    assert (await asyncio.gather(*tries)).count(True) == 1
    used, host = await hosts.join_token("t"), await hosts.by_uid("h1")
    assert used is not None
    assert host is not None
    assert (used.used_ms, host.state) == (10, ACTIVE)
    winner = used.used_key_hash[1:]
    assert [await hosts.certificate(f"c{n}") is not None for n in range(8)] == [str(n) == winner for n in range(8)]


async def test_token_that_is_over_or_superseded_is_not_taken(engine: AsyncEngine) -> None:
    hosts = HostRepository(engine)
    await named(hosts)
    await hosts.add_join_token("old", "h1", 1000)
    await hosts.add_join_token("new", "h1", 1000)
    old, new = await hosts.join_token("old"), await hosts.join_token("new")
    assert old is not None
    assert new is not None
    assert not await hosts.join(old, "k", "pem", certificate("c1"), 10)
    assert not await hosts.join(new, "k", "pem", certificate("c2"), 1000)
    assert await hosts.join(new, "k", "pem", certificate("c3"), 999)


async def test_next_certificate_becomes_current_on_its_first_use(engine: AsyncEngine) -> None:
    hosts = HostRepository(engine)
    await named(hosts)
    await hosts.add_certificate(certificate("old"), 1)
    await hosts.add_certificate(certificate("lost", state=NEXT), 2)
    await hosts.add_certificate(certificate("new", state=NEXT), 3)
    row = await hosts.certificate("new")
    assert row is not None
    await hosts.promote(row)
    found = [await hosts.certificate(serial) for serial in ("old", "lost", "new")]
    assert [one.state for one in found if one] == [ENDED, ENDED, CURRENT]
    current = await hosts.current_certificate("h1")
    assert current is not None
    assert current.serial == "new"


async def test_revoked_host_loses_every_certificate(engine: AsyncEngine) -> None:
    hosts = HostRepository(engine)
    await named(hosts)
    for serial, state in (("a", CURRENT), ("b", NEXT)):
        await hosts.add_certificate(certificate(serial, state=state), 1)
    await hosts.set_state("h1", REVOKED)
    assert await hosts.current_certificate("h1") is None


async def test_pages_are_in_name_order_and_leave_retired_hosts_out(engine: AsyncEngine) -> None:
    hosts = HostRepository(engine)
    for number, name in enumerate(("c", "a", "b", "a")):
        await named(hosts, f"h{number}", name)
    assert [row.name for row in await hosts.page("", 2)] == ["a", "b"]
    assert [row.uid for row in await hosts.page("a", 9)] == ["h2", "h0"]


# Users and sessions


@pytest.fixture
async def bob(engine: AsyncEngine) -> UserRepository:
    users = UserRepository(engine)
    await users.add(uid="u", name="bob", password_hash="", totp_seed=b"", role="admin", now=1)
    return users


async def test_time_step_is_taken_once_and_never_backwards(bob: UserRepository) -> None:
    assert (await asyncio.gather(*(bob.take_step("u", 5) for _ in range(8)))).count(True) == 1
    assert not await bob.take_step("u", 4)
    assert await bob.take_step("u", 6)
    assert not await bob.take_step("nobody", 7)


async def test_attempts_side_by_side_are_each_counted_until_the_lock(bob: UserRepository) -> None:
    tries = [bob.take_attempt("u", 100, lambda failed: 50 if failed >= 5 else 0) for _ in range(20)]
    assert (await asyncio.gather(*tries)).count(True) == 5
    assert not await bob.take_attempt("u", 149, lambda _: 0)
    assert await bob.take_attempt("u", 150, lambda _: 0)
    await bob.set_failures("u", 0, 0)
    user = await bob.by_uid("u")
    assert user is not None
    assert (user.failed_logins, user.locked_until_ms) == (0, 0)


@pytest.fixture
async def session(engine: AsyncEngine, bob: UserRepository) -> SessionRepository:
    sessions = SessionRepository(engine)
    await sessions.open(Session("s", "u", 1000, None, 0), 1)
    return sessions


async def test_refresh_token_is_first_used_once(session: SessionRepository) -> None:
    await session.add_refresh("r", "s", 500)
    uses = await asyncio.gather(*(session.use_refresh("r", 10) for _ in range(8)))
    assert sorted(uses, key=str) == [("s", False)] * 7 + [("s", True)]
    assert await session.use_refresh("unknown", 10) is None
    await session.add_refresh("late", "s", 500)
    assert await session.use_refresh("late", 500) == ("s", False)


async def test_proof_is_spent_once_for_its_own_session_and_call_in_time(session: SessionRepository) -> None:
    await session.add_proof("p", "s", "digest", 500)
    assert not await session.spend_proof("p", "other", "digest", 10)
    assert not await session.spend_proof("p", "s", "other", 10)
    assert not await session.spend_proof("p", "s", "digest", 500)
    spent = await asyncio.gather(*(session.spend_proof("p", "s", "digest", 499) for _ in range(8)))
    assert spent.count(True) == 1


async def test_session_ends_once(session: SessionRepository) -> None:
    await session.end("s", 7)
    await session.end("s", 9)
    ended = await session.get("s")
    assert ended is not None
    assert ended.ended_ms == 7


# Operations


def operation(
    uid: str, state: operations_pb2.OperationState = operations_pb2.OPERATION_STATE_RUNNING
) -> operations_pb2.Operation:
    return operations_pb2.Operation(name=f"operations/{uid}", kind="validator.restart", requester="bob", state=state)


async def test_host_has_one_operation_at_work(engine: AsyncEngine) -> None:
    store = OperationRepository(engine)
    added = await asyncio.gather(*(store.add(f"o{n}", "h1", operation(f"o{n}"), None) for n in range(6)))
    assert sorted(one is None for one in added) == [False, True, True, True, True, True]
    (running,) = await store.running("h1")
    done = operation(running, operations_pb2.OPERATION_STATE_SUCCEEDED)
    await store.save(done)
    assert await store.get(running) == done
    assert await store.add("next", "h1", operation("next"), None) == "next"
    assert await store.add("else", "h2", operation("else"), None) == "else"


async def test_request_starts_one_operation(engine: AsyncEngine) -> None:
    store = OperationRepository(engine)
    added = await asyncio.gather(*(store.add(f"o{n}", "h1", operation(f"o{n}"), "bob/r1") for n in range(6)))
    assert len(set(added)) == 1
    assert await store.by_request("bob/r1") == added[0]


async def test_operations_are_paged_newest_first(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    store = OperationRepository(engine)
    for number in range(5):
        # Two share a moment: the uid breaks the tie.
        monkeypatch.setattr("controlplane.store.operations.now_ms", lambda number=number: 100 + number // 2)
        await store.add(f"o{number}", f"h{number}", operation(f"o{number}"), None)
    seen, before = [], None
    while page := await store.page("", before, 2):
        seen += [one.name for _, one in page]
        before = page[-1][0]
    assert seen == [f"operations/o{number}" for number in (4, 3, 2, 1, 0)]
