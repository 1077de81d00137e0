"""The live ring: the last minutes of every series of every host, one numpy matrix a host."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter
from solward.hosts.v1 import link_pb2

# A host with more series than this has run wild; the rest is dropped and counted.
MAX_SERIES = 4096
# The greatest value that is kept, either side of zero.
GREATEST = 1e15

_DROPPED = Counter("solward_ingest_dropped_samples", "Samples that were not kept, by reason.", ("reason",))
# Shown from the start: of a count that appears with its first event, the event is not seen.
for _reason in ("unknown_or_out_of_range", "too_old_for_live"):
    _DROPPED.labels(_reason)

SeriesKey = tuple[str, tuple[tuple[str, str], ...]]
Floats = NDArray[np.float64]


class HostRing:
    """One host's recent samples; rows are seconds of the source's clock, columns are series.

    A window is counted back from the host's own newest second, so that a wrong clock on a host shifts
    nothing but its own age. A series that only grows (its name ends in `_total`) is kept as what it grew by a second.
    """

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self._values = np.full((seconds, 64), np.nan, dtype=np.float32)
        self._stamps = np.zeros(seconds, dtype=np.int64)
        self._columns: dict[SeriesKey, int] = {}
        self._named: dict[str, list[SeriesKey]] = {}
        self._ids = np.full(64, -1, dtype=np.int64)
        # Which columns hold counts of a second rather than a state.
        self._counts = np.zeros(64, dtype=np.bool_)
        # A slot has more digits than a narrow number holds, so slots are kept as their distance from the first one.
        self._bases = np.zeros(64, dtype=np.float64)
        self._without_base: set[int] = set()
        # Which columns only grow, how far each has, and when that was.
        self._grows = np.zeros(64, dtype=np.bool_)
        self._grown = np.full(64, np.nan)
        self._grown_second = np.zeros(64, dtype=np.int64)
        self.newest_second = 0
        self.received_ms = 0

    @property
    def series(self) -> Iterable[tuple[SeriesKey, int]]:
        """Every known series with its column."""
        return self._columns.items()

    def column(self, key: SeriesKey) -> int:
        """Give a known series' column."""
        return self._columns[key]

    def columns(self, name: str, labels: dict[str, str]) -> list[int]:
        """Give the columns of every series of a name that bears some labels."""
        wanted = labels.items()
        return [self._columns[key] for key in self._named.get(name, ()) if wanted <= dict(key[1]).items()]

    def named(self, name: str) -> list[tuple[dict[str, str], int]]:
        """Give the labels and the column of every series of a name."""
        return [(dict(key[1]), self._columns[key]) for key in self._named.get(name, ())]

    def exactly(self, name: str, labels: dict[str, str]) -> list[int]:
        """Give the column of the one series of a name that bears these labels and no others, however many there are."""
        column = self._columns.get((name, tuple(sorted(labels.items()))))
        return [] if column is None else [column]

    def is_count(self, column: int) -> bool:
        """Whether a column holds counts of a second rather than a state."""
        return bool(self._counts[column])

    def grows(self, column: int) -> bool:
        """Whether a column is of a series that only grows."""
        return bool(self._grows[column])

    def grown(self, columns: NDArray[np.int64], seconds: int) -> Floats:
        """Give how far each series that only grows has grown, NaN where it was not told within a time."""
        told = self._grown_second[columns] > self.newest_second - seconds
        return np.where(told, self._grown[columns], np.nan)

    def newest(self, columns: NDArray[np.int64], seconds: int) -> Floats:
        """Give the newest value of each column within a time, NaN where there is none."""
        block = self.window(columns, seconds)
        there = ~np.isnan(block)
        rows = seconds - 1 - np.argmax(there[::-1], axis=0)
        values: Floats = block[rows, np.arange(len(columns))]
        return values

    def forget_ids(self) -> None:
        """A new stream defines its ids anew."""
        self._ids.fill(-1)

    def define(self, definition: link_pb2.SeriesDefinition) -> SeriesKey | None:
        """Learn what an id of this stream means; None, and its samples are dropped, past MAX_SERIES."""
        key = (definition.name, tuple(sorted(definition.labels.items())))
        column = self._columns.get(key)
        if column is None:
            if len(self._columns) >= MAX_SERIES:
                return None
            column = len(self._columns)
            self._columns[key] = column
            self._named.setdefault(key[0], []).append(key)
            self._grow_columns(column + 1)
            self._counts[column] = definition.counts
            self._grows[column] = definition.name.endswith("_total") and not definition.counts
            if definition.name.endswith("_slot") and not definition.counts:
                self._without_base.add(column)
        self._grow_ids(definition.id + 1)
        self._ids[definition.id] = column
        return key

    def write(self, batch: link_pb2.SampleBatch, received_ms: int) -> tuple[NDArray[np.int64], Floats]:
        """Store one batch.

        Returns: the columns and finite values that were kept, side by side.
        """
        ids = np.array(batch.series, dtype=np.int64)
        values = np.array(batch.values, dtype=np.float64)
        length = min(len(ids), len(values))
        ids, values = ids[:length], values[:length]
        # NaN compares false; what no probe measures would overflow the ring's narrower numbers.
        known = (ids < len(self._ids)) & (np.abs(values) <= GREATEST)
        columns = np.where(known, self._ids[np.where(known, ids, 0)], -1)
        kept = columns >= 0
        if not kept.all():
            _DROPPED.labels("unknown_or_out_of_range").inc(int(length - kept.sum()))
            columns, values = columns[kept], values[kept]
        second = batch.unix_ms // 1000
        row = self._open_row(second)
        if row is None:
            _DROPPED.labels("too_old_for_live").inc(length)
        else:
            self._fill(row, columns, self._growth(second, row, columns, values))
        self.received_ms = received_ms
        return columns, values

    def _fill(self, row: int, columns: NDArray[np.int64], values: Floats) -> None:
        if self._without_base:
            self._set_bases(columns, values)
        line = self._values[row]
        values = values - self._bases[columns]
        counted = self._counts[columns]
        line[columns[~counted]] = values[~counted]
        # Two batches may fall into one second: latencies replace each other, counts add up.
        counts = columns[counted]
        line[counts] = np.nan_to_num(line[counts])
        np.add.at(line, counts, values[counted].astype(np.float32))

    def rewind(self, second: int) -> None:
        """Let go of what is after a second: the host's clock was set back."""
        self._stamps[self._stamps > second] = 0
        self._grown_second[self._grown_second > second] = second
        self.newest_second = second

    def _growth(self, second: int, row: int, columns: NDArray[np.int64], values: Floats) -> Floats:
        """Put what series grew by a second in the place of how far they have; NaN where that is not known."""
        growing = self._grows[columns]
        if not growing.any():
            return values
        which, far = columns[growing], values[growing]
        passed = second - self._grown_second[which]
        # Whatever fell was begun anew, as with a host that has booted.
        grown = np.where(far >= self._grown[which], far - self._grown[which], np.nan)
        before = np.where(passed == 0, np.nan_to_num(self._values[row, which]), 0.0)
        later = passed >= 0
        self._grown[which[later]], self._grown_second[which[later]] = far[later], second
        values = values.copy()
        values[growing] = np.where(later, before + grown / np.maximum(passed, 1), np.nan)
        return values

    def _set_bases(self, columns: NDArray[np.int64], values: Floats) -> None:
        for column, value in zip(columns.tolist(), values.tolist(), strict=True):
            if column in self._without_base:
                self._without_base.discard(column)
                self._bases[column] = value

    def window(self, columns: list[int] | NDArray[np.int64], seconds: int) -> Floats:
        """The last seconds of some series, oldest first: shape (seconds, len(columns)), NaN where nothing came."""
        wanted = np.arange(self.newest_second - seconds + 1, self.newest_second + 1)
        rows = wanted % self.seconds
        wanted_columns = np.array(columns, dtype=np.int64)
        block = self._values[np.ix_(rows, wanted_columns)].astype(np.float64) + self._bases[wanted_columns]
        block[self._stamps[rows] != wanted] = np.nan
        return block

    def _open_row(self, second: int) -> int | None:
        if second <= self.newest_second - self.seconds:
            return None
        row = int(second % self.seconds)
        if self._stamps[row] != second:
            self._values[row].fill(np.nan)
            self._stamps[row] = second
        self.newest_second = max(self.newest_second, second)
        return row

    def _grow_columns(self, needed: int) -> None:
        have = self._values.shape[1]
        if needed > have:
            wider = np.full((self.seconds, max(needed, have * 2)), np.nan, dtype=np.float32)
            wider[:, :have] = self._values
            self._values = wider
            more = wider.shape[1] - have
            self._counts = np.concatenate([self._counts, np.zeros(more, dtype=np.bool_)])
            self._bases = np.concatenate([self._bases, np.zeros(more)])
            self._grows = np.concatenate([self._grows, np.zeros(more, dtype=np.bool_)])
            self._grown = np.concatenate([self._grown, np.full(more, np.nan)])
            self._grown_second = np.concatenate([self._grown_second, np.zeros(more, dtype=np.int64)])

    def _grow_ids(self, needed: int) -> None:
        if needed > len(self._ids):
            longer = np.full(max(needed, len(self._ids) * 2), -1, dtype=np.int64)
            longer[: len(self._ids)] = self._ids
            self._ids = longer
