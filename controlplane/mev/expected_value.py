"""What a tip is worth, and which is worth the most; no I/O.

EV(t) = p(t) (profit - t - fees) - (1 - p(t)) cost of failing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.mev.tips import LEAST_TIP

Floats = NDArray[np.float64]
POINTS = 64


@dataclass(frozen=True, slots=True)
class Stake:
    """What is won and lost, and what may be tipped, in lamports.

    Attributes:
        profit: what landing earns, before tip and fees.
        fees: what landing costs besides the tip.
        failure_cost: what not landing costs; 0 for a bundle that is all or nothing.
        margin: what is to remain at least.
        cap: never tip more; None: no cap.
        budget: what is left to be tipped; None: no budget.
        least_value: do not send for less, on average.
    """

    profit: int
    fees: int = 0
    failure_cost: int = 0
    margin: int = 0
    cap: int | None = None
    budget: int | None = None
    least_value: int = 1

    @property
    def break_even(self) -> int:
        """The tip at which landing earns nothing; below 0 where fees are above the profit."""
        return self.profit - self.fees

    @property
    def most(self) -> tuple[int, str]:
        """The most that may be tipped, and what holds it there."""
        bounds = [(self.break_even - self.margin, "profit less fees and margin")]
        if self.cap is not None:
            bounds.append((self.cap, "the cap"))
        if self.budget is not None:
            bounds.append((self.budget, "the budget"))
        return min(bounds, key=lambda bound: bound[0])

    def value(self, tip: float, chance: float) -> float:
        """Give what a tip is worth on average, at a chance to land."""
        return chance * (self.break_even - tip) - (1 - chance) * self.failure_cost


@dataclass(frozen=True, slots=True)
class Choice:
    """The tip that is worth the most.

    Attributes:
        tip: in lamports; None: do not send.
        value: what it is worth on average, in lamports; 0 where nothing is sent.
        reasons: which bound held, or why nothing is sent.
    """

    tip: int | None
    value: float
    reasons: tuple[str, ...]


def choose(stake: Stake, chances: Callable[[Floats], Floats]) -> Choice:
    """Choose a tip on a logarithmic grid from the least tip to the most that may be tipped, and between its points.

    Args:
        chances: gives the chance to land of each tip.
    """
    most, bound = stake.most
    if most < LEAST_TIP:
        return Choice(None, 0.0, (f"not sent: {bound} leaves {max(0, most)} lamports of {LEAST_TIP} at least",))
    tips = grid(most)
    found = chances(tips)
    values = _values(stake, tips, found)
    best = int(np.argmax(values))
    least = max(1, stake.least_value)
    if values[best] < least:
        worth = f"the best tip, {int(tips[best])} lamports, is worth {int(np.floor(values[best]))} on average"
        return Choice(None, 0.0, (f"not sent: {worth}, and {least} is asked for",))
    return Choice(_between(best, tips, values), float(values[best]), (_held(best, tips, found, stake, bound),))


def _between(best: int, tips: Floats, values: Floats) -> int:
    """Give the tip at the top of the parabola through the best point and its neighbours, over the tip's logarithm."""
    if not 0 < best < len(tips) - 1:
        return int(tips[best])
    below, top, above = values[best - 1 : best + 2]
    bend = below - 2 * top + above
    offset = 0.5 * (below - above) / bend if bend < 0 else 0.0
    beside = tips[best + 1] if offset > 0 else tips[best - 1]
    return int(tips[best] * (beside / tips[best]) ** abs(offset))


def _values(stake: Stake, tips: Floats, chances: Floats) -> Floats:
    worth: Floats = chances * (stake.break_even - tips) - (1 - chances) * stake.failure_cost
    return worth


def grid(most: int) -> Floats:
    """Give whole lamports from the least tip to the most, even in the logarithm."""
    tips = np.floor(np.geomspace(LEAST_TIP, most, POINTS))
    tips[-1] = most
    return np.clip(tips, LEAST_TIP, most)


def _held(best: int, tips: Floats, chances: Floats, stake: Stake, bound: str) -> str:
    """Say what keeps the tip where it is: a bound, or that more buys less than it costs."""
    if tips[best] >= tips[-1]:
        return f"held by {bound}: {int(tips[-1])} lamports"
    if tips[best] <= LEAST_TIP:
        return f"the least tip, {LEAST_TIP} lamports, is worth the most"
    nearby = slice(best - 1, best + 2)
    steps = np.gradient(chances[nearby], tips[nearby]) if np.all(np.diff(tips[nearby]) > 0) else np.zeros(3)
    bought = float(steps[1]) * (stake.break_even - tips[best] + stake.failure_cost)
    return f"one lamport more costs {chances[best]:.2f} on average and buys {bought:.2f}"
