"""How much of the attainable value advised tips earn, in made-up markets with known answers; and at what cost.

Regret is what a rule loses on expected value, as a share of what is earned by whoever knows everything but luck.
Settings were tuned on the seeds 101 to 104; the rows are of others.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from controlplane.mev.advisor import Advisor, Outcome
from tests.bench.landing_other import Other
from tests.bench.landing_rules import rules
from tests.bench.landing_world import ATTEMPTS, CONTESTED, DRIFT, FLOOR, Floats, World
from tests.bench.rows import Row, row

SEEDS = (11, 12, 13)
AIMS = {"floor": "<= 0.035", "contested": "<= 0.04", "drift": "<= 0.08", "other_form": "<= 0.12"}
MAKE: dict[str, Callable[[int], World]] = {
    "floor": lambda seed: World(FLOOR, seed),
    "contested": lambda seed: World(CONTESTED, seed),
    "drift": lambda seed: World(DRIFT, seed),
    "other_form": Other,
}


@dataclass
class Played:
    """What came of one market: tips (0: not sent), chances foretold, true ones, whether these were within the interval
    that was told, outcomes, seconds of a processor."""

    tips: Floats
    foretold: Floats
    true: Floats
    within: Floats
    landed: Floats
    took: list[float] = field(default_factory=list)


def play(world: World, advisor: Advisor) -> Played:
    """Ask for a tip, send, learn; one attempt after the other."""
    played = Played(*(np.zeros(world.attempts) for _ in range(5)))
    for at in range(world.attempts):
        opportunity, floor = world.opportunity(at), world.floor(at)
        begin = time.thread_time()
        best = advisor.expected_value(opportunity, floor).best
        played.took.append(time.thread_time() - begin)
        if best is None:
            continue
        true = float(world.landing(np.array([float(best.tip)]), at)[0])
        landed = bool(world.luck[at] < true)
        played.tips[at], played.foretold[at], played.true[at], played.landed[at] = best.tip, best.landing, true, landed
        played.within[at] = best.landing_low <= true <= best.landing_high
        advisor.learn(Outcome(opportunity, floor, best.tip, landed))
    return played


async def run() -> list[Row]:
    """Measure everything, one after the other, in a thread."""
    return await asyncio.to_thread(_rows)


def _rows() -> list[Row]:
    found, everything = [], dict[str, list[Played]]()
    for name, aim in AIMS.items():
        worlds = [MAKE[name](seed) for seed in SEEDS]
        everything[name] = [play(world, Advisor()) for world in worlds]
        found.append(_regret_row(name, aim, worlds, everything[name]))
    own = [one for name in ("floor", "contested", "drift") for one in everything[name]]
    found.append(_calibration("landing_ece", own))
    found.append(_calibration("landing_ece_other_form", everything["other_form"]))
    took = [one for played in everything.values() for run in played for one in run.took]
    how = f"{len(took)} decisions of 64 tips, processor time of the thread; median {np.median(took) * 1000:.2f} ms"
    found.append(row("tip_decision_p99_ms", float(np.quantile(took, 0.99)) * 1000, "ms", "<= 1", how))
    return found


def _regret_row(name: str, aim: str, worlds: list[World], runs: list[Played]) -> Row:
    best = [world.best() for world in worlds]
    won = [world.value(run.tips) for world, run in zip(worlds, runs, strict=True)]
    simple: dict[str, list[float]] = {}
    for world, most in zip(worlds, best, strict=True):
        for rule, tips in rules(world).items():
            simple.setdefault(rule, []).append(_regret(world.value(tips), most))
    each = [_regret(mine, most) for mine, most in zip(won, best, strict=True)]
    first, last = (
        float(np.mean([_regret(mine[part], most[part]) for mine, most in zip(won, best, strict=True)]))
        for part in (slice(0, 1_000), slice(3 * ATTEMPTS // 4, ATTEMPTS))
    )
    beside = ", ".join(f"{rule} {np.mean(values):.3f}" for rule, values in simple.items())
    seeds = ", ".join(f"{seed}: {value:.3f}" for seed, value in zip(SEEDS, each, strict=True))
    how = f"{ATTEMPTS} attempts, mean of seeds ({seeds}), each from the start as shipped; "
    how += f"first 1,000 {first:.3f}, last quarter {last:.3f}; "
    return row(f"regret_{name}", float(np.mean(each)), "", aim, f"{how}beside it: {beside}")


def _regret(won: Floats, most: Floats) -> float:
    return float(1 - won.sum() / most.sum())


def _calibration(name: str, runs: list[Played]) -> Row:
    errors, excess, noise, within = [], [], [], []
    for run in runs:
        sent = run.tips > 0
        foretold, true = run.foretold[sent], run.true[sent]
        errors.append(_ece(foretold, run.landed[sent]))
        noise.append(_ece(true, run.landed[sent]))
        within.append(float(run.within[sent].mean()))
        excess.append(float(np.mean(_divergence(true, foretold))))
    how = f"10 bins of equal count, mean of {len(runs)} runs of {ATTEMPTS}; the true chances themselves score "
    how += f"{np.mean(noise):.4f}; log loss above that of the true chances {np.mean(excess):.4f}; "
    how += f"the true chance is within its interval of 90 % in {np.mean(within):.3f}"
    return row(name, float(np.mean(errors)), "", "<= 0.025", how)


def _ece(foretold: Floats, landed: Floats) -> float:
    order = np.argsort(foretold)
    bins = zip(np.array_split(foretold[order], 10), np.array_split(landed[order], 10), strict=True)
    return sum(abs(float(said.mean() - was.mean())) * len(said) for said, was in bins) / len(foretold)


def _divergence(true: Floats, foretold: Floats) -> Floats:
    true, foretold = np.clip(true, 1e-6, 1 - 1e-6), np.clip(foretold, 1e-6, 1 - 1e-6)
    found: Floats = true * np.log(true / foretold) + (1 - true) * np.log((1 - true) / (1 - foretold))
    return found
