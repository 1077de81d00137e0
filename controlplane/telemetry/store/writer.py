"""The hot store's writer: every batch becomes one transaction, so that what was written is whole and durable."""

import threading
from collections.abc import Callable

import duckdb
import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.store.book import SeriesBook
from controlplane.telemetry.store.counts import SAMPLES
from controlplane.telemetry.store.database import Database
from controlplane.telemetry.store.keys import labels_of, labels_text
from controlplane.telemetry.store.layout import SAMPLE_COLUMNS, read_layout, transaction
from controlplane.telemetry.store.model import DAY, HOUR, Batch, SeriesKey
from controlplane.telemetry.store.screen import screen

# Of how many days it is remembered in memory which series were seen; more come only from clocks that are wrong.
DAYS_IN_MIND = 4


class Flags:
    """A set of ids, as a row of flags."""

    def __init__(self) -> None:
        self._flags = np.zeros(1024, dtype=np.bool_)

    def missing(self, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Give those that are not in it."""
        if len(numbers) and numbers.max() >= len(self._flags):
            self._flags = np.concatenate([self._flags, np.zeros(int(numbers.max()) + 1, dtype=np.bool_)])
        found: NDArray[np.int32] = numbers[~self._flags[numbers]]
        return found

    def set(self, numbers: NDArray[np.int32], flag: bool = True) -> None:
        """Put them in, or take them out."""
        self.missing(numbers)
        self._flags[numbers] = flag


class Writer:
    """Writes batches into the heads of their hours.

    Args:
        database: where to.
        book: the series; those that are stored are loaded into it.
        raw_hours: how far back samples are taken.
        now_ms: the clock.
    """

    def __init__(self, database: Database, book: SeriesBook, raw_hours: int, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._book = book
        self._raw_hours = raw_hours
        self._now_ms = now_ms
        # Whoever holds it may change which head an hour's samples go to, or what the book says.
        self.lock = threading.Lock()
        self._turns: dict[int, int] = {}
        self._opened_ms: dict[int, int] = {}
        self._saved = Flags()
        self._seen: dict[int, Flags] = {}
        self.floor = 0
        with database.work("open") as cursor:
            self._load(cursor)

    @property
    def oldest_ms(self) -> int:
        """Samples before this are not taken: what they would be counted into is closed."""
        return max(self.floor, self._now_ms() // HOUR - self._raw_hours) * HOUR

    def write(self, batch: Batch) -> None:
        """Write a batch durably; raises StoreDown, and then nothing of it is written."""
        now = self._now_ms()
        with self.lock:
            kept = screen(batch, self._book, self.oldest_ms, now)
            if not len(kept):
                return
            self._database.check_space()
            with self._database.work("append") as cursor, transaction(cursor):
                fresh = self._save_series(cursor, np.unique(kept.series))
                days = self._save_seen(cursor, kept)
                hours = self._save_samples(cursor, kept)
            self._saved.set(fresh)
            for day, series in days.items():
                self._note_seen(day, series)
            for hour in hours:
                self._opened_ms.setdefault(hour, now)
        SAMPLES.labels("stored").inc(len(kept))

    def turn(self, hour: int) -> int:
        """Write what comes for an hour from now on into another head; give its turn: earlier ones stay as they are."""
        with self.lock:
            self._turns[hour] = self._turns.get(hour, 0) + 1
            self._opened_ms.pop(hour, None)
            return self._turns[hour]

    def settled(self, hour: int, settle_ms: int) -> bool:
        """Tell whether an hour is over, and its head so old, that it is worth rolling up."""
        return self._now_ms() - max((hour + 1) * HOUR, self._opened_ms.get(hour, 0)) >= settle_ms

    def forget(self, before_hour: int, numbers: list[int]) -> None:
        """Forget turns of hours that are let go, and series of which nothing is left; the lock must be held."""
        self._turns = {hour: turn for hour, turn in self._turns.items() if hour >= before_hour}
        self._book.forget(numbers)
        self._saved.set(np.array(numbers, dtype=np.int32), flag=False)

    def take_over(self, numbers: NDArray[np.int32], floor: int) -> None:
        """Note that series were stored by another, and take nothing from before an hour; the lock must be held."""
        self._saved.set(numbers)
        self.floor = max(self.floor, floor)

    def _load(self, cursor: duckdb.DuckDBPyConnection) -> None:
        rows = cursor.execute("SELECT series, name, labels FROM series").fetchall()
        self._book.load((number, SeriesKey(name, labels_of(text))) for number, name, text in rows)
        self._saved.set(np.array([row[0] for row in rows], dtype=np.int32))
        layout = read_layout(cursor)
        self._turns = {hour: max(turns) for hour, turns in layout.heads.items()}
        self.floor = layout.floor
        today = self._now_ms() // DAY
        for day in (today - 1, today):
            found = cursor.execute("SELECT DISTINCT series FROM seen WHERE day = ?", (day,)).fetchnumpy()
            self._note_seen(day, np.asarray(found["series"], dtype=np.int32))

    def _save_series(self, cursor: duckdb.DuckDBPyConnection, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        fresh = self._saved.missing(numbers)
        if len(fresh):
            keys = [self._book.key(number) for number in fresh.tolist()]
            names = np.array([key.name for key in keys], dtype=object)
            texts = np.array([labels_text(key.labels) for key in keys], dtype=object)
            cursor.register("fresh", {"series": fresh, "name": names, "labels": texts})
            cursor.execute("INSERT INTO series SELECT series, name, labels FROM fresh")
        return fresh

    def _save_seen(self, cursor: duckdb.DuckDBPyConnection, batch: Batch) -> dict[int, NDArray[np.int32]]:
        saved = {}
        days = batch.times // DAY
        for day in np.unique(days).tolist():
            series = np.unique(batch.series[days == day])
            if day in self._seen:
                series = self._seen[day].missing(series)
            if len(series):
                cursor.register("seen_now", {"series": series})
                cursor.execute("INSERT INTO seen SELECT ?, series FROM seen_now", (day,))
                saved[day] = series
        return saved

    def _note_seen(self, day: int, series: NDArray[np.int32]) -> None:
        self._seen.setdefault(day, Flags()).set(series)
        while len(self._seen) > DAYS_IN_MIND:
            del self._seen[min(self._seen)]

    def _save_samples(self, cursor: duckdb.DuckDBPyConnection, batch: Batch) -> list[int]:
        hours = batch.times // HOUR
        found: list[int] = np.unique(hours).tolist()
        for hour in found:
            mine = slice(None) if len(found) == 1 else hours == hour
            columns = {"series": batch.series[mine], "time": batch.times[mine], "value": batch.values[mine]}
            head = f"head_{hour}_{self._turns.get(hour, 0)}"
            cursor.register("batch", columns)
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {head} ({SAMPLE_COLUMNS})")
            cursor.execute(f"INSERT INTO {head} SELECT series, time, value FROM batch")
        return found
