"""The store itself: its migrations, its durability, and what its errors never show."""

import asyncio
import secrets
import traceback
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.util import CommandError
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.bundles import BundleRepository, StrategySum
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.events import EventRepository
from controlplane.store.hosts import HostRepository
from controlplane.store.tables import metadata
from controlplane.store.users import UserRepository
from tests.support.postgres import PostgresServer


async def value(engine: AsyncEngine, statement: str) -> object:
    async with engine.connect() as connection:
        return await connection.scalar(text(statement))


async def test_migrations_make_exactly_the_tables_of_the_code(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))

    def conditions(connection: Connection) -> dict[str | None, bool]:
        found = inspect(connection)
        indexes = [*found.get_indexes("hosts"), *found.get_indexes("operations")]
        where = f"{connection.dialect.name}_where"
        return {one["name"]: one["unique"] for one in indexes if where in one.get("dialect_options", {})}

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(conditions) == {"hosts_live_name": True, "operations_busy_host": True}


async def test_migrating_again_changes_nothing(engine: AsyncEngine) -> None:
    await migrate(engine)
    assert await value(engine, "SELECT count(*) FROM alembic_version") == 1


async def test_control_planes_that_start_at_once_all_find_the_tables(url: str) -> None:
    engines = [open_engine(url) for _ in range(5)]
    try:
        # SQLite cannot be made by several at once; `init` made its file, and nobody else is there yet.
        assert await value(engines[0], "SELECT 1") == 1
        assert await asyncio.gather(*map(migrate, engines), return_exceptions=True) == [None] * 5
        assert await value(engines[4], "SELECT count(*) FROM alembic_version") == 1
    finally:
        await asyncio.gather(*map(close_engine, engines))


async def test_migration_that_fails_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A table that is in the way stops the third migration; the ones before it go with it.
    engine = open_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE silences (name TEXT)"))
        with pytest.raises(DBAPIError):
            await migrate(engine)
        async with engine.connect() as connection:
            names = await connection.run_sync(lambda plain: inspect(plain).get_table_names())
        assert names == ["silences"]
    finally:
        await close_engine(engine)


