"""Rivals after the same profit: which law of their bids is how likely, for each strategy.

A law says how many are expected (Poisson), what share of the profit they bid (log-logistic up to all of it), and how
far they follow the market: a bid is an amount of money, and amounts that it may depend on are the profit and what the
market pays, so it grows as profit^(1-f) market^f, with one f of a few. The share that a law names is that of a usual
ratio of the two. Every law of a fixed list is kept with its probability, by Bayes' rule; a law may give way to another
with every outcome. There is no slope to climb, so no wrong turn that is kept for good: low tips and high ones are
weighed at once.

Besides, all that they bid may pass up and down together, as competition does: a shift of the bids' logarithm, the same
for every strategy, that wanders and comes back. It and the laws are taken to be independent after each outcome.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from controlplane.mev.landing import prior
from controlplane.mev.landing.features import Floats, Known

SLOTS = 9
_COUNTS = (0.12, 0.25, 0.45, 0.75, 1.15, 1.7, 2.5, 3.8, 6.0, 10.0)
_MIDDLES = (0.02, 0.05, 0.09, 0.14, 0.21, 0.29, 0.38, 0.48, 0.60, 0.75)
_STEEP = (2.5, 6.0, 15.0)
# How far bids follow the market, 0 to 1, and how likely that is at first.
_FOLLOWS = np.array([0.0, 0.25, 0.6])
_FOLLOWS_ODDS = np.array([4.0, 1.0, 1.0])
# Shifts of the bids' logarithm, in cells of _LOGS: up to 1.16 either way.
_REACH = 24
_CELL = np.log(1e3) / 143
# Of shares from a thousandth to as far above all of the profit as bids may shift.
_LOGS = np.arange(-143, _REACH + 1) * _CELL
_SHIFTS = np.arange(-_REACH, _REACH + 1, 3)
# Share of a shift that stays, with an outcome.
_SHIFT_KEEPS = 0.995
# The usual ratio is the mean of the first outcomes, then a moving average of about so many.
_USUAL_OVER = 200
_MOST_UNUSUAL = 3.0


def _laws() -> tuple[Floats, Floats]:
    """Give the chance that none bids more, by law and share; and how likely each law is at first."""
    share = np.minimum(1.0, np.exp(_LOGS))
    rows, first = [np.ones(len(share))], [prior.NONE]
    for count, many in zip(_COUNTS, prior.COUNTS, strict=True):
        for middle, there in zip(_MIDDLES, prior.MIDDLES, strict=True):
            for steep in _STEEP:
                below = (1 + middle**steep) / (1 + (middle / share) ** steep)
                rows.append(np.exp(-count * (1 - below)))
                first.append(many * there / len(_STEEP))
    start = np.outer(_FOLLOWS_ODDS, first)
    return np.array(rows), start / start.sum()


_TABLE, START = _laws()
# By law: chances, then their squares.
_BOTH = np.concatenate([_TABLE, _TABLE**2], axis=1)
# By share, then law; beyond either end it is as at the end.
_BY_SHARE = np.pad(_TABLE, ((0, 0), (_REACH, _REACH)), mode="edge").T.copy()
LAWS = START.size
STATE_ONCE, STATE_EACH = len(_SHIFTS), LAWS + 2


class Hunters:
    """The laws' probabilities, for each strategy, and those of the shift.

    Args:
        gives_way: chance, with an outcome, that another law takes over.
        shift_noise: variance that the shift gains with an outcome.
    """

    def __init__(self, gives_way: float, shift_noise: float) -> None:
        self.weights = np.tile(START, (SLOTS, 1, 1))
        self._gives_way = gives_way
        self._moves = _moves(shift_noise)
        self._shift = np.linalg.matrix_power(self._moves, 300)[len(_SHIFTS) // 2]
        # For each strategy: the usual logarithm of market over profit, and of how many outcomes.
        self._usual = np.zeros((SLOTS, 2))
        # Over the laws alone, which an outcome changes for its strategy; and over shifts, too, which it does for all.
        self._rows: dict[int, Floats] = {}
        self._curves: dict[int, Floats] = {}

    def none_above(self, slot: int, told: Known, tips: Floats) -> tuple[Floats, Floats]:
        """Give the chance that none bids more than tips, and its variance."""
        low, part = self._places(slot, told, tips)
        curve = self._curve(slot)
        at = np.arange(len(_FOLLOWS))[:, None]
        mean, square = ((1 - part) * curve[:, at, low] + part * curve[:, at, low + 1]).sum(axis=1)
        return mean, np.maximum(0.0, square - mean**2)

    def learn(self, slot: int, told: Known, tip: float, rest: float, landed: bool) -> None:
        """Learn from an outcome.

        Args:
            rest: the chance to land if none were after this profit.
        """
        low, part = self._places(slot, told, np.array([tip]))
        rows = low - _SHIFTS + _REACH
        # By following, shift and law.
        chances = rest * ((1 - part)[..., None] * _BY_SHARE[rows] + part[..., None] * _BY_SHARE[rows + 1])
        likely = np.clip(chances if landed else 1 - chances, 1e-4, 1.0)
        laws, shift = self.weights[slot], self._shift @ self._moves
        heard = laws * np.einsum("s,fsl->fl", shift, likely)
        shift = shift * np.einsum("fl,fsl->s", laws, likely)
        self.weights[slot] = (1 - self._gives_way) * heard / heard.sum() + self._gives_way * START
        self._shift = shift / shift.sum()
        usual, count = self._usual[slot]
        share = 1 / min(_USUAL_OVER, count + 1)
        self._usual[slot] = usual + share * (told.ratio - usual), min(_USUAL_OVER, count + 1)
        # Here, and not when it is asked for: advice is waited for, learning is not.
        self._rows[slot] = _padded(self.weights[slot])
        self._curves.clear()

    def state(self, slots: int) -> Floats:
        """Give all that is known of so many strategies: STATE_ONCE numbers, and STATE_EACH for each."""
        return np.concatenate([self._shift, self.weights[:slots].ravel(), self._usual[:slots].ravel()])

    def restore(self, slots: int, state: Floats) -> None:
        """Take up what `state` gave.

        Raises: ValueError when these are numbers that no one has.
        """
        shift, weights, usual = np.split(state, [STATE_ONCE, STATE_ONCE + slots * LAWS])
        sums = np.array([shift.sum(), *weights.reshape(slots, LAWS).sum(axis=1)])
        counts = usual.reshape(slots, 2)[:, 1]
        if np.any(state[: -len(usual)] < 0) or not np.allclose(sums, 1, atol=1e-6) or np.any(counts < 0):
            raise ValueError("model: numbers that no model has")
        self._shift = shift.copy()
        self.weights[:slots] = weights.reshape(slots, *START.shape)
        self._usual[:slots] = usual.reshape(slots, 2)
        self._rows.clear()
        self._curves.clear()

    def _places(self, slot: int, told: Known, tips: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Say where tips lie in _LOGS, a row for each following: the cell, and how far into it."""
        usual, count = self._usual[slot]
        unusual = min(_MOST_UNUSUAL, max(-_MOST_UNUSUAL, told.ratio - usual)) if count else 0.0
        logs = np.log(tips / told.profit) - (_FOLLOWS * unusual)[:, None]
        places = np.minimum(np.maximum((logs - _LOGS[0]) / _CELL, 0.0), len(_LOGS) - 1.0)
        low = np.minimum(places.astype(np.int64), len(_LOGS) - 2)
        return low, places - low

    def _curve(self, slot: int) -> Floats:
        """Give the chances that none bids more and their squares, by following and share, over laws and shifts."""
        if slot not in self._rows:
            self._rows[slot] = _padded(self.weights[slot])
        if slot not in self._curves:
            windows = sliding_window_view(self._rows[slot], 2 * _REACH + 1, axis=2)[..., :: _SHIFTS[1] - _SHIFTS[0]]
            self._curves[slot] = windows @ self._shift[::-1]
        return self._curves[slot]


def _padded(laws: Floats) -> Floats:
    """Give the chances over laws and their squares, by following and share; beyond either end as at the end."""
    rows = (laws @ _BOTH).reshape(len(laws), 2, len(_LOGS)).swapaxes(0, 1)
    return np.pad(rows, ((0, 0), (0, 0), (_REACH, _REACH)), mode="edge")


def _moves(noise: float) -> Floats:
    """Give the chances of the shift to pass from one to another: an Ornstein-Uhlenbeck process on a grid."""
    step = (_SHIFTS[1] - _SHIFTS[0]) * _CELL
    back = (1 - _SHIFT_KEEPS) * _SHIFTS * _CELL / (2 * step)
    spread = noise / (2 * step**2)
    up, down = np.clip(spread - back, 0, 0.3), np.clip(spread + back, 0, 0.3)
    up[-1] = down[0] = 0.0
    found: Floats = np.diag(1 - up - down) + np.diag(up[:-1], 1) + np.diag(down[1:], -1)
    return found
