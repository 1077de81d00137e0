"""One expert: a ceiling that no tip buys, times the chance that no rival bids more.

p = A exp(-B) H, with A = sigmoid(d.x), B = exp(a.x) sum w_j r_j(tip) the rivals of the market that bid more, and H the
chance that none of those after the same profit does (hunters.py). The ramps r fall with the tip and the weights w are
exponentials, so that p never falls with the tip, whatever was learnt.

A and B are learnt by the filter of a dynamic generalised linear model (extended Kalman, Fisher information of one
outcome). It gives the covariance of what is known, and by the noise that it assumes it forgets.
"""

import math
from dataclasses import dataclass

import numpy as np

from controlplane.mev.landing.features import CEILING, CROWD, CROWD_POWERS, Floats, Known, crowd_ramps
from controlplane.mev.landing.hunters import STATE_EACH, STATE_ONCE, Hunters

RAMPS = len(CROWD_POWERS)
_D = slice(0, CEILING)
_A = slice(CEILING, CEILING + CROWD)
_W = slice(_A.stop, _A.stop + RAMPS)
SIZE = _W.stop
LEVEL = _A.start
_STEP = 1.0
_UPPER = np.triu_indices(SIZE)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an expert thinks that the world changes, an outcome at a time.

    Attributes:
        level_keeps: share of the crowd's passing level that stays.
        level_noise: variance that it gains.
        crowd_noise: variance that the crowd's weights gain.
        ceiling_noise: variance that the ceiling's weights gain.
        gives_way: chance that another law of those after the same profit takes over.
        shift_noise: variance that the shift of all their bids gains.
    """

    level_keeps: float = 0.985
    level_noise: float = 0.02
    crowd_noise: float = 1e-5
    ceiling_noise: float = 1e-6
    gives_way: float = 2e-5
    shift_noise: float = 1e-4


@dataclass(frozen=True, slots=True)
class Foretold:
    """What an expert says of tips, one row or number for each of them.

    Attributes:
        ceiling: the chance that no tip exceeds.
        crowd: rivals of the market expected above.
        alone: the chance that none after the same profit bids more.
        chance: to land.
        variance: of that chance.
    """

    ceiling: float
    crowd: Floats
    alone: Floats
    chance: Floats
    variance: Floats


class Expert:
    """What one expert knows.

    Args:
        mean: the start, of SIZE.
        spread: standard deviations of the start.
    """

    def __init__(self, pace: Pace, mean: Floats, spread: Floats) -> None:
        self.mean = mean.copy()
        self.cover = np.diag(spread**2)
        self.hunters = Hunters(pace.gives_way, pace.shift_noise)
        self._prior = spread**2
        self._noise = np.zeros(SIZE)
        self._noise[_D], self._noise[_W], self._noise[LEVEL] = pace.ceiling_noise, pace.crowd_noise, pace.level_noise
        self._keeps = pace.level_keeps

    def foretell(self, slot: int, told: Known, tips: Floats, ramps: Floats) -> Foretold:
        """Foretell for tips, whose `crowd_ramps` these are."""
        return self._foretell(slot, told, tips, ramps)[0]

    def learn(self, slot: int, told: Known, tip: float, landed: bool) -> float:
        """Learn from one outcome; gives the chance that was expected."""
        self._pass()
        tips = np.array([tip])
        found, slopes = self._foretell(slot, told, tips, crowd_ramps(tips, told))
        chance = float(found.chance[0])
        bounded = min(0.98, max(0.02, chance))
        spread = self.cover @ slopes[0]
        # What is not known of those after the same profit takes its part of the surprise.
        scale = bounded * (1 - bounded) + float(found.variance[0])
        step = spread * ((landed - chance) / scale)
        rest = found.ceiling * float(np.exp(-found.crowd[0]))
        self.hunters.learn(slot, told, tip, rest, landed)
        self.mean += step * min(1.0, _STEP / max(float(np.abs(step).max()), 1e-12))
        np.clip(self.mean, -12, 6, out=self.mean)
        self.cover -= np.outer(spread, spread) / scale
        return chance

    def state(self, slots: int) -> Floats:
        """Give all that is known of so many strategies, as `state_size` numbers."""
        return np.concatenate([self.mean, self.cover[_UPPER], self.hunters.state(slots)])

    def restore(self, slots: int, state: Floats) -> None:
        """Take up what `state` gave.

        Raises: ValueError when these are numbers that no expert has.
        """
        mean, upper, hunters = np.split(state, [SIZE, SIZE + len(_UPPER[0])])
        cover = np.zeros((SIZE, SIZE))
        cover[_UPPER] = upper
        cover += np.triu(cover, 1).T
        if np.any(np.diag(cover) < 0):
            raise ValueError("model: numbers that no model has")
        self.hunters.restore(slots, hunters)
        self.mean, self.cover = mean.copy(), cover

    def _foretell(self, slot: int, told: Known, tips: Floats, ramps: Floats) -> tuple[Foretold, Floats]:
        """Foretell, and give what each parameter adds to each chance."""
        ceiling = 1 / (1 + math.exp(-min(30.0, max(-30.0, float(self.mean[_D] @ told.ceiling)))))
        scale = self.mean[_A] @ told.crowd
        crowd = np.exp(np.minimum(np.maximum(self.mean[_W] + scale, -20), 6))[:, None] * ramps
        above = crowd.sum(axis=0)
        alone, doubt = self.hunters.none_above(slot, told, tips)
        rest = ceiling * np.exp(-above)
        chance = rest * alone
        slopes = np.empty((SIZE, len(tips)))
        slopes[_D] = ((1 - ceiling) * told.ceiling)[:, None]
        slopes[_A] = -told.crowd[:, None] * above
        slopes[_W] = -crowd
        slopes *= chance
        variance = np.maximum(0.0, ((self.cover @ slopes) * slopes).sum(axis=0)) + rest**2 * doubt
        return Foretold(ceiling, above, alone, chance, variance), slopes.T

    def _pass(self) -> None:
        """Let the time of one outcome pass: what is known grows old, to no more than nothing known."""
        self.mean[LEVEL] *= self._keeps
        self.cover[LEVEL] *= self._keeps
        self.cover[:, LEVEL] *= self._keeps
        spot = np.einsum("ii->i", self.cover)
        spot += np.where(spot < self._prior, self._noise, 0.0)


def state_size(slots: int) -> int:
    """Say how many numbers hold an expert that knows so many strategies."""
    return SIZE + len(_UPPER[0]) + STATE_ONCE + slots * STATE_EACH
