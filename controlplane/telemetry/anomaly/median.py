"""The median of the last nine samples of many series."""

import numpy as np
from numpy.typing import NDArray

SIZE = 9
# Compare-and-exchange pairs that leave the median of nine in the middle (Paeth, Graphics Gems, 1990).
_PAIRS = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3)),
    *((5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)


class Medians:
    """A ring of nine samples a series; a new series' ring is filled with its first sample."""

    def __init__(self, capacity: int) -> None:
        self._ring = np.full((SIZE, capacity), np.nan)
        self._next = np.zeros(capacity, dtype=np.int8)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._ring.nbytes + self._next.nbytes

    def reset(self, rows: NDArray[np.int64]) -> None:
        """Forget series."""
        self._ring[:, rows] = np.nan

    def update(self, values: NDArray[np.float64], here: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Take a sample of each series that is here; give the medians (of the others, what they were)."""
        count = len(values)
        rows = np.flatnonzero(here)
        self._ring[self._next[rows], rows] = values[rows]
        self._next[rows] = (self._next[rows] + 1) % SIZE
        fresh = rows[np.isnan(self._ring[0, rows]) | np.isnan(self._ring[1, rows])]
        self._ring[:, fresh] = values[fresh]
        return median_of_nine(self._ring[:, :count])


def median_of_nine(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the median of nine rows, column for column."""
    lines = [line.copy() for line in block]
    spare = np.empty_like(lines[0])
    for low, high in _PAIRS:
        np.minimum(lines[low], lines[high], out=spare)
        np.maximum(lines[low], lines[high], out=lines[high])
        lines[low], spare = spare, lines[low]
    return np.asarray(lines[4])
