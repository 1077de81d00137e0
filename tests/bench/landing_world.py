"""A made-up market of bundles whose chance to land is known in closed form, so that what a rule loses is known exactly.

Rivals of two kinds. Those behind the published percentiles come as a Poisson number, in regimes (calm, busy, storm),
and bid as the percentiles say with some noise. Those after the same profit come as a gamma-mixed Poisson number and bid
a share of it, drawn from a beta law of the strategy. A ceiling stands above both: the leader, the time left, the size.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.mev.advisor import Opportunity
from controlplane.mev.tips import LEAST_TIP, SHARES, Floor

Floats = NDArray[np.float64]
ATTEMPTS = 8_000
STRATEGIES = ("backrun", "arbitrage", "liquidation")
# Percentiles that were once published, lamports; docs/landing.md.
SNAPSHOTS = np.array(
    [
        [6_001, 10_000, 36_196, 1_447_905, 10_007_999],
        [3_281, 12_536, 50_000, 5_000_000, 11_160_000],
        [2_736, 5_517, 8_134, 69_260, 162_477],
        [1_000, 1_000, 1_598, 500_000, 1_850_000],
        [5_000, 10_000, 1_000_000, 5_334_763, 8_262_746],
        [2_000, 5_000, 9_300, 39_970, 113_737],
    ],
    dtype=np.float64,
)
_STAY = np.array([0.9975, 0.994, 0.985])
_SHIFTS = np.array([0.0, 0.5, 1.4])
_RTT_MS = np.array([8.0, 25.0, 60.0, 95.0, 160.0])
_PROFITS = np.array([0.6e6, 1.5e6, 4.0e6])
_BETAS = ((1.2, 8.0), (2.0, 5.0), (4.0, 3.0))
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_NODE_WEIGHTS = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()
_NOISE = 0.25
_GAMMA = 2.0
FEE_PER_TRANSACTION = 5_000


@dataclass(frozen=True)
class Market:
    """What distinguishes the worlds.

    Args:
        crowd: mean number of rivals behind the percentiles, in each regime.
        hunters: mean number of rivals after the same profit, for each strategy.
        ages: how many attempts old the published percentiles are, least and most.
        noise: of the published percentiles, as a share.
        breaks: half-way the hunters double, and bid 1.35 times as much.
    """

    crowd: tuple[float, float, float]
    hunters: tuple[float, float, float]
    ages: tuple[int, int] = (3, 25)
    noise: float = 0.05
    breaks: bool = False


FLOOR = Market((1.5, 4.0, 10.0), (0.0, 0.0, 0.0))
CONTESTED = Market((0.6, 2.0, 6.0), (0.1, 0.7, 1.8))
DRIFT = Market((0.6, 2.0, 6.0), (0.1, 0.7, 1.8), (40, 120), 0.20, breaks=True)


class World:
    """Attempts of one market, all drawn beforehand."""

    def __init__(self, market: Market, seed: int, attempts: int = ATTEMPTS) -> None:
        self._random = random = np.random.default_rng(seed)
        self.attempts = attempts
        self.market = market
        self._regime = self._regimes()
        self._truth = self._percentiles()
        self.floors = self._published()
        self.kind = random.integers(0, len(STRATEGIES), attempts)
        self.profit = np.maximum(20_000, _PROFITS[self.kind] * np.exp(random.normal(0, 1.1, attempts))).round()
        self.transactions = random.integers(1, 6, attempts)
        self.units = (self.transactions * random.uniform(80_000, 300_000, attempts)).round()
        self.fees = (FEE_PER_TRANSACTION * self.transactions).astype(np.float64)
        self.rtt_ms = random.choice(_RTT_MS, attempts) * random.uniform(0.9, 1.1, attempts)
        self.left_ms = random.uniform(0, 400, attempts)
        jito = random.random(attempts) < 0.94
        self.told_jito = jito ^ (random.random(attempts) < 0.02)
        self._ceiling = self._ceilings()
        self.luck = random.random(attempts)

    def opportunity(self, at: int) -> Opportunity:
        """Give what a client would know of an attempt."""
        return Opportunity(
            profit=int(self.profit[at]), strategy=STRATEGIES[self.kind[at]], fees=int(self.fees[at]),
            compute_units=int(self.units[at]), transactions=int(self.transactions[at]), rtt_ms=float(self.rtt_ms[at]),
            left_ms=float(self.left_ms[at]), leader_runs_jito=bool(self.told_jito[at]),
        )  # fmt: skip

    def floor(self, at: int) -> Floor:
        """Give the percentiles that were published at an attempt."""
        tips = np.maximum.accumulate(self.floors[at].round()).astype(int)
        return Floor(float(at), tuple(int(tip) for tip in tips), int(self.ema[at]))  # type: ignore[arg-type]

    def landing(self, tips: Floats, at: int | slice = slice(None)) -> Floats:
        """Give the true chance to land, of tips for one attempt or of rows of tips for all of them."""
        rows = np.atleast_2d(tips)
        rows = rows.T if isinstance(at, slice) and rows.shape[0] == 1 and rows.shape[1] == self.attempts else rows
        pick = slice(at, at + 1) if isinstance(at, int) else at
        hard = self._ceiling[pick, None] * self._crowd(rows, pick) * self._hunted(rows, pick)
        chance: Floats = np.where(rows >= LEAST_TIP, hard, 0.0)
        return chance.reshape(np.shape(tips))

    def value(self, tips: Floats, at: int | slice = slice(None)) -> Floats:
        """Give what tips are worth on average; 0 for a tip of 0, which means not sent."""
        sent = np.asarray(tips) > 0
        gain = (self.profit[at] - self.fees[at]) if isinstance(at, int) else self.profit - self.fees
        gain = gain[:, None] if np.ndim(tips) == 2 else gain
        worth: Floats = np.where(sent, self.landing(tips, at) * (gain - tips), 0.0)
        return worth

    def best(self, points: int = 160) -> Floats:
        """Give the value of the best tip of each attempt, for whoever knows everything but luck and the leader."""
        top = np.maximum(self.profit, 2 * LEAST_TIP)
        tips = LEAST_TIP * np.exp(np.linspace(0, 1, points)[None, :] * np.log(top / LEAST_TIP)[:, None])
        found: Floats = np.maximum(0.0, self.value(tips).max(axis=1))
        return found

    def _regimes(self) -> NDArray[np.int64]:
        found = np.zeros(self.attempts, np.int64)
        for at in range(1, self.attempts):
            here = found[at - 1]
            leave = self._random.random() > _STAY[here]
            found[at] = self._random.choice([other for other in range(3) if other != here]) if leave else here
        return found

    def _percentiles(self) -> Floats:
        """Wander from one snapshot towards the next, in the logarithm."""
        random, found = self._random, np.zeros((self.attempts, 5))
        now, aim = np.log(SNAPSHOTS[random.integers(6)]), np.log(SNAPSHOTS[random.integers(6)])
        for at in range(self.attempts):
            if random.random() < 1 / 8_000:
                aim = np.log(SNAPSHOTS[random.integers(6)])
            now = now + 0.0005 * (aim - now) + random.normal(0, 0.004) + random.normal(0, 0.002, 5)
            found[at] = np.maximum.accumulate(now)
        return found + _SHIFTS[self._regime][:, None]

    def _published(self) -> Floats:
        low, high = self.market.ages
        age = self._random.integers(low, high + 1, self.attempts)
        seen = self._truth[np.maximum(0, np.arange(self.attempts) - age)]
        told = np.exp(seen + self._random.normal(0, self.market.noise, seen.shape))
        told = np.maximum(LEAST_TIP, np.maximum.accumulate(told, axis=1))
        self.ema = told[:, 1].copy()
        for at in range(1, self.attempts):
            self.ema[at] = self.ema[at - 1] + 0.02 * (told[at, 1] - self.ema[at - 1])
        return told

    def _ceilings(self) -> Floats:
        leads = np.where(self.told_jito, 0.9987, 0.242)
        reached = 1 / (1 + np.exp(-(self.left_ms - self.rtt_ms / 2 - 25) / 12))
        size = 0.985 ** (self.transactions - 1) * np.exp(-self.units / 2e7)
        found: Floats = 0.95 * leads * reached * size
        return found

    def _crowd(self, tips: Floats, pick: slice) -> Floats:
        crowd = np.array(self.market.crowd)[self._regime[pick]][:, None]
        logs = np.log(np.maximum(1.0, tips))
        below = sum(
            weight * ranks(logs - _NOISE * node, self._truth[pick])
            for node, weight in zip(_NODES, _NODE_WEIGHTS, strict=True)
        )
        found: Floats = np.exp(-crowd * (1 - below))
        return found

    def _hunted(self, tips: Floats, pick: slice) -> Floats:
        late = self.market.breaks & (np.arange(self.attempts)[pick] >= self.attempts // 2)
        hunters = np.array(self.market.hunters)[self.kind[pick]] * np.where(late, 2.0, 1.0)
        shares = tips / self.profit[pick][:, None] / np.where(late, 1.35, 1.0)[:, None]
        above = np.ones_like(shares)
        for kind, table in enumerate(_TABLES):
            mine = self.kind[pick] == kind
            above[mine] = 1 - np.interp(shares[mine], _AT, table)
        found: Floats = (1 + hunters[:, None] * above / _GAMMA) ** -_GAMMA
        return found


def ranks(logs: Floats, percentiles: Floats) -> Floats:
    """Give the shares of a percentile law that lie below tips; all in logarithms, a row for each attempt."""
    points = np.concatenate([np.full((len(percentiles), 1), np.log(LEAST_TIP)), percentiles], axis=1)
    points = np.maximum.accumulate(points, axis=1) + 1e-6 * np.arange(6)
    shares = (0.0, *SHARES)
    found = np.zeros_like(logs)
    for left in range(5):
        low, high = points[:, left, None], points[:, left + 1, None]
        part = np.clip((logs - low) / (high - low), 0, 1)
        found += part * (shares[left + 1] - shares[left])
    slope = np.log(5) / np.maximum(0.05, points[:, 5] - points[:, 4])[:, None]
    found += 0.01 * (1 - np.exp(-slope * np.maximum(0, logs - points[:, 5, None])))
    return found


_AT = np.linspace(0, 1, 4_001)


def _beta_table(first: float, second: float) -> Floats:
    middle = (_AT[1:] + _AT[:-1]) / 2
    parts = middle ** (first - 1) * (1 - middle) ** (second - 1)
    return np.concatenate([[0.0], np.cumsum(parts) / parts.sum()])


_TABLES = [_beta_table(*law) for law in _BETAS]