async def test_events_of_the_version_before_are_numbered(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(url)
    upgrade = command.upgrade
    try:
        with monkeypatch.context() as patched:
            patched.setattr(command, "upgrade", lambda config, _head: upgrade(config, "0008"))
            await migrate(engine)
        await HostRepository(engine).replace("h1", "sol-1", 1)
        async with engine.begin() as connection:
            for sequence, unix_ms in enumerate((30, 10, 20)):
                row = f"('h1', 's', {sequence}, 0, 1, {unix_ms}, :record)"
                columns = "host_uid, spool_id, sequence, position, severity, unix_ms, record"
                await connection.execute(text(f"INSERT INTO events ({columns}) VALUES {row}"), {"record": b""})
        await migrate(engine)
        events = EventRepository(engine)
        assert [one.number for one in await events.after(0, 9)] == [1, 2, 3]
        assert await value(engine, "SELECT unix_ms FROM events WHERE number = 1") == 10
        assert await events.add("h1", "s", 9, [link_pb2.Event()]) == 4
    finally:
        await close_engine(engine)


async def test_bundles_of_the_version_before_are_summed_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(url)
    upgrade = command.upgrade
    lost = pb.Bundle(profit_lamports=9, fee_lamports=5, simulated_bid_lamports=7, reason="OUTBID_LOCALLY")
    try:
        with monkeypatch.context() as patched:
            patched.setattr(command, "upgrade", lambda config, _head: upgrade(config, "0012"))
            await migrate(engine)
        # More than are read at once.
        columns = "uid, host_uid, strategy, state, tip_lamports, day, ended, record, transactions, created_ms"
        row = ":uid, 'h1', 'arb', 7, 100, 1, true, :record, :nothing, 5"
        values = [{"uid": f"{at}", "record": lost.SerializeToString(), "nothing": b""} for at in range(1_005)]
        async with engine.begin() as connection:
            await connection.execute(text(f"INSERT INTO bundles ({columns}) VALUES ({row})"), values)
        await migrate(engine)
        store = BundleRepository(engine)
        assert await store.sums(0) == [StrategySum("arb", 7, 1_005, 100_500, 9_045, 5_025)]
        assert await store.overpaid(0, 2_000) == {"arb": 1_005 * 93}
        # Old ones are no canaries.
        assert len(await store.since(0)) == 1_005
    finally:
        await close_engine(engine)


async def test_store_that_is_newer_than_the_program_is_refused(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(CommandError, match="9999"):
        await migrate(engine)


async def test_store_keeps_what_it_acknowledged_and_holds_its_keys(engine: AsyncEngine) -> None:
    durable: dict[str, dict[str, object]] = {
        "sqlite": {"PRAGMA journal_mode": "wal", "PRAGMA synchronous": 2},
        "postgresql": {"SHOW synchronous_commit": "on", "SHOW transaction_isolation": "read committed"},
    }
    for statement, wanted in durable[engine.dialect.name].items():
        assert await value(engine, statement) == wanted
    with pytest.raises(IntegrityError):
        await value(engine, "INSERT INTO join_tokens VALUES ('h', 'nobody', 1, NULL, '', '', false)")


def shown(error: BaseException) -> str:
    """Everything that a log shows of an error: with what caused it."""
    return "".join(traceback.format_exception(error)) + repr(error)


async def test_errors_never_show_the_values_of_a_statement(engine: AsyncEngine) -> None:
    users = UserRepository(engine)
    # Made up here, so that the lines of this file that a traceback shows do not hold them.
    name, password, seed = (secrets.token_hex(8) for _ in range(3))
    row: dict[str, Any] = {
        "name": name,
        "password_hash": password,
        "totp_seed": seed.encode(),
        "role": "admin",
        "now": 1,
    }
    await users.add(uid="1", **row)
    with pytest.raises(IntegrityError) as taken:
        await users.add(uid="2", **row)
    with pytest.raises(IntegrityError) as incomplete:
        await users.add(uid="3", **row | {"role": None})
    for caught in (taken, incomplete):
        assert "INSERT INTO users" in shown(caught.value)
        assert not [part for part in (name, password, seed, seed.encode().hex()) if part in shown(caught.value)]


async def test_value_of_the_wrong_kind_is_not_shown_either(engine: AsyncEngine) -> None:
    with pytest.raises((SQLAlchemyError, OverflowError)) as caught:
        await HostRepository(engine).seen("h", 2**63 + 12_345)
    assert str(2**63 + 12_345) not in shown(caught.value)


UNREACHABLE = {
    "port": ("127.0.0.1:1/solward", "Connection refused"),
    "name": ("no-such-host.invalid/solward", "its name is not known"),
    "unquoted": ("127.0.0.1:pa#ss/solward", "not a URL that PostgreSQL's programs would take"),
    "option": ("127.0.0.1:1/solward?sslmode=sometimes", "not a URL that PostgreSQL's programs would take"),
}  # fmt: skip


@pytest.mark.parametrize(("where", "words"), UNREACHABLE.values(), ids=UNREACHABLE.keys())
async def test_error_of_a_server_that_is_not_there_says_so_without_the_url(where: str, words: str) -> None:
    engine = open_engine(f"postgresql://some-user:the-password@{where}")
    with pytest.raises(DBAPIError) as caught:
        await migrate(engine)
    assert words in str(caught.value)
    assert not [part for part in ("some-user", "the-password", where) if part in shown(caught.value) + repr(engine)]
    await close_engine(engine)


async def test_refused_password_is_not_shown(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url:
        engine = open_engine(url.replace(postgres_server.password, "the-password"))
        with pytest.raises(DBAPIError, match="password authentication failed") as caught:
            await migrate(engine)
        assert "the-password" not in shown(caught.value)
        await close_engine(engine)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_every_way_to_name_postgresql_is_taken(postgres_server: PostgresServer, scheme: str) -> None:
    with postgres_server.database() as url:
        engine = open_engine(f"{scheme}://{url.partition('://')[2]}?sslmode=prefer")
        assert await value(engine, "SHOW application_name") == "solward-controlplane"
        await close_engine(engine)
