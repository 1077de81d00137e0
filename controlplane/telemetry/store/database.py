"""The hot store's DuckDB file: opened with bounds, opened anew after a failure that it does not survive."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import structlog

from controlplane.telemetry.store.counts import FAILURES
from controlplane.telemetry.store.layout import make_tables
from controlplane.telemetry.store.model import QueryRefused, StoreDown

log = structlog.get_logger(__name__)


class Database:
    """A DuckDB file that several threads work with, each through cursors of its own.

    Args:
        folder: holds the file, and what does not fit into memory.
        memory_megabytes: that DuckDB may use.
        threads: that it may use.
        reserve_megabytes: of the disk that are left free: below, nothing is written.

    Raises StoreDown where the file cannot be opened.
    """

    def __init__(self, folder: Path, memory_megabytes: int, threads: int, reserve_megabytes: int) -> None:
        self.folder = folder
        self.path = folder / "hot.duckdb"
        self.scratch = folder / "scratch"
        self._reserve = reserve_megabytes * 1_000_000
        self._options: dict[str, str | bool | int | float | list[str]] = {
            "threads": str(threads),
            "memory_limit": f"{memory_megabytes}MB",
            "temp_directory": str(self.scratch),
            "max_temp_directory_size": f"{4 * memory_megabytes}MB",
            "checkpoint_threshold": "64MB",
            "preserve_insertion_order": "true",
            # Nothing is fetched from anywhere.
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        self._lock = threading.Lock()
        self._at_work: dict[int, tuple[str, duckdb.DuckDBPyConnection]] = {}
        self._broken = False
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._connection = self._connect()

    @contextmanager
    def work(self, what: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor for the length of a block; what DuckDB cannot do becomes StoreDown."""
        cursor = self._begin(what)
        try:
            yield cursor
        except duckdb.OutOfMemoryException as error:
            FAILURES.labels(what).inc()
            raise QueryRefused("this takes more memory than the store may use; ask for less") from error
        except duckdb.Error as error:
            FAILURES.labels(what).inc()
            self._broken = self._broken or _is_fatal(error)
            raise StoreDown(f"{what}: {type(error).__name__}: {str(error)[:300]}") from error
        finally:
            with self._lock:
                del self._at_work[id(cursor)]
                cursor.close()

    def check_space(self) -> None:
        """Refuse to write onto a disk that is nearly full; raises StoreDown."""
        free = shutil.disk_usage(self.folder).free
        if free < self._reserve:
            FAILURES.labels("disk_full").inc()
            raise StoreDown(f"only {free // 1_000_000} MB are free where the telemetry is kept")

    def interrupt(self) -> None:
        """Break off the statements that run now, but for the writing of samples."""
        with self._lock:
            for what, cursor in self._at_work.values():
                if what != "append":
                    cursor.interrupt()

    def close(self) -> None:
        """Close the file; what waits in its log goes into it."""
        self._connection.close()

    def _begin(self, what: str) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._broken:
                # DuckDB gives the broken one again while anybody has it open.
                if self._at_work:
                    raise StoreDown("the store's file is being opened anew")
                self._connection.close()
                self._connection = self._connect()
                self._broken = False
                log.warning("hot_store_opened_anew")
            cursor = self._connection.cursor()
            self._at_work[id(cursor)] = what, cursor
            return cursor

    def _connect(self) -> duckdb.DuckDBPyConnection:
        try:
            connection = duckdb.connect(str(self.path), config=self._options)
            make_tables(connection)
        except duckdb.Error as error:
            raise StoreDown(f"{self.path} cannot be opened: {str(error)[:300]}") from error
        return connection


def _is_fatal(error: duckdb.Error) -> bool:
    return isinstance(error, duckdb.FatalException | duckdb.InternalException) or "invalidated" in str(error)
