"""Latencies counted into exponential buckets, as Prometheus' native histograms have them (schema 3).

Bucket i counts what is in (2^((i-1)/8), 2^(i/8)] seconds: eight buckets for each doubling, so that no quantile is wrong
by more than 9 %. What is at most `ZERO_THRESHOLD` is counted as zero, and what is past the last bucket in the last.
"""

import numpy as np
from numpy.typing import NDArray

from common.clock import now_ms

SCHEMA = 3
_A_DOUBLING = 1 << SCHEMA
# 2^-14 s = 61 µs, and 2^7 s = 128 s: every deadline of a probe is shorter.
LOWEST, HIGHEST = -14 * _A_DOUBLING, 7 * _A_DOUBLING
ZERO_THRESHOLD = 2.0 ** (LOWEST // _A_DOUBLING)
# Of them the first counts zeros, and is no bucket.
COLUMNS = 1 + HIGHEST - LOWEST


class NativeCounts:
    """A row of counts for each histogram; the columns are zeros, then buckets LOWEST + 1 to HIGHEST."""

    def __init__(self) -> None:
        self._counts = np.zeros((256, COLUMNS), dtype=np.uint32)
        self._since_ms = np.zeros(256, dtype=np.int64)

    def begin(self, row: int) -> None:
        """Count a row from zero, as of now."""
        if row >= len(self._since_ms):
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            self._since_ms = np.concatenate([self._since_ms, np.zeros_like(self._since_ms)])
        self._since_ms[row] = now_ms()

    def observe(self, rows: NDArray[np.int64], seconds: NDArray[np.float64]) -> None:
        """Count latencies (seconds) into rows, side by side."""
        places = np.ceil(np.log2(np.maximum(seconds, ZERO_THRESHOLD)) * _A_DOUBLING).astype(np.int64)
        np.add.at(self._counts, (rows, np.minimum(places, HIGHEST) - LOWEST), 1)

    def forget(self, rows: list[int]) -> None:
        """Empty rows."""
        self._counts[rows] = 0

    def copies(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Copy the counts of every row, and since when (Unix milliseconds) each is counted."""
        return self._counts.copy(), self._since_ms.copy()
