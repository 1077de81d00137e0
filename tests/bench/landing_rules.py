"""Simple rules for tips, to be beaten; each gives a tip for every attempt, capped at what landing earns."""

import numpy as np

from controlplane.mev.tips import LEAST_TIP
from tests.bench.landing_world import Floats, World

MULTIPLES = np.geomspace(0.1, 3_000, 60)
PROFIT_SHARES = np.linspace(0.01, 0.9, 60)


def rules(world: World) -> dict[str, Floats]:
    """Give the tips of each rule; the last two are the best of their kind in hindsight, which nobody has."""
    middle = world.floors[:, 1]
    made = {f"p{share}": world.floors[:, place] for place, share in enumerate((25, 50, 75, 95, 99))}
    made["EMA p50"] = world.ema
    made["up/down on p50"] = _up_down(world)
    made["30 % of profit"] = 0.3 * world.profit
    made["best multiple of p50 in hindsight"] = _best(world, [times * middle for times in MULTIPLES])
    made["best share of profit in hindsight"] = _best(world, [share * world.profit for share in PROFIT_SHARES])
    return {name: _capped(world, tips) for name, tips in made.items()}


def _capped(world: World, tips: Floats) -> Floats:
    """Cap, and leave unsent what cannot earn."""
    most = world.profit - world.fees - 1
    found: Floats = np.where(most >= LEAST_TIP, np.clip(tips, LEAST_TIP, np.maximum(LEAST_TIP, most)), 0.0)
    return found


def _best(world: World, candidates: list[Floats]) -> Floats:
    worth = [world.value(_capped(world, tips)).sum() for tips in candidates]
    return candidates[int(np.argmax(worth))]


def _up_down(world: World) -> Floats:
    """A tenth more after a loss, a tenth less after a landing."""
    times, tips = 1.0, np.zeros(world.attempts)
    for at in range(world.attempts):
        tips[at] = min(
            max(LEAST_TIP, times * world.floors[at, 1]), max(LEAST_TIP, world.profit[at] - world.fees[at] - 1)
        )
        landed = world.luck[at] < float(world.landing(tips[at : at + 1], at)[0])
        times = min(1e5, max(0.1, times * (0.9 if landed else 1.1)))
    return tips
