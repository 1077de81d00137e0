"""A bank of series: one sample of each at a time in, how unusual each is out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.anomaly.drift import Drifts
from controlplane.telemetry.anomaly.freeze import Freezes
from controlplane.telemetry.anomaly.median import Medians
from controlplane.telemetry.anomaly.plan import SECONDS, Plan
from controlplane.telemetry.anomaly.rarity import Narrow
from controlplane.telemetry.anomaly.streams import Streams
from controlplane.telemetry.anomaly.tails import Tails

Floats = NDArray[np.float64]

RULES = ("slow drift", "scatter", "standstill")
_RULES = len(RULES)
# The root of a distance is nearer to normal than the distance; it counts as no more than so many times the usual, so
# that one outlier is not a noisy minute.
_SCATTER_MOST = 2.5


@dataclass(frozen=True)
class Reason:
    """Why a series is called unusual.

    `looks` are the two most surprising comparisons, or the one rule that spoke; `value` and `usual` are in the unit
    that was handed in; `surprise` is -log10 of the chance of one such sample.
    """

    looks: tuple[str, ...]
    value: float
    usual: float
    surprise: float


class Bank:
    """Judges up to `capacity` series, each by its own past alone.

    A judgement depends on earlier samples only, so that the scores of a beginning are the beginning of the scores.
    What is held of a series is fixed; see `bytes_per_series`.
    """

    def __init__(self, capacity: int, plan: Plan = SECONDS) -> None:
        self.capacity = capacity
        self._medians = Medians(capacity) if plan.smooth else None
        self._streams = Streams(plan, capacity)
        self._tails = Tails(plan, len(self._streams.names), capacity)
        self._drifts = Drifts(plan.drift, capacity) if plan.drift else None
        self._scatter = Drifts(plan.drift, capacity) if plan.drift else None
        self._freezes = Freezes(capacity) if plan.freeze else None
        self._level = np.full(capacity, np.nan)
        # The newest judgement of each comparison and rule, kept for `reason`.
        self.names = [*self._streams.names, *RULES]
        self._judged = np.zeros((len(self.names), capacity), dtype=np.float32)

    @property
    def bytes_per_series(self) -> float:
        """Bytes held for each series."""
        parts = (self._medians, self._streams, self._tails, self._drifts, self._scatter, self._freezes)
        held = sum(part.nbytes for part in parts if part) + self._level.nbytes + self._judged.nbytes
        return held / self.capacity

    def reset(self, rows: NDArray[np.int64]) -> None:
        """Forget series, so that others can have their rows."""
        for part in (self._medians, self._streams, self._tails, self._drifts, self._scatter, self._freezes):
            if part:
                part.reset(rows)
        self._level[rows] = np.nan
        self._judged[:, rows] = 0.0

    def update(self, values: Floats, hour: NDArray[np.int64] | int = 0) -> Narrow:
        """Judge one sample of each series, then learn from it.

        Args:
            values: shape (n,), n at most the capacity; NaN where a series has no sample. Latencies are best given as
                logarithms, and counters as differences.
            hour: the hour of the day (0..23), of all or of each; a plan without hours ignores it.

        Returns: how unusual each is, shape (n,): -log10 of the chance of one such sample; 0 is usual, or unknown.

        Raises: ValueError: more values than the bank has room for.
        """
        count = len(values)
        if count > self.capacity:
            raise ValueError(f"{count} series in a bank for {self.capacity}")
        here = np.isfinite(values)
        values = np.where(here, values, 0.0)
        level = self._medians.update(values, here) if self._medians else values
        judged = self._judged[:, :count]
        judged[:-_RULES] = self._tails.update(self._streams.update(level, here, hour), here)
        judged[-_RULES:] = self._rules(values, level, here)
        self._level[:count] = np.where(here, level, self._level[:count])
        return np.asarray(np.maximum(_mean_of_two(judged[:-_RULES]), judged[-_RULES:].max(axis=0)))

    def _rules(self, values: Floats, level: Floats, here: NDArray[np.bool_]) -> Narrow:
        spoken = np.zeros((_RULES, len(values)), dtype=np.float32)
        if self._drifts and self._scatter:
            spoken[0] = self._drifts.update(level, here)
            usual = self._scatter.baseline(np.arange(len(values)))
            most = np.where(usual > 0.0, _SCATTER_MOST * usual, np.inf)
            spoken[1] = self._scatter.update(np.minimum(np.sqrt(np.abs(values - level)), most), here)
        if self._freezes:
            spoken[2] = self._freezes.update(values, here)
        return spoken

    def reason(self, row: int) -> Reason:
        """Say why a series' newest sample was judged as it was."""
        judged = self._judged[:, row]
        looks, rules = judged[:-_RULES], judged[-_RULES:]
        first, second = np.argsort(-looks, kind="stable")[:2].tolist()
        surprise = float(looks[first] + looks[second]) / 2
        names: tuple[str, ...] = (self.names[first], self.names[second])
        if rules.max() > surprise:
            surprise, names = float(rules.max()), (self.names[len(looks) + int(rules.argmax())],)
        rows = np.array([row])
        usual = (self._drifts or self._streams).baseline(rows)
        return Reason(names, float(self._level[row]), float(usual[0]), surprise)


def _mean_of_two(judged: Narrow) -> Narrow:
    """Give the mean of the two greatest of each column."""
    first = np.zeros_like(judged[0])
    second = np.zeros_like(first)
    for line in judged:
        np.maximum(second, np.minimum(first, line), out=second)
        np.maximum(first, line, out=first)
    return np.asarray((first + second) / 2)
