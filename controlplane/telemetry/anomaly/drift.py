"""Ramps: the last minute's mean against the last hour's, in units of how far apart they usually are."""

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.anomaly.rarity import MEAN_DISTANCE, Narrow, normal_surprise

Floats = NDArray[np.float64]
# How far apart is learnt over so many samples; what is further than so many times that counts as no further.
_SCALE_SPAN = 20_000
_LEARNT_MOST = 3.0


class Drifts:
    """Two slow averages of each series and their usual distance."""

    def __init__(self, spans: tuple[int, int], capacity: int) -> None:
        self._rates = [2.0 / (span + 1) for span in spans]
        # Two young means are close to each other by nature; only then is their distance learnt, and later judged.
        self._settle, self._warm_up = spans[1] // 2, 2 * spans[1]
        self._short, self._long = np.full((2, capacity), np.nan)
        self._scale = np.zeros(capacity)
        self._seen = np.zeros(capacity, dtype=np.int32)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._short.nbytes + self._long.nbytes + self._scale.nbytes + self._seen.nbytes

    def reset(self, rows: NDArray[np.int64]) -> None:
        """Forget series."""
        self._short[rows] = self._long[rows] = np.nan
        self._scale[rows] = 0.0
        self._seen[rows] = 0

    def baseline(self, rows: NDArray[np.int64]) -> Floats:
        """Give the hour's mean of series."""
        return self._long[rows]

    def update(self, level: Floats, here: NDArray[np.bool_]) -> Narrow:
        """Take a smoothed sample of each series that is here.

        Returns: -log10 of the chance, a sample, of such a distance under a normal distribution.
        """
        count = len(level)
        short, long, scale, seen = self._short[:count], self._long[:count], self._scale[:count], self._seen[:count]
        fresh = here & np.isnan(short)
        short[fresh] = long[fresh] = level[fresh]
        seen += here
        # Until an hour is seen the averages are plain means of what there is.
        least = 1.0 / np.maximum(seen, 1)
        short += np.maximum(self._rates[0], least) * np.where(here, level - short, 0.0)
        long += np.maximum(self._rates[1], least) * np.where(here, level - long, 0.0)
        distance = np.abs(short - long)
        warm = here & (seen >= self._warm_up)
        surprise = normal_surprise(np.where(warm & (scale > 0), distance / np.where(scale > 0, scale, 1.0), 0.0))
        learnt = np.where(warm & (scale > 0), np.minimum(distance, _LEARNT_MOST * scale / MEAN_DISTANCE), distance)
        settled = here & (seen > self._settle)
        rate = np.maximum(2.0 / (_SCALE_SPAN + 1), 1.0 / np.maximum(seen - self._settle, 1))
        scale += rate * np.where(settled, learnt / MEAN_DISTANCE - scale, 0.0)
        return surprise
