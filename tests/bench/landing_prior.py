"""`python -m tests.bench.landing_prior`: make controlplane/mev/landing/prior.py from simulated markets.

What the steady expert learnt in each of them is averaged, made unsure again, and mixed with the start of who knows
nothing. The markets are of seeds that no figure is of. Parameters that no simulated market moves keep their start.
"""

from pathlib import Path

import numpy as np

from controlplane.mev.advisor import Advisor
from controlplane.mev.landing import expert, prior
from tests.bench.landing import play
from tests.bench.landing_world import CONTESTED, FLOOR, STRATEGIES, Floats, World

SEEDS = (101, 102, 103, 104)
ATTEMPTS = 3_000
# How much of what was learnt in simulations is believed of reality.
_BELIEVED = 0.5
_COLD_MEAN = (1.7, 1.0, 0.5, 3.0, 2.5, -0.1, -0.2, -0.2, -0.3, 0.0, 0.0, 0.0, -0.5, -1.0, -1.5)
_COLD_SPREAD = (0.7, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.3, 0.3, 1.5, 1.5, 1.5)
# Never more rivals than few, at first: who starts without hope never tries.
_COLD_COUNTS = (0.178, 0.16, 0.138, 0.114, 0.093, 0.074, 0.057, 0.042, 0.029, 0.018)
PLACE = Path(prior.__file__)


def main() -> None:
    """Play, average, and write."""
    means, laws = [], []
    for market in (FLOOR, CONTESTED):
        for seed in SEEDS:
            advisor = Advisor()
            play(World(market, seed, ATTEMPTS), advisor)
            steady = advisor._model._experts[0]
            means.append(steady.mean)
            laws.append(steady.hunters.weights[1 : 1 + len(STRATEGIES)].sum(axis=1))
    PLACE.write_text(_written(np.array(means), np.concatenate(laws).mean(axis=0)))


def _written(means: Floats, laws: Floats) -> str:
    moved = means.std(axis=0) > 1e-9
    moved[expert.LEVEL] = False
    mean = np.where(moved, means.mean(axis=0), _COLD_MEAN)
    spread = np.where(moved, np.minimum(_COLD_SPREAD, 0.3 + 1.5 * means.std(axis=0)), _COLD_SPREAD)
    grid = laws[1:].reshape(len(_COLD_COUNTS), len(prior.MIDDLES), -1).sum(axis=2)
    counts = _mixed(grid.sum(axis=1), np.array(_COLD_COUNTS))
    middles = _mixed(grid.sum(axis=0), np.full(grid.shape[1], 0.1))
    none = _BELIEVED * laws[0] + (1 - _BELIEVED) * 0.2
    return "\n".join(
        [
            '"""Where the model starts: made from simulations by `python -m tests.bench.landing_prior`."""',
            "",
            "VERSION = 1",
            "# The ceiling's weights, then those of the number of rivals, then those of the ramps of the market's.",
            f"MEAN = {_tuple(mean)}",
            f"SPREAD = {_tuple(spread)}",
            "# Rivals after the same profit: odds of none, else how many, and where the middle of their bids lies.",
            f"NONE = {none / (1 - none):.3f}",
            f"COUNTS = {_tuple(counts)}",
            f"MIDDLES = {_tuple(middles)}",
            "",
        ]
    )


def _mixed(learnt: Floats, cold: Floats) -> Floats:
    found: Floats = _BELIEVED * learnt / learnt.sum() + (1 - _BELIEVED) * cold / cold.sum()
    return found


def _tuple(values: Floats) -> str:
    return "(" + ", ".join(f"{value:.3f}".rstrip("0").removesuffix(".") or "0" for value in values) + ")"


if __name__ == "__main__":
    main()
