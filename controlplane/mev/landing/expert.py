"""One expert: a ceiling that no tip buys, times the chance that no rival bids more; learnt by a Kalman filter.

p = A exp(-B - C), with A = sigmoid(d.x), B = exp(a.x) sum w_j r_j(tip), C = exp(b.x) sum v_k s_k(tip / profit). The ramps r and s
fall with the tip and the weights w and v are exponentials, so that p never falls with the tip, whatever was learnt.

The filter is that of a dynamic generalised linear model (extended Kalman, Fisher information of one Bernoulli outcome).
It gives the covariance of what is known, and by the noise that it assumes it forgets.
"""

from dataclasses import dataclass

import numpy as np

from controlplane.mev.landing.features import (
    CEILING,
    CROWD,
    CROWD_POWERS,
    HUNTERS,
    SHARE_FROM,
    Floats,
    Known,
    crowd_ramps,
    share_ramps,
)

SLOTS = 9
RAMPS, SHARES = len(CROWD_POWERS), len(SHARE_FROM)
_D = slice(0, CEILING)
_A = slice(CEILING, CEILING + CROWD)
_W = slice(_A.stop, _A.stop + RAMPS)
_B = slice(_W.stop, _W.stop + HUNTERS)
SHARED = _B.stop
SIZE = SHARED + SLOTS * SHARES
LEVEL = _A.start
_STEP = 1.5


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an expert thinks that the world changes, a learnt outcome at a time.

    Attributes:
        level_keeps: share of the crowd's passing level that stays.
        level_noise: variance that it gains.
        crowd_noise: variance that the crowd's weights gain.
        hunters_noise: variance that the weights of a strategy gain.
        ceiling_noise: variance that the ceiling's weights gain.
    """

    level_keeps: float = 0.99
    level_noise: float = 0.02
    crowd_noise: float = 1e-5
    hunters_noise: float = 1e-5
    ceiling_noise: float = 1e-6


@dataclass(frozen=True, slots=True)
class Parts:
    """What a chance is made of, for each tip: the ceiling, and how many rivals of each kind are expected above it."""

    ceiling: float
    crowd: Floats
    hunters: Floats

    @property
    def chance(self) -> Floats:
        """The chance to land."""
        found: Floats = self.ceiling * np.exp(-self.crowd - self.hunters)
        return found


class Expert:
    """What one expert knows.

    Args:
        mean: the start, of SIZE.
        spread: standard deviations of the start.
    """

    def __init__(self, pace: Pace, mean: Floats, spread: Floats) -> None:
        self.mean = mean.copy()
        self.cover = np.diag(spread**2)
        self._prior = spread**2
        noise = np.zeros(SIZE)
        noise[_D], noise[_A], noise[_W], noise[_B] = pace.ceiling_noise, 0, pace.crowd_noise, 0
        noise[SHARED:] = pace.hunters_noise
        noise[LEVEL] = pace.level_noise
        self._noise = noise
        self._keeps = pace.level_keeps

    def parts(self, slot: int, told: Known, tips: Floats) -> Parts:
        """Foretell for tips."""
        crowd, hunters = self._weighted(slot, told, crowd_ramps(tips, told), share_ramps(tips, told))
        return Parts(self._ceiling(told), crowd.sum(axis=0), hunters.sum(axis=0))

    def gradient(self, slot: int, told: Known, tip: float) -> tuple[float, Floats]:
        """Give the chance at a tip, and what each parameter adds to it."""
        tips = np.array([tip])
        crowd, hunters = self._weighted(slot, told, crowd_ramps(tips, told), share_ramps(tips, told))
        ceiling = self._ceiling(told)
        above, beside = crowd.sum(), hunters.sum()
        chance = ceiling * np.exp(-above - beside)
        slopes = np.zeros(SIZE)
        slopes[_D] = (1 - ceiling) * told.ceiling
        slopes[_A] = -above * told.crowd
        slopes[_W] = -crowd[:, 0]
        slopes[_B] = -beside * told.hunters
        slopes[self._mine(slot)] = -hunters[:, 0]
        return float(chance), chance * slopes

    def variance(self, slopes: Floats) -> float:
        """Give the variance of a chance from its gradient."""
        return float(slopes @ self.cover @ slopes)

    def learn(self, slot: int, told: Known, tip: float, landed: bool) -> float:
        """Learn from one outcome; gives the chance that was expected."""
        self._pass()
        chance, slopes = self.gradient(slot, told, tip)
        bounded = min(0.98, max(0.02, chance))
        spread = self.cover @ slopes
        scale = bounded * (1 - bounded) + float(slopes @ spread)
        step = spread * ((landed - chance) / scale)
        most = float(np.abs(step).max())
        self.mean += step * min(1.0, _STEP / max(most, 1e-12))
        np.clip(self.mean, -12, 6, out=self.mean)
        self.cover -= np.outer(spread, spread) / scale
        return chance

    def _pass(self) -> None:
        """Let the time of one outcome pass: what is known grows old, to no more than nothing known."""
        self.mean[LEVEL] *= self._keeps
        self.cover[LEVEL] *= self._keeps
        self.cover[:, LEVEL] *= self._keeps
        spot = np.einsum("ii->i", self.cover)
        spot += np.where(spot < self._prior, self._noise, 0.0)

    def _ceiling(self, told: Known) -> float:
        return float(1 / (1 + np.exp(-np.clip(self.mean[_D] @ told.ceiling, -30, 30))))

    def _weighted(self, slot: int, told: Known, crowd: Floats, hunters: Floats) -> tuple[Floats, Floats]:
        scale = self.mean[_A] @ told.crowd
        first = np.exp(np.clip(self.mean[_W] + scale, -20, 6))[:, None] * crowd
        scale = self.mean[_B] @ told.hunters
        return first, np.exp(np.clip(self.mean[self._mine(slot)] + scale, -20, 6))[:, None] * hunters

    def _mine(self, slot: int) -> slice:
        return slice(SHARED + slot * SHARES, SHARED + (slot + 1) * SHARES)


def start() -> tuple[Floats, Floats]:
    """Give the start of who knows nothing: few rivals, a high ceiling; and how unsure it is."""
    mean, spread = np.zeros(SIZE), np.ones(SIZE)
    mean[0], spread[0] = 1.7, 0.7
    mean[1:6] = (1.0, 0.5, 3.0, 2.5, -0.1)
    spread[1:CEILING] = 1.0
    spread[_A] = (0.5, 0.3, 0.3)
    mean[_W], spread[_W] = (-0.5, -1.0, -1.5), 1.5
    spread[_B] = 0.3
    mean[SHARED:], spread[SHARED:] = -2.0, 1.5
    return mean, spread
