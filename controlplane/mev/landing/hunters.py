"""Rivals after the same profit: which law of their bids is how likely, for each strategy.

A law says how many are expected (Poisson), and what share of the profit they bid (log-logistic up to all of it). Every
law of a fixed list is kept with its probability, by Bayes' rule; a law may give way to another with every outcome.
There is no slope to climb, so no wrong turn that is kept for good: low tips and high ones are weighed at once.
"""

import numpy as np

from controlplane.mev.landing import prior
from controlplane.mev.landing.features import Floats

SLOTS = 9
_COUNTS = (0.12, 0.25, 0.45, 0.75, 1.15, 1.7, 2.5, 3.8, 6.0, 10.0)
_MIDDLES = (0.02, 0.05, 0.09, 0.14, 0.21, 0.29, 0.38, 0.48, 0.60, 0.75)
_STEEP = (2.5, 6.0)
_LOGS = np.linspace(np.log(1e-4), 0.0, 192)


def _laws() -> tuple[Floats, Floats]:
    """Give the chance that none bids more, by law and share; and how likely each law is at first."""
    share = np.exp(_LOGS)
    rows, first = [np.ones(len(share))], [prior.NONE]
    for count, many in zip(_COUNTS, prior.COUNTS, strict=True):
        for middle, there in zip(_MIDDLES, prior.MIDDLES, strict=True):
            for steep in _STEEP:
                below = (1 + middle**steep) / (1 + (middle / share) ** steep)
                rows.append(np.exp(-count * (1 - below)))
                first.append(many * there / len(_STEEP))
    start = np.array(first)
    return np.array(rows), start / start.sum()


_TABLE, START = _laws()
LAWS = len(START)


class Hunters:
    """The laws' probabilities, for each strategy.

    Args:
        gives_way: chance, with an outcome, that another law takes over.
    """

    def __init__(self, gives_way: float) -> None:
        self.weights = np.tile(START, (SLOTS, 1))
        self._gives_way = gives_way
        self._curves: dict[int, tuple[Floats, Floats]] = {}

    def none_above(self, slot: int, shares: Floats) -> tuple[Floats, Floats]:
        """Give the chance that none bids more than shares of the profit, and its variance."""
        mean, variance = self._curve(slot)
        logs = np.log(shares)
        return np.interp(logs, _LOGS, mean), np.interp(logs, _LOGS, variance)

    def learn(self, slot: int, share: float, rest: float, landed: bool) -> None:
        """Learn from an outcome.

        Args:
            rest: the chance to land if none were after this profit.
        """
        place = np.interp(np.log(share), _LOGS, np.arange(len(_LOGS)))
        low = min(int(place), len(_LOGS) - 2)
        part = min(1.0, place - low)
        chances = rest * ((1 - part) * _TABLE[:, low] + part * _TABLE[:, low + 1])
        likely = self.weights[slot] * np.clip(chances if landed else 1 - chances, 1e-4, 1.0)
        self.weights[slot] = (1 - self._gives_way) * likely / likely.sum() + self._gives_way * START
        self._curves.pop(slot, None)

    def restore(self, weights: Floats) -> None:
        """Take up the probabilities of the first strategies."""
        self.weights[: len(weights)] = weights
        self._curves.clear()

    def _curve(self, slot: int) -> tuple[Floats, Floats]:
        if slot not in self._curves:
            weights = self.weights[slot]
            mean = weights @ _TABLE
            self._curves[slot] = mean, np.maximum(0.0, weights @ _TABLE**2 - mean**2)
        return self._curves[slot]
