"""How seldom a difference as great as this one comes: streaming peaks over threshold.

Each side of each difference has a threshold, which the greatest of the warm-up set, and counts and sums of what has
exceeded it. The chance of an excess is the share of samples that exceed the threshold, times the tail of a generalised
Pareto distribution fitted to the excesses by their mean and variance (Hosking and Wallis, 1987; Siffer and others,
"Anomaly Detection in Streams with Extreme Value Theory", 2017).
"""

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.anomaly.plan import Plan
from controlplane.telemetry.anomaly.rarity import MEAN_DISTANCE, MOST, Narrow, normal_surprise

Floats = NDArray[np.float64]


class Tails:
    """The two tails of every difference of every series."""

    def __init__(self, plan: Plan, looks: int, capacity: int) -> None:
        self._looks = looks
        self._warm_up = plan.warm_up
        self._memory = np.float32(plan.memory)
        self._shape = plan.shape
        self._learnt_most = np.float32(plan.learnt_most)
        self._settle = plan.settle
        self._threshold = np.full((2 * looks, capacity), np.inf, dtype=np.float32)
        # For each tail: how many excesses there were, their sum, and the sum of their squares.
        self._sums = np.zeros((3, 2 * looks, capacity), dtype=np.float32)
        self._greatest = np.full((plan.kept, 2 * looks, capacity), -np.inf, dtype=np.float32)
        self._scale = np.zeros((looks, capacity), dtype=np.float32)
        self._scale_rate = np.float32(2.0 / (plan.scale + 1)) if plan.scale else np.float32(0.0)
        self._seen = np.zeros(capacity, dtype=np.int32)
        self._weight = np.zeros(capacity, dtype=np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        parts = (self._threshold, self._sums, self._greatest, self._scale, self._seen, self._weight)
        return sum(part.nbytes for part in parts)

    def reset(self, rows: NDArray[np.int64]) -> None:
        """Forget series."""
        self._threshold[:, rows] = np.inf
        self._sums[:, :, rows] = 0.0
        self._greatest[:, :, rows] = -np.inf
        self._scale[:, rows] = 0.0
        self._seen[rows] = 0
        self._weight[rows] = 0.0

    def update(self, looks: Floats, here: NDArray[np.bool_]) -> Narrow:
        """Judge differences, then learn from them.

        Args:
            looks: shape (ways of looking, n).
            here: which series have a sample.

        Returns: -log10 of the chance of a difference so great, 0 for what exceeds no threshold; same shape.
        """
        count = looks.shape[1]
        narrow = looks.astype(np.float32)
        sides = np.concatenate([narrow, -narrow])
        self._age(count, here)
        surprise = np.zeros(sides.shape, dtype=np.float32)
        excess = sides - self._threshold[:, :count]
        at = np.nonzero((excess > 0.0) & here)
        surprise[at] = self._judge(at, excess[at])
        if self._scale_rate:
            self._hold_to_scale(surprise, at, sides, here)
        seen = self._seen[:count]
        young = np.flatnonzero(here & (seen > self._settle) & (seen <= self._settle + self._warm_up))
        if len(young):
            self._warm(young, sides[:, young])
        return np.maximum(surprise[: self._looks], surprise[self._looks :])

    def _age(self, count: int, here: NDArray[np.bool_]) -> None:
        self._seen[:count] += here
        here = here & (self._seen[:count] > self._settle)
        kept = np.where(here, self._memory, np.float32(1.0))
        self._weight[:count] *= kept
        self._weight[:count] += here
        self._sums[:, :, :count] *= kept

    def _hold_to_scale(
        self, surprise: Narrow, at: tuple[NDArray[np.int64], ...], sides: Narrow, here: NDArray[np.bool_]
    ) -> None:
        """Call nothing more surprising than a normal law of its usual size would: a young tail knows little."""
        count = sides.shape[1]
        scale = self._scale[:, :count]
        tails, rows = at
        usual = scale[tails % self._looks, rows]
        deviations = sides[at] / np.where(usual > 0, usual, np.inf)
        surprise[at] = np.minimum(surprise[at], normal_surprise(deviations))
        size = np.abs(sides[: self._looks]) / np.float32(MEAN_DISTANCE)
        np.minimum(size, 3 * scale, out=size, where=scale > 0)
        rate = np.maximum(self._scale_rate, 1 / np.maximum(self._seen[:count], 1)).astype(np.float32) * here
        scale += rate * (size - scale)

    def _judge(self, at: tuple[NDArray[np.int64], ...], excess: Narrow) -> Narrow:
        tails, rows = at
        number, total, squares = self._sums[:, tails, rows]
        number = np.maximum(number, np.float32(1.0))
        mean = total / number
        variance = np.maximum(squares / number - mean * mean, np.float32(1e-12) * mean * mean)
        known = mean > 0.0
        spare = np.where(known, mean, np.float32(1.0))
        ratio = spare * spare / np.where(known, variance, np.float32(1.0))
        shape = np.clip(np.float32(0.5) * (1 - ratio), *self._shape).astype(np.float32)
        rarity = np.log10(1 + shape * excess / (spare * (1 - shape))) / shape
        seldom = np.log10(self._weight[rows] / number)
        # Of a tail without a size nothing is known but that this has not been seen.
        surprise = np.where(known, seldom + rarity, np.log10(self._weight[rows]))
        most = spare * (1 - shape) * (10 ** (shape * np.maximum(self._learnt_most - seldom, 0)) - 1) / shape
        learnt = np.where(known, np.minimum(excess, most), excess)
        self._sums[:, tails, rows] += np.stack([np.ones_like(learnt), learnt, learnt * learnt])
        return np.clip(surprise, 0.0, MOST).astype(np.float32)

    def _warm(self, rows: NDArray[np.int64], sides: Narrow) -> None:
        greatest = self._greatest[:, :, rows]
        for place in greatest:
            np.maximum(place, sides, out=(larger := np.empty_like(place)))
            np.minimum(place, sides, out=sides)
            place[:] = larger
        self._greatest[:, :, rows] = greatest
        done = self._seen[rows] >= self._settle + self._warm_up
        if done.any():
            self._begin(rows[done])

    def _begin(self, rows: NDArray[np.int64]) -> None:
        greatest = self._greatest[:, :, rows]
        threshold = greatest[-1]
        excess = greatest - threshold
        self._threshold[:, rows] = threshold
        self._sums[:, :, rows] = np.stack(
            [np.full_like(threshold, len(greatest)), excess.sum(axis=0), (excess * excess).sum(axis=0)]
        )
