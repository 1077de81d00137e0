"""Values that stand still: a rule of its own, for no average moves when nothing does."""

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.anomaly.rarity import MOST, Narrow

# A run is news when it is so long, and so many times as long as the longest before.
LEAST_RUN = 8
_TIMES_LONGEST = 2.0
# Nothing is said of a series before so many samples, and a run of so many is no news any more.
_LEAST_SEEN = 300
_NEWS = 4.0
_MOST_RUN = 3600
# How much of the longest run, and of the share of repeats, is kept from one sample to the next.
_MEMORY = np.float32(1 - 1 / 40_000)


class Freezes:
    """How long each series has shown the very same value, and how seldom it does."""

    def __init__(self, capacity: int) -> None:
        self._last = np.full(capacity, np.nan)
        self._run = np.zeros(capacity, dtype=np.int32)
        self._longest = np.zeros(capacity, dtype=np.float32)
        self._repeats = np.zeros(capacity, dtype=np.float32)
        self._weight = np.zeros(capacity, dtype=np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        parts = (self._last, self._run, self._longest, self._repeats, self._weight)
        return sum(part.nbytes for part in parts)

    def reset(self, rows: NDArray[np.int64]) -> None:
        """Forget series."""
        self._last[rows] = np.nan
        for part in (self._run, self._longest, self._repeats, self._weight):
            part[rows] = 0

    def update(self, values: NDArray[np.float64], here: NDArray[np.bool_]) -> Narrow:
        """Take a sample of each series that is here.

        Returns: -log10 of the chance of so many repeats in a row, if each came as often as repeats come in this series;
            0 unless the run is long, and longer than this series is used to.
        """
        count = len(values)
        last, run, longest = self._last[:count], self._run[:count], self._longest[:count]
        repeats, weight = self._repeats[:count], self._weight[:count]
        same = here & (values == last)
        ended = here & ~same
        np.maximum(longest, run, out=longest, where=ended)
        run[ended] = 0
        run += same
        last[here] = values[here]
        long = (run >= LEAST_RUN) & (run > _TIMES_LONGEST * longest) & (weight >= _LEAST_SEEN)
        surprise = np.where(long, np.minimum(-run * np.log10((repeats + 1.0) / (weight + 2.0)), MOST), 0.0)
        np.maximum(longest, run, out=longest, where=run > _MOST_RUN)
        # A standstill that is news is not learnt from while it lasts.
        learnt = here & (surprise < _NEWS)
        kept = np.where(learnt, _MEMORY, np.float32(1.0))
        longest *= kept
        repeats *= kept
        weight *= kept
        repeats += same & learnt
        weight += learnt
        return surprise.astype(np.float32)
