"""The sink probe on ClickHouse's own engine: freshness, rates, parts, refused inserts, and a server that misbehaves."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.geyser.settings import BudgetSettings, ClickhouseSettings, SinkSettings, TableSettings
from agent.probes.geyser_sinks import SinksProbe
from tests.peers.clickhouse import Clickhouse, clickhouse
from tests.support.tls import Authority
from tests.support.watched import Watched, watched

DATABASE = "odd `base"
TABLES = {"slots": TableSettings("slot", "slot", "updated_at"), "plain": TableSettings("pla'in")}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Clickhouse]:
    async with clickhouse(tmp_path / "data", password="right") as running:
        await do(
            running, r"CREATE DATABASE `odd \`base`",
            r"CREATE TABLE `odd \`base`.slot (slot UInt64, updated_at DateTime64(3)) ENGINE = MergeTree ORDER BY slot"
            " PARTITION BY intDiv(slot, 1000) SETTINGS parts_to_throw_insert = 12, parts_to_delay_insert = 0",
            r"CREATE TABLE `odd \`base`.`pla'in` (key String) ENGINE = MergeTree ORDER BY key",
        )  # fmt: skip
        yield running


async def do(server: Clickhouse, *statements: str) -> None:
    for statement in statements:
        await asyncio.to_thread(server.sql, statement)


def settings(folder: Path, port: int, *, password: str = "right", **wanted: Any) -> SinkSettings:
    file = folder / "password"
    file.touch(0o600)
    file.write_text(password)
    wanted = {"url": f"http://127.0.0.1:{port}", "database": DATABASE, "tables": TABLES, "period_seconds": 1.0} | wanted
    return SinkSettings(clickhouse=ClickhouseSettings(password_file=file, **wanted))


@asynccontextmanager
async def watch(folder: Path, port: int, **wanted: Any) -> AsyncIterator[Watched]:
    async with watched(SinksProbe({"ch": settings(folder, port, **wanted)}), "ch", "geyser_sink_up") as told:
        yield told


INSERT = r"INSERT INTO `odd \`base`.slot SELECT number, now64(3) FROM numbers"


async def test_tables_are_told_and_every_query_is_read_only(server: Clickhouse, tmp_path: Path) -> None:
    await do(server, f"{INSERT}(500)")
    async with watch(tmp_path, server.port) as told:
        assert told.last("geyser_sink_up") == 1
        assert told.last("geyser_sink_newest_slot", table="slots") == 499
        assert 0 <= (told.last("geyser_sink_commit_delay_seconds", table="slots") or 0) < 30
        assert told.last("geyser_sink_parts", table="slots") == 1
        assert (told.last("geyser_sink_bytes") or 0) > 0
        assert 0 < (told.last("geyser_sink_disk_free_ratio", disk="default") or 0) <= 1
        assert told.last("geyser_sink_replication_queue") == 0
        assert told.last("geyser_sink_merges") is not None
        assert told.last("geyser_sink_delayed_inserts") == 0
        assert told.sink.of("geyser_errors", source="ch", **{"class": "missing"}) == []
        await asyncio.to_thread(server.asked)
        await told.look()
        asked = await asyncio.to_thread(server.asked)
        assert asked
        assert all("'readonly'" in one and "'max_execution_time'" in one for one in asked)
        assert not any("count(*)" in one for one in asked)


async def test_rows_are_counted_once_whatever_is_merged(server: Clickhouse, tmp_path: Path) -> None:
    await do(server, f"{INSERT}(100)")
    async with watch(tmp_path, server.port) as told:
        await told.until(lambda: told.all("geyser_sink_write_rate", table="slots"))
        begun = len(told.all("geyser_sink_write_rate", table="slots"))
        for _ in range(5):
            await do(server, f"{INSERT}(1000, 400)", r"OPTIMIZE TABLE `odd \`base`.slot FINAL")
            await asyncio.sleep(0.3)
        await do(server, r"INSERT INTO `odd \`base`.`pla'in` SELECT 'a'")
        await asyncio.sleep(3.5)
        rates = told.all("geyser_sink_write_rate", table="slots")
        # A second may lie between two looks; what is counted is rows, in whole seconds of the server.
        assert 800 <= sum(rates[begun - 1 :]) <= 2500
        assert told.last("geyser_sink_newest_slot", table="slots") == 1399
        assert (told.last("geyser_sink_commit_delay_seconds", table="plain") or 0) >= 2


async def test_too_many_parts_and_refused_inserts_are_told(server: Clickhouse, tmp_path: Path) -> None:
    await do(server, r"SYSTEM STOP MERGES `odd \`base`.slot")
    async with watch(tmp_path, server.port) as told:
        for _ in range(12):
            await do(server, f"{INSERT}(10)")
        codes = [await asyncio.to_thread(server.refused, f"{INSERT}(10)") for _ in range(3)]
        assert codes == ["252"] * 3
        await told.until(lambda: sum(told.all("geyser_sink_rejected_inserts")) >= 1)
        assert (told.last("geyser_sink_parts", table="slots") or 0) >= 12


async def test_without_tables_every_table_of_the_database_is_told(server: Clickhouse, tmp_path: Path) -> None:
    await do(server, f"{INSERT}(10)")
    async with watch(tmp_path, server.port, tables={}) as told:
        assert told.last("geyser_sink_parts", table="slot") == 1
        assert told.last("geyser_sink_newest_slot", table="slot") is None


async def test_a_profile_that_lets_nobody_set_anything_is_asked_without(server: Clickhouse, tmp_path: Path) -> None:
    await asyncio.to_thread(lambda: server.fault(readonly=1))
    async with watch(tmp_path, server.port) as told:
        assert told.last("geyser_sink_up") == 1
        await asyncio.to_thread(server.asked)
        await told.look()
        assert not any("'readonly'" in one for one in await asyncio.to_thread(server.asked))


async def test_what_a_release_does_not_have_is_left_out_and_told_once(server: Clickhouse, tmp_path: Path) -> None:
    await asyncio.to_thread(lambda: server.fault(hidden="system.replicas"))
    async with watch(tmp_path, server.port) as told:
        await told.look()
        assert told.last("geyser_sink_up") == 1
        assert told.last("geyser_sink_replication_queue") is None
        assert told.errors("missing") == 1


async def test_a_wrong_password_an_endless_answer_and_a_slow_one(server: Clickhouse, tmp_path: Path) -> None:
    async with watch(tmp_path, server.port, password="wrong") as told:
        assert (told.last("geyser_sink_up"), told.errors("auth")) == (0, 1)
    await asyncio.to_thread(lambda: server.fault(big_mb=100))
    async with watch(tmp_path, server.port) as told:
        assert (told.last("geyser_sink_up"), told.errors("too_large")) == (0, 1)
    await asyncio.to_thread(lambda: server.fault(slow_s=5))
    async with watch(tmp_path, server.port, timeout_seconds=0.5) as told:
        assert (told.last("geyser_sink_up"), told.errors("timeout")) == (0, 1)


async def test_slow_answers_spend_the_budget(server: Clickhouse, tmp_path: Path) -> None:
    await asyncio.to_thread(lambda: server.fault(slow_s=0.2))
    async with watch(tmp_path, server.port, budget=BudgetSettings(seconds_per_minute=1.0)) as told:
        await told.until(lambda: told.errors("budget") == 1)


async def test_tls_is_checked(server: Clickhouse, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours, theirs = Authority(tmp_path), Authority(tmp_path / "other")
    for authority, up in ((ours, 1), (theirs, 0)):
        async with (
            _encrypted(server.port, authority.server("127.0.0.1")) as port,
            watch(tmp_path, port, url=f"https://127.0.0.1:{port}", ca_file=ours.file) as told,
        ):
            assert told.last("geyser_sink_up") == up
            assert told.errors("tls") == 1 - up


async def test_a_port_where_nobody_listens_is_left_alone_after_a_few_looks(tmp_path: Path) -> None:
    async with watch(tmp_path, 1) as told:
        await told.until(lambda: len(told.all("geyser_sink_up")) >= 8)
        assert 3 <= told.errors("unreachable") < 8
        assert set(told.all("geyser_sink_up")) == {0}


@asynccontextmanager
async def _encrypted(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Pass bytes on to a port, from one that speaks TLS."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_in, there_out = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, there_out), copy(there_in, writer), return_exceptions=True)

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
