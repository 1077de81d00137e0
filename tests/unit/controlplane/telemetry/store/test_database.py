"""The DuckDB file: opened anew after a failure that it does not survive, once nobody works with the old one."""

from pathlib import Path

import duckdb
import pytest

from controlplane.telemetry.store import database
from controlplane.telemetry.store.database import Database
from controlplane.telemetry.store.model import QueryRefused, StoreDown


@pytest.fixture
def opened(tmp_path: Path) -> Database:
    return Database(tmp_path, 128, 1, 1)


def test_what_cannot_be_done_is_said(opened: Database) -> None:
    with pytest.raises(StoreDown, match="append: CatalogException"), opened.work("append") as cursor:
        cursor.execute("SELECT * FROM nothing")
    with opened.work("append") as cursor:
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    opened.close()


def test_it_is_opened_anew_after_a_fatal_failure(opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = opened._connection
    with opened.work("append") as cursor:
        cursor.execute("INSERT INTO floor VALUES (7)")
    with opened.work("query") as reader:
        with pytest.raises(StoreDown, match="FatalException"), opened.work("append"):
            raise duckdb.FatalException("database has been invalidated")
        with pytest.raises(StoreDown, match="opened anew"), opened.work("append"):
            pytest.fail("the old one is still in use")
        assert reader.execute("SELECT 1").fetchall() == [(1,)]
    with opened.work("append") as cursor:
        assert cursor.execute("SELECT * FROM floor").fetchall() == [(7,)]
    assert opened._connection is not before
    opened.close()


def test_a_question_that_takes_too_much_memory_is_refused(opened: Database) -> None:
    with pytest.raises(QueryRefused, match="more memory"), opened.work("query") as cursor:
        cursor.execute("SELECT list(a.range) FROM range(100_000_000) AS a").fetchall()
    opened.close()


def test_a_disk_that_is_nearly_full_is_not_written_to(tmp_path: Path) -> None:
    opened = Database(tmp_path, 128, 1, 10**9)
    with pytest.raises(StoreDown, match="MB are free"):
        opened.check_space()
    opened.close()


def test_a_second_process_is_told(opened: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(*_: object, **__: object) -> None:
        raise duckdb.IOException('Could not set lock on file: Conflicting lock is held in "python" (PID 7)')

    monkeypatch.setattr(database.duckdb, "connect", held)
    with pytest.raises(StoreDown, match="Conflicting lock"):
        Database(opened.folder, 128, 1, 1)
    opened.close()
