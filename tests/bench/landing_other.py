"""A second made-up market, of another form than the model's, so that the model is not judged by its own kind alone.

A bundle lands when its tip beats a reserve price: lognormal around a mean of the true 75th percentile and of the
profit, whose scatter and mixture depend on the strategy, and which follows the passing heat of the market. With some
chance a bot is there, too, that always pays 1.1 times that percentile. The ceiling has ramps with an interaction.
"""

import numpy as np
from numpy.typing import NDArray

from controlplane.mev.tips import LEAST_TIP
from tests.bench.landing_world import CONTESTED, World

Floats = NDArray[np.float64]
_OF_PROFIT = np.array([0.10, 0.22, 0.45])
_WEIGHT = np.array([0.25, 0.6, 0.85])
_SCATTER = np.array([0.9, 0.6, 0.35])
_BOT = np.array([0.15, 0.10, 0.05])


class Other(World):
    """The other form: no number of rivals anywhere; half-way the price of the profit's part rises by a quarter."""

    def __init__(self, seed: int, attempts: int = 8_000) -> None:
        super().__init__(CONTESTED, seed, attempts)
        wave = np.zeros(attempts)
        for at in range(1, attempts):
            wave[at] = 0.995 * wave[at - 1] + self._random.normal(0, 0.05)
        self._heat = wave

    def _ceilings(self) -> Floats:
        leads = np.where(self.told_jito, 0.98, 0.30)
        left = self.left_ms - 0.6 * self.rtt_ms
        reached = np.clip((left + 10) / 80, 0.02, 1.0) ** 1.5
        far = 1 / (1 + np.exp((self.rtt_ms * self.transactions - 500) / 80))
        found: Floats = 0.93 * leads * reached * (0.6 + 0.4 * far)
        return found

    def landing(self, tips: Floats, at: int | slice = slice(None)) -> Floats:
        """Give the true chance to land, of tips for one attempt or of rows of tips for all of them."""
        rows = np.atleast_2d(tips)
        rows = rows.T if isinstance(at, slice) and rows.shape[0] == 1 and rows.shape[1] == self.attempts else rows
        pick = slice(at, at + 1) if isinstance(at, int) else at
        kind = self.kind[pick]
        half = np.where(np.arange(self.attempts)[pick] >= self.attempts // 2, np.log(1.25), 0.0)
        own = np.log(_OF_PROFIT[kind] * self.profit[pick]) + half
        price = _WEIGHT[kind] * own + (1 - _WEIGHT[kind]) * self._truth[pick][:, 2] + self._heat[pick]
        logs = np.log(np.maximum(1.0, rows))
        beaten = _normal((logs - price[:, None]) / _SCATTER[kind][:, None])
        bot = _normal((logs - (self._truth[pick][:, 2] + np.log(1.1))[:, None]) / 0.08)
        share = _BOT[kind][:, None]
        chance: Floats = self._ceiling[pick, None] * beaten * (1 - share + share * bot)
        chance = np.where(rows >= LEAST_TIP, chance, 0.0)
        return chance.reshape(np.shape(tips))


def _normal(value: Floats) -> Floats:
    """Give the normal distribution function (Abramowitz and Stegun 26.2.17)."""
    part = 1 / (1 + 0.2316419 * np.abs(value))
    series = part * (
        0.319381530 + part * (-0.356563782 + part * (1.781477937 + part * (-1.821255978 + part * 1.330274429)))
    )
    tail = np.exp(-value * value / 2) / np.sqrt(2 * np.pi) * series
    found: Floats = np.where(value >= 0, 1 - tail, tail)
    return found
