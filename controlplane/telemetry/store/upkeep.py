"""The hot store's upkeep: closed hours are rolled up, closed days kept in the cold, and what is old is let go."""

import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from controlplane.telemetry.store.book import SeriesBook
from controlplane.telemetry.store.cold import export_day, import_day
from controlplane.telemetry.store.counts import FILE_BYTES, UNROLLED
from controlplane.telemetry.store.database import Database
from controlplane.telemetry.store.layout import HOURS_OF_DAY, Layout, read_layout, transaction
from controlplane.telemetry.store.model import DAY, HOUR, QueryRefused, StoreDown
from controlplane.telemetry.store.retention import old as older
from controlplane.telemetry.store.roll import pack, roll_up
from controlplane.telemetry.store.settings import Retention
from controlplane.telemetry.store.shelf import Shelf, day_text
from controlplane.telemetry.store.writer import Writer

# An hour, or what came late for it, is rolled up after this: batches of it may still be on their way.
SETTLE_MS = 120_000
# A day is packed so long after its end, and so long after it was packed last, for what came late.
PACK_MS = 6 * HOUR
log = structlog.get_logger(__name__)


class Upkeep:
    """Does what is due, in one thread; everything it does may be cut off at any step and done again."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        book: SeriesBook,
        shelf: Shelf,
        retention: Retention,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._writer = writer
        self._book = book
        self._shelf = shelf
        self._retention = retention
        self._now_ms = now_ms
        self._stop = threading.Event()
        self._packed_ms: dict[int, int] = {}
        self._forgot_on = now_ms() // DAY

    def stop(self) -> None:
        """Begin nothing more."""
        self._stop.set()

    def run(self) -> None:
        """Do all that is due; raises StoreDown at the end where part of it could not be done."""
        # First what makes room.
        steps = (self._drop, self._roll_up, self._export, self._pack, self._forget_series)
        try:
            _all_of(steps)
        finally:
            with suppress(OSError):
                FILE_BYTES.set(self._database.path.stat().st_size)

    def restore(self, day: int) -> int:
        """Take a day back from the cold; give how many minutes of series it holds.

        Raises QueryRefused where it is hot already, too old to be, or not in the cold.
        """
        today = self._now_ms() // DAY
        if not today - self._retention.minute_days <= day < today:
            raise QueryRefused(f"{day_text(day)} is not a day that is kept hot; it is read from the cold")
        near = self._database.scratch / "restore"
        try:
            files = self._fetch(day, near)
            with self._writer.lock, self._database.work("restore") as cursor:
                layout = read_layout(cursor)
                if day in layout.minute or any(head // HOURS_OF_DAY == day for head in layout.heads):
                    raise QueryRefused(f"{day_text(day)} is hot already")
                imported = import_day(cursor, day, files, self._book)
                self._writer.take_over(imported.series, (day + 1) * HOURS_OF_DAY)
        finally:
            shutil.rmtree(near, ignore_errors=True)
        return imported.minutes

    def _fetch(self, day: int, folder: Path) -> dict[str, Path]:
        """Copy what the cold has of a day, so that nothing is waited for while the hot store is held."""
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for name in sorted(self._shelf.names()):
            days = self._shelf.days(name)
            if day in days:
                with self._shelf.reading(name, {day: days[day]}) as paths:
                    files[name] = shutil.copyfile(paths[day], folder / f"{name}.parquet")
        if not files:
            raise QueryRefused(f"the cold has nothing of {day_text(day)}")
        return files

    def _layout(self) -> Layout:
        with self._database.work("layout") as cursor:
            return read_layout(cursor)

    def _roll_up(self) -> None:
        layout = self._layout()
        current = self._now_ms() // HOUR
        due = [hour for hour in sorted(layout.heads) if hour < current and self._writer.settled(hour, SETTLE_MS)]
        UNROLLED.set(len(due))
        _all_of(partial(self._roll_hour, hour) for hour in due)

    def _roll_hour(self, hour: int) -> None:
        if self._stop.is_set():
            return
        self._database.check_space()
        turn = self._writer.turn(hour)
        with self._database.work("roll_up") as cursor:
            layout = read_layout(cursor)
            closed = {hour: [one for one in layout.heads[hour] if one < turn]}
            roll_up(cursor, hour, replace(layout, heads=closed))
        UNROLLED.dec()

    def _export(self) -> None:
        layout = self._layout()
        with self._database.work("export") as cursor:
            done = {day for (day,) in cursor.execute("SELECT DISTINCT day FROM exported").fetchall()}
        fresh = {hour // HOURS_OF_DAY for hour in layout.heads}
        today = self._now_ms() // DAY
        for day in sorted(layout.minute - done - fresh):
            if day >= today or self._stop.is_set():
                return
            with self._database.work("export") as cursor:
                export_day(cursor, day, self._shelf, self._database.scratch / "export")

    def _pack(self) -> None:
        layout = self._layout()
        fresh = {hour // HOURS_OF_DAY for hour in layout.heads}
        for day in sorted({hour // HOURS_OF_DAY for hour in layout.raw} - fresh):
            if max((day + 1) * DAY, self._packed_ms.get(day, 0)) + PACK_MS > self._now_ms():
                continue
            if self._stop.is_set():
                return
            self._database.check_space()
            with self._database.work("pack") as cursor:
                pack(cursor, day, read_layout(cursor))
            self._packed_ms = {one: at for one, at in self._packed_ms.items() if one > day - 90} | {day: self._now_ms()}

    def _drop(self) -> None:
        with self._database.work("drop") as cursor, transaction(cursor):
            layout = read_layout(cursor)
            done = {day for (day,) in cursor.execute("SELECT DISTINCT day FROM exported").fetchall()}
            old = older(self._retention, layout, done, self._now_ms())
            for table in old.tables:
                cursor.execute(f"DROP TABLE {table}")
            if old.floor > self._writer.floor:
                cursor.execute("DELETE FROM floor")
                cursor.execute("INSERT INTO floor VALUES (?)", (old.floor,))
        self._writer.floor = max(self._writer.floor, old.floor)

    def _forget_series(self) -> None:
        """Once a day: series of which nothing is hot any more."""
        today = self._now_ms() // DAY
        if today == self._forgot_on:
            return
        with self._writer.lock, self._database.work("forget") as cursor:
            layout = read_layout(cursor)
            oldest = min(
                layout.minute
                | {hour // HOURS_OF_DAY for hour in layout.raw | layout.heads.keys()}
                | layout.packed
                | {today}
            )
            with transaction(cursor):
                cursor.execute("DELETE FROM seen WHERE day < ?", (oldest,))
                gone = cursor.execute("SELECT series FROM series ANTI JOIN seen USING (series)").fetchall()
                cursor.execute("DELETE FROM series WHERE series NOT IN (SELECT series FROM seen)")
            self._writer.forget(self._writer.floor, [number for (number,) in gone])
        self._forgot_on = today


def _all_of(steps: Iterable[Callable[[], None]]) -> None:
    """Take every step, whatever became of those before; raises what the first that failed did."""
    failed: StoreDown | None = None
    for step in steps:
        try:
            step()
        except (StoreDown, QueryRefused, OSError) as error:
            failed = failed or StoreDown(str(error))
    if failed:
        raise failed
