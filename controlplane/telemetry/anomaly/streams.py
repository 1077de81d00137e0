"""Each series looked at in several ways: how far it is from what each of them leads one to expect."""

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.anomaly.plan import Plan

Floats = NDArray[np.float64]
HOURS = 24
# How much an hour's mean learns from each sample of it.
_HOUR_RATE = 0.05


class Streams:
    """Running averages of each series, and the differences between them."""

    def __init__(self, plan: Plan, capacity: int) -> None:
        spans = sorted({span for stream in plan.streams for span in (stream.short, stream.long) if span})
        self._rates = np.array([2.0 / (span + 1) for span in spans])[:, None]
        # Row 0 of what is compared is the sample itself.
        self._short = np.array([spans.index(stream.short) + 1 if stream.short else 0 for stream in plan.streams])
        self._long = np.array([spans.index(stream.long) for stream in plan.streams])
        self._averages = np.full((len(spans), capacity), np.nan)
        self._seen = np.zeros(capacity, dtype=np.int32)
        self._hours = np.full((HOURS if plan.hours else 0, capacity), np.nan)
        self.names = [stream.name for stream in plan.streams]
        self.names += ["value against its hour's mean"] if plan.hours else []

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._averages.nbytes + self._seen.nbytes + self._hours.nbytes

    def reset(self, rows: NDArray[np.int64]) -> None:
        """Forget series."""
        self._averages[:, rows] = np.nan
        self._seen[rows] = 0
        self._hours[:, rows] = np.nan

    def baseline(self, rows: NDArray[np.int64]) -> Floats:
        """Give the slowest average of series."""
        return np.asarray(self._averages[-1, rows])

    def update(self, level: Floats, here: NDArray[np.bool_], hour: NDArray[np.int64] | int) -> Floats:
        """Take a sample of each series that is here.

        Args:
            level: the samples, shape (n,), of any unit, smoothed or not.
            here: which series have one.
            hour: the hour of the day (0..23), of all or of each.

        Returns: the differences, shape (ways of looking, n); 0 where there is no sample.
        """
        count = len(level)
        averages = self._averages[:, :count]
        fresh = here & np.isnan(averages[0])
        if fresh.any():
            averages[:, fresh] = level[fresh]
        self._seen[:count] += here
        # At first a mean is the plain mean of what there is.
        rates = np.maximum(self._rates, 1.0 / np.maximum(self._seen[:count], 1))
        after = averages + rates * np.where(here, level - averages, 0.0)
        looks: Floats = np.concatenate([level[None], after])[self._short]
        looks -= averages[self._long]
        averages[:] = after
        if len(self._hours):
            looks = np.concatenate([looks, self._from_hour(level, here, hour)[None]])
        looks[:, ~here] = 0.0
        return looks

    def _from_hour(self, level: Floats, here: NDArray[np.bool_], hour: NDArray[np.int64] | int) -> Floats:
        rows = np.flatnonzero(here)
        at = (np.broadcast_to(hour, level.shape)[rows], rows)
        usual = self._hours[at]
        usual = np.where(np.isnan(usual), level[rows], usual)
        away = np.zeros(len(level))
        away[rows] = level[rows] - usual
        self._hours[at] = usual + _HOUR_RATE * away[rows]
        return away
