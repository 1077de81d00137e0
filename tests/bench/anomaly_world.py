"""A made-up world of hosts whose latencies are measured every second, with faults at known times.

log latency = base + day + wander (AR(1), 200 s, part of it common to a host) + noise (Student t, 4 degrees of freedom)
+ single outliers that mean nothing, a few an hour, and now and then a pause of a host that all its series share.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DAY = 86_400
BLOCK = 600
_TAU = 200.0
_NOISE = 0.12
_WANDER = 0.06
_DAILY = 0.15
_OUTLIERS_PER_S = 1 / 900
_PAUSES_PER_S = 1 / 3600


@dataclass(frozen=True)
class Fault:
    """One fault in one series; seconds since the world began."""

    kind: str
    series: int
    start: int
    seconds: int


LENGTHS = {"x1.5": 300, "x2": 120, "x4": 20, "ramp": 600, "noise": 180, "freeze": 60}


class World:
    """Hosts of so many series each."""

    def __init__(self, hosts: int, series_per_host: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.hosts = np.repeat(np.arange(hosts), series_per_host)
        self.count = hosts * series_per_host
        self._base = self._random.normal(np.log(0.02), 0.8, self.count)
        self._phase = self._random.uniform(0, 2 * np.pi, self.count)
        self._own = self._random.normal(0, _WANDER, self.count)
        self._shared = self._random.normal(0, _WANDER, hosts)
        self._last = np.zeros(self.count)

    def blocks(self, seconds: int, faults: list[Fault]) -> Iterator[Floats]:
        """Give logarithms of latencies, shape (BLOCK, series) at a time."""
        for start in range(0, seconds, BLOCK):
            block, noise = self._healthy(start)
            for fault in faults:
                if fault.start < start + BLOCK and start < fault.start + fault.seconds:
                    self._strike(fault, start, block[:, fault.series], noise[:, fault.series])
            self._last = block[-1].copy()
            yield block

    def _healthy(self, start: int) -> tuple[Floats, Floats]:
        shape = (BLOCK, self.count)
        keep = np.exp(-1 / _TAU)
        push = _WANDER * np.sqrt(1 - keep * keep)
        own = self._random.normal(0, push, shape)
        shared = self._random.normal(0, push, (BLOCK, len(self._shared)))
        for second in range(BLOCK):
            own[second] += keep * self._own
            shared[second] += keep * self._shared
            self._own, self._shared = own[second], shared[second]
        noise = _NOISE * self._random.standard_t(4, shape)
        day = _DAILY * np.sin(2 * np.pi * (start + np.arange(BLOCK))[:, None] / DAY + self._phase)
        block = self._base + day + own + shared[:, self.hosts] + noise
        block += (self._random.random(shape) < _OUTLIERS_PER_S) * self._random.exponential(1.0, shape)
        pauses = self._random.random(shared.shape) < _PAUSES_PER_S
        block += (pauses * self._random.exponential(1.0, shared.shape))[:, self.hosts]
        return block, noise

    def _strike(self, fault: Fault, start: int, values: Floats, noise: Floats) -> None:
        since = start + np.arange(BLOCK) - fault.start
        on = (since >= 0) & (since < fault.seconds)
        if fault.kind == "freeze":
            stuck = values[on][0] if fault.start >= start else self._last[fault.series]
            values[on] = stuck
        elif fault.kind == "noise":
            values[on] += 2.0 * noise[on]
        elif fault.kind == "ramp":
            values[on] += np.log(2.0) * since[on] / fault.seconds
        else:
            values[on] += np.log(float(fault.kind[1:]))


def in_turn(series: list[int], first: int, apart: int) -> list[Fault]:
    """Strike each host once with every kind, each in another series of it.

    Args:
        series: the first series of each host.
        first: when the first kind begins, in seconds.
        apart: how many seconds later the next one does.
    """
    return [
        Fault(kind, one + number, first + number * apart + 37 * place % 300, seconds)
        for number, (kind, seconds) in enumerate(LENGTHS.items())
        for place, one in enumerate(series)
    ]
