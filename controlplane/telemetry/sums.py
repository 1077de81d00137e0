"""What Prometheus wants summed over time: latency histograms and counts, taken as batches arrive."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.native_counts import NativeCounts

LATENCY = "solana_rpc_latency_seconds"
BOUNDS = np.array([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])


class Rows:
    """Gives each (host, labels) a row of a matrix, and a forgotten host's rows to others."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[tuple[str, ...], int]] = {}
        self._free: list[int] = []
        self._given = 0

    def row(self, host: str, labels: tuple[str, ...]) -> int:
        """Give the row of a host's labels, a free one where they have none."""
        rows = self._rows.setdefault(host, {})
        if labels not in rows:
            rows[labels] = self._free.pop() if self._free else self._given
            self._given = max(self._given, rows[labels] + 1)
        return rows[labels]

    def forget(self, host: str) -> list[int]:
        """Free a host's rows; give them, to be emptied."""
        rows = list(self._rows.pop(host, {}).values())
        self._free += rows
        return rows

    def items(self) -> Iterator[tuple[tuple[str, tuple[str, ...]], int]]:
        """Every row with what it stands for."""
        for host, rows in self._rows.items():
            for labels, row in rows.items():
                yield (host, labels), row

    def of(self, host: str) -> Mapping[tuple[str, ...], int]:
        """Give the rows of a host by their labels."""
        return self._rows.get(host, {})


class LatencyHistograms:
    """One histogram for each (host, method).

    Args:
        native: count into exponential buckets too.
    """

    def __init__(self, native: bool = False) -> None:
        self.rows = Rows()
        self.native = NativeCounts() if native else None
        self._counts = np.zeros((256, len(BOUNDS) + 1), dtype=np.int64)
        self._sums = np.zeros(256, dtype=np.float64)

    def row(self, host: str, method: str) -> int:
        """Give the row of a host's method."""
        known = (method,) in self.rows.of(host)
        row = self.rows.row(host, (method,))
        if row >= len(self._sums):
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
        if self.native and not known:
            self.native.begin(row)
        return row

    def observe(self, rows: NDArray[np.int64], seconds: NDArray[np.float64]) -> None:
        """Count latencies (seconds) into rows, side by side."""
        # A clock of an agent's that was set back while it measured must not make the sum fall.
        seconds = np.maximum(seconds, 0.0)
        np.add.at(self._counts, (rows, np.searchsorted(BOUNDS, seconds)), 1)
        np.add.at(self._sums, rows, seconds)
        if self.native:
            self.native.observe(rows, seconds)

    def forget_host(self, host: str) -> None:
        """Drop a host that was cut off."""
        rows = self.rows.forget(host)
        self._counts[rows] = 0
        self._sums[rows] = 0.0
        if self.native:
            self.native.forget(rows)

    def copies(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Copy the counts of every row by bucket, and the sums in seconds."""
        return self._counts.copy(), self._sums.copy()


class Totals:
    """A sum for each (host, series name, labels), of what the probes count."""

    def __init__(self) -> None:
        self.rows = Rows()
        self._sums = np.zeros(256, dtype=np.float64)

    def row(self, host: str, name: str, labels: tuple[str, ...]) -> int:
        """Give the row of a host's series."""
        row = self.rows.row(host, (name, *labels))
        if row >= len(self._sums):
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
        return row

    def add(self, rows: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Add values to rows, side by side; a count cannot be negative."""
        np.add.at(self._sums, rows, np.maximum(values, 0.0))

    def forget_host(self, host: str) -> None:
        """Drop a host that was cut off."""
        self._sums[self.rows.forget(host)] = 0.0

    def copy(self) -> NDArray[np.float64]:
        """Copy the sum of every row."""
        return self._sums.copy()


class ColumnRows:
    """Which row each column of a ring is summed in; -1 for none."""

    def __init__(self) -> None:
        self._rows = np.full(64, -1, dtype=np.int64)
        self.count = 0

    def set(self, column: int, row: int) -> None:
        """Sum a column in a row from now on."""
        if column >= len(self._rows):
            longer = np.full(max(column + 1, 2 * len(self._rows)), -1, dtype=np.int64)
            longer[: len(self._rows)] = self._rows
            self._rows = longer
        self.count += self._rows[column] < 0
        self._rows[column] = row

    def pick(
        self, columns: NDArray[np.int64], values: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Give the rows and values of those columns that are summed."""
        known = columns < len(self._rows)
        rows = np.where(known, self._rows[np.where(known, columns, 0)], -1)
        summed = rows >= 0
        return rows[summed], values[summed]
