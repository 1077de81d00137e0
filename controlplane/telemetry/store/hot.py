"""The hot store on DuckDB: what the loop sees of it; all its work is done in threads."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import duckdb

from common.clock import now_ms as wall_ms
from controlplane.telemetry.store.book import SeriesBook
from controlplane.telemetry.store.database import Database
from controlplane.telemetry.store.layout import read_layout
from controlplane.telemetry.store.model import (
    Aggregation,
    Batch,
    Frame,
    Matcher,
    QueryRefused,
    StoreDown,
    check_question,
)
from controlplane.telemetry.store.plan import make_plan, missing_days
from controlplane.telemetry.store.query import Question, answer
from controlplane.telemetry.store.settings import HotSettings, Retention
from controlplane.telemetry.store.shelf import Shelf
from controlplane.telemetry.store.upkeep import Upkeep
from controlplane.telemetry.store.writer import Writer

QUERY_SECONDS = 30.0
# Questions at once, and questions that may wait.
READERS = 2
WAITING = 32
# When it is closed, what takes longer than this is broken off.
BREAK_OFF_S = 0.2
Result = TypeVar("Result")


class HotStore:
    """Keeps samples in a DuckDB file, and on a shelf what is older.

    Args:
        folder: for the file and what belongs to it.
        shelf: the cold store.
        settings: its bounds.
        now_ms: the clock.

    Opening blocks; raises StoreDown where the file cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        shelf: Shelf,
        settings: HotSettings,
        retention: Retention,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self.book = SeriesBook(settings.max_series, settings.max_series_of_host)
        self._shelf = shelf
        self._database = Database(folder, settings.memory_megabytes, settings.threads, settings.reserve_megabytes)
        self._writer = Writer(self._database, self.book, retention.raw_hours, now_ms)
        self._upkeep = Upkeep(self._database, self._writer, self.book, shelf, retention, now_ms)
        self._threads = {
            "append": ThreadPoolExecutor(1, "store-append"),
            "upkeep": ThreadPoolExecutor(1, "store-upkeep"),
            "query": ThreadPoolExecutor(READERS, "store-query"),
        }
        self._asking = 0

    async def append(self, batch: Batch) -> None:
        """Write samples durably; raises StoreDown, and then nothing of the batch is written."""
        await self._run("append", lambda: self._writer.write(batch))

    async def query_range(
        self, name: str, matchers: list[Matcher], start: int, end: int, step: int, aggregation: Aggregation
    ) -> Frame:
        """Ask for a metric over a range of time: see SampleStore."""
        check_question(name, matchers, start, end, step, aggregation)
        if self._asking >= READERS + WAITING:
            raise StoreDown("too many questions are being answered; ask again")
        asked = _Asked(name, matchers, start, end, step, aggregation)
        self._asking += 1
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                return await self._run("query", lambda: self._answer(asked))
        except TimeoutError:
            raise QueryRefused(f"this takes longer than {QUERY_SECONDS:.0f} s; ask for less") from None
        finally:
            asked.stop()
            self._asking -= 1

    async def maintain(self) -> None:
        """Roll up, keep in the cold, let go; raises StoreDown."""
        await self._run("upkeep", self._upkeep.run)

    async def restore(self, day: int) -> int:
        """Take a day (since the epoch) back from the cold: see SampleStore."""
        return await self._run("upkeep", lambda: self._upkeep.restore(day))

    async def close(self) -> None:
        """Finish what is being written, break off the rest, and close the file."""
        self._upkeep.stop()
        ending = [asyncio.ensure_future(asyncio.to_thread(pool.shutdown)) for pool in self._threads.values()]
        while (await asyncio.wait(ending, timeout=BREAK_OFF_S))[1]:
            # Again and again: between two statements there is nothing to break off.
            self._database.interrupt()
        await asyncio.to_thread(self._database.close)
        self._shelf.close()

    async def _run(self, pool: str, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads[pool], work)
        except OSError as error:
            raise StoreDown(f"{pool}: {type(error).__name__}: {error.strerror}") from error

    def _answer(self, asked: "_Asked") -> Frame:
        with self._database.work("query") as cursor, asked.by(cursor):
            cursor.begin()
            layout = read_layout(cursor)
            missing = missing_days(layout, asked.start // asked.step * asked.step, asked.end + asked.step)
            days = self._shelf.days(asked.name) if missing else {}
            plan = make_plan(layout, days.keys() & set(missing), asked.start, asked.end, asked.step)
            wanted = {part.number: days[part.number] for part in plan.parts if part.source == "cold"}
            with self._shelf.reading(asked.name, wanted) as files:
                question = Question(asked.name, asked.matchers, asked.aggregation, plan, files)
                return answer(cursor, question, self.book.named(asked.name), layout)


@dataclass(slots=True)
class _Asked:
    """A question that may be broken off."""

    name: str
    matchers: list[Matcher]
    start: int
    end: int
    step: int
    aggregation: Aggregation
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _cursor: duckdb.DuckDBPyConnection | None = None
    _stopped: bool = False

    @contextmanager
    def by(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Answer it with a cursor, which `stop` breaks off."""
        with self._lock:
            if self._stopped:
                raise StoreDown("nobody waits for the answer any more")
            self._cursor = cursor
        try:
            yield
        finally:
            with self._lock:
                self._cursor = None

    def stop(self) -> None:
        """Break it off, whether it was begun or not."""
        with self._lock:
            self._stopped = True
            if self._cursor is not None:
                self._cursor.interrupt()
