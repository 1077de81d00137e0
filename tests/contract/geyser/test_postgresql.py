"""The sink probe on real PostgreSQL servers, an old one and a new one: freshness, rates, locks, standby, failover."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from agent.geyser.settings import BudgetSettings, PostgresqlSettings, SinkSettings, TableSettings
from agent.geyser.sinks.base import Budget
from agent.geyser.sinks.postgresql import PostgresqlSink
from agent.probes.geyser_sinks import SinksProbe
from agent.secret_file import SettingsFileError
from tests.support.postgres import PostgresServer, postgres
from tests.support.watched import Watched, watched

# As the Postgres plugin's own tables: its names, keys and types, without what is not looked at.
SCHEMA = """
CREATE TABLE slot (slot bigint PRIMARY KEY, parent bigint, updated_on timestamp NOT NULL);
CREATE TABLE account (pubkey bytea PRIMARY KEY, slot bigint NOT NULL, updated_on timestamp NOT NULL);
CREATE TABLE block (slot bigint PRIMARY KEY, updated_on timestamp NOT NULL);
CREATE TABLE transaction (slot bigint, signature bytea, updated_on timestamp NOT NULL,
    CONSTRAINT transaction_pk PRIMARY KEY (slot, signature));
"""
NOW = "now() AT TIME ZONE 'utc'"


@pytest.fixture(scope="module", params=[True, False], ids=["debian", "newest"])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    with postgres(debian=request.param, max_connections="40") as running:
        yield running


@pytest.fixture
def database(server: PostgresServer) -> Iterator[str]:
    with server.database() as url:
        yield url.replace("+asyncpg", "")


def settings(folder: Path, url: str, **wanted: Any) -> SinkSettings:
    file = folder / "sink.url"
    file.touch(0o600)
    file.write_text(url)
    wanted = {"period_seconds": 1.0, "timeout_seconds": 2.0} | wanted
    return SinkSettings(postgresql=PostgresqlSettings(url_file=file, **wanted))


@asynccontextmanager
async def watch(folder: Path, url: str, **wanted: Any) -> AsyncIterator[Watched]:
    probe = SinksProbe({"db": settings(folder, url, **wanted)})
    async with watched(probe, "db", "geyser_sink_up") as told:
        yield told


async def run(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_plugins_tables_are_told_without_being_named(database: str, tmp_path: Path) -> None:
    await run(
        database, SCHEMA, f"INSERT INTO slot SELECT n, n - 1, {NOW} - interval '7 s' FROM generate_series(1, 100) n"
    )
    async with watch(tmp_path, database) as told:
        assert told.last("geyser_sink_up") == 1
        assert told.last("geyser_sink_newest_slot", table="slot") == 100
        assert 7 <= (told.last("geyser_sink_commit_delay_seconds", table="slot") or 0) < 12
        assert told.last("geyser_sink_newest_slot", table="block") is None
        assert (told.last("geyser_sink_bytes") or 0) > 1_000_000
        assert 0 < (told.last("geyser_sink_connections_ratio") or 0) < 1
        assert told.last("geyser_sink_lock_waits") == 0
        # Two inserts: the first look after one has something to compare the second with.
        await told.until(lambda: told.last("geyser_sink_write_rate", table="slot") is not None)
        await run(database, f"INSERT INTO slot SELECT n, n - 1, {NOW} FROM generate_series(101, 600) n")
        await told.until(lambda: told.last("geyser_sink_newest_slot", table="slot") == 600)
        await told.until(lambda: sum(told.all("geyser_sink_write_rate", table="slot")) > 200)
        await run(database, "DELETE FROM slot WHERE slot <= 300")
        await told.until(lambda: (told.last("geyser_sink_dead_ratio", table="slot") or 0) > 0.3)
        assert told.last("geyser_sink_write_rate", table="account") is not None
        assert told.all("geyser_errors", **{"class": "missing"}) == []


async def test_named_tables_are_quoted_and_partitions_count_with_their_parent(database: str, tmp_path: Path) -> None:
    await run(
        database,
        'CREATE SCHEMA "odd ""one"; CREATE TABLE "odd ""one"."Ta\'ble" ("Sl""ot" int, at timestamptz)'
        ' PARTITION BY RANGE ("Sl""ot");'
        'CREATE INDEX ON "odd ""one"."Ta\'ble" ("Sl""ot");'
        'CREATE TABLE one PARTITION OF "odd ""one"."Ta\'ble" FOR VALUES FROM (0) TO (1000000)',
    )
    tables = {"odd": TableSettings("odd \"one.Ta'ble", 'Sl"ot', "at")}
    async with watch(tmp_path, database, tables=tables) as told:
        await run(database, 'INSERT INTO "odd ""one"."Ta\'ble" SELECT n, now() FROM generate_series(1, 900) n')
        await told.until(lambda: told.last("geyser_sink_newest_slot", table="odd") == 900)
        await told.until(lambda: sum(told.all("geyser_sink_write_rate", table="odd")) > 300)
        assert told.last("geyser_sink_newest_slot", table="slot") is None


async def test_a_table_without_an_index_on_its_slot_is_never_read(database: str, tmp_path: Path) -> None:
    await run(database, SCHEMA, f"INSERT INTO account VALUES ('a', 5, {NOW})")
    tables = {"accounts": TableSettings("account", "slot"), "gone": TableSettings("no_such", "slot")}
    async with watch(tmp_path, database, tables=tables) as told:
        await told.until(lambda: told.errors("missing") >= 2)
        assert told.last("geyser_sink_newest_slot", table="accounts") is None
        assert told.last("geyser_sink_dead_ratio", table="accounts") == 0
        await run(database, "CREATE TABLE no_such (slot int PRIMARY KEY); INSERT INTO no_such VALUES (3)")
        await told.until(lambda: told.last("geyser_sink_newest_slot", table="gone") == 3)


async def test_the_session_can_write_nothing(database: str, tmp_path: Path) -> None:
    await run(database, SCHEMA)
    async with watch(tmp_path, database):
        connection = await asyncpg.connect(database)
        (row,) = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = 'solward-agent'")
        await connection.close()
        assert row["pid"]
    sink = settings(tmp_path, database).postgresql
    assert sink
    source = PostgresqlSink("db", sink, Budget(BudgetSettings()))
    connection = await source._connect()
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.execute("INSERT INTO slot VALUES (1, 0, now())")
    with pytest.raises(asyncpg.QueryCanceledError):
        await connection.execute("SELECT pg_sleep(2.5)")
    await source.close()


async def test_a_storm_of_locks_is_told(database: str, tmp_path: Path) -> None:
    await run(database, SCHEMA, f"INSERT INTO slot VALUES (1, 0, {NOW})")
    async with watch(tmp_path, database) as told:
        holder = await asyncpg.connect(database)
        waiters = [await asyncpg.connect(database) for _ in range(12)]
        await holder.execute("BEGIN; LOCK TABLE slot IN ACCESS EXCLUSIVE MODE")
        waiting = [asyncio.create_task(one.execute("UPDATE slot SET parent = 1")) for one in waiters]
        await told.until(lambda: (told.last("geyser_sink_lock_waits") or 0) >= 12)
        # The look itself waits for the table no longer than its timeout, and the rest of it is told.
        await told.until(lambda: told.errors("timeout") >= 1)
        await told.until(lambda: (told.last("geyser_sink_longest_transaction_seconds") or 0) > 2)
        assert told.last("geyser_sink_up") == 1
        await holder.execute("ROLLBACK")
        await asyncio.gather(*waiting)
        await asyncio.gather(*(one.close() for one in (holder, *waiters)))
        await told.until(lambda: told.last("geyser_sink_lock_waits") == 0)


async def test_a_wrong_password_and_a_database_that_is_not_there(database: str, tmp_path: Path) -> None:
    name, _, rest = database.partition(":")[2].partition(":")
    wrong = f"postgresql:{name}:another-secret@{rest.partition('@')[2]}"
    async with watch(tmp_path, wrong) as told:
        assert told.last("geyser_sink_up") == 0
        assert told.errors("auth") == 1
        assert {series.name for series in told.sink.values} == {"geyser_sink_up", "geyser_errors"}
    async with watch(tmp_path, f"{database}_none") as told:
        assert told.errors("missing") == 1


async def test_a_server_without_tls_is_a_failure_of_tls_where_it_is_asked_for(database: str, tmp_path: Path) -> None:
    async with watch(tmp_path, f"{database}?sslmode=require") as told:
        assert (told.last("geyser_sink_up"), told.errors("tls")) == (0, 1)


async def test_a_role_that_may_not_read_the_tables_still_tells_the_rest(
    server: PostgresServer, database: str, tmp_path: Path
) -> None:
    await run(database, SCHEMA, f"INSERT INTO slot VALUES (1, 0, {NOW})")
    await run(database, "CREATE ROLE guest LOGIN PASSWORD 'guest'")
    try:
        url = database.replace(f"solward:{server.password}", "guest:guest")
        async with watch(tmp_path, url) as told:
            await told.until(lambda: told.errors("not_allowed"))
            assert told.last("geyser_sink_up") == 1
            assert told.last("geyser_sink_connections_ratio") is not None
    finally:
        await run(database, "DROP ROLE guest")


async def test_a_look_over_the_budget_comes_later_and_is_told(database: str, tmp_path: Path) -> None:
    async with watch(tmp_path, database, budget=BudgetSettings(queries_per_minute=10)) as told:
        await told.until(lambda: told.errors("budget") == 1)
        looks = len(told.all("geyser_sink_up"))
        await asyncio.sleep(2.5)
        assert len(told.all("geyser_sink_up")) == looks


def test_a_url_file_that_will_not_do_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsFileError, match=r"geyser\.sinks\.db\.postgresql\.url_file: .* must hold postgresql://"):
        SinksProbe({"db": settings(tmp_path, "mysql://u:secret@h/d")})
    wanted = settings(tmp_path, "postgresql://u@h/d")
    assert wanted.postgresql
    wanted.postgresql.url_file.chmod(0o644)
    with pytest.raises(SettingsFileError, match="chmod 600"):
        SinksProbe({"db": wanted})


@pytest.mark.parametrize("debian", [True, False], ids=["debian", "newest"])
async def test_a_standby_falls_behind_and_takes_over(tmp_path: Path, debian: bool) -> None:
    with postgres(debian=debian) as first, first.standby() as second:
        url = first.url().replace("+asyncpg", "")
        await run(url, SCHEMA)
        both = url.replace(f"127.0.0.1:{first.port}", f"127.0.0.1:{first.port},127.0.0.1:{second.port}")
        async with watch(tmp_path, f"{both}?target_session_attrs=primary") as told:
            await told.until(lambda: told.last("geyser_sink_replication_lag_bytes", replica="second") == 0)
            await asyncio.to_thread(second.sql, "SELECT pg_wal_replay_pause()")
            await run(url, f"INSERT INTO slot SELECT n, 0, {NOW} FROM generate_series(1, 5000) n")
            await told.until(lambda: (told.last("geyser_sink_replication_lag_bytes", replica="second") or 0) > 100_000)
            own = tmp_path / "own"
            own.mkdir()
            async with watch(own, second.url().replace("+asyncpg", "")) as standby:
                await standby.until(
                    lambda: (standby.last("geyser_sink_replication_lag_bytes", replica="self") or 0) > 100_000
                )
                assert (standby.last("geyser_sink_replication_lag_seconds", replica="self") or 0) > 0
            await asyncio.to_thread(second.sql, "SELECT pg_wal_replay_resume()")
            await told.until(lambda: told.last("geyser_sink_replication_lag_bytes", replica="second") == 0)
            await asyncio.to_thread(first.kill)
            await told.until(lambda: told.last("geyser_sink_up") == 0)
            assert told.errors("unreachable") >= 1
            await asyncio.to_thread(second.sql, "SELECT pg_promote()")
            await told.until(lambda: told.last("geyser_sink_up") == 1, 40)
            assert told.last("geyser_sink_newest_slot", table="slot") == 5000


async def test_a_frozen_server_costs_its_deadline(tmp_path: Path) -> None:
    with postgres() as server:
        async with watch(tmp_path, server.url().replace("+asyncpg", ""), timeout_seconds=1.0) as told:
            with server.frozen():
                await told.until(lambda: told.last("geyser_sink_up") == 0)
                assert told.errors("timeout") >= 1
            await told.until(lambda: told.last("geyser_sink_up") == 1, 40)
