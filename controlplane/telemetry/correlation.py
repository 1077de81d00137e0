"""Which counters of a host move with the latency or errors of its RPC methods, and how many seconds before.

Series of a host are autocorrelated, and two that have nothing in common then look alike by chance. So each series is
ranked, made normal, and reduced to what an autoregression of its own past does not foretell; of two such remainders
the correlations at different lags are independent, with a variance of 1/n, when the series are independent (Haugh,
"Checking the Independence of Two Covariance-Stationary Time Series", 1976). Their Spearman correlation is judged by
Fisher's transformation with the variance of Fieller, Hartley and Pearson (1957).

Many pairs at many lags are tried. The best lag of a pair pays for all lags (Bonferroni), and the pairs are chosen by
Benjamini and Yekutieli's procedure (2001), which holds under any dependence between them.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LAGS = 30
# With one look a minute, one look in 2,880 finds what is not there: once in two days.
LEVEL = 1 / 2880
_ORDER = 20
# A series is left out that lacks more than this of its samples, or shows one value for more than this of them.
_MISSING_MOST = 0.1
_SAME_MOST = 0.5
LEAST_SECONDS = 240


@dataclass(frozen=True)
class Finding:
    """A counter that moves with a target.

    `target` and `counter` are columns; `lag_s` is how many samples the counter comes before the target; `rho` is the
    rank correlation of what is new in both; `p` is its chance among independent series, with the lags paid for.
    """

    target: int
    counter: int
    lag_s: int
    rho: float
    p: float


def correlate(targets: Floats, counters: Floats, lags: int = LAGS, level: float = LEVEL) -> list[Finding]:
    """Look for counters that move with targets.

    Args:
        targets: latencies or error counts, shape (seconds, targets), oldest first, NaN where there is no sample.
        counters: kernel and network counters as rates, shape (seconds, counters).
        lags: the greatest lag that is tried, in samples.
        level: the chance of any finding at all when nothing moves with anything.

    Returns: the findings, the least p first.

    Raises: ValueError: the two differ in length, or the lags are too many for it.
    """
    seconds = len(targets)
    if len(counters) != seconds:
        raise ValueError(f"{seconds} seconds of targets, {len(counters)} of counters")
    if not 0 <= lags <= seconds // 4:
        raise ValueError(f"{lags} lags in {seconds} seconds")
    if seconds < LEAST_SECONDS:
        return []
    these, those = _usable(targets), _usable(counters)
    if not len(these) or not len(those):
        return []
    best, rho = _best_lags(_news(targets[:, these]), _news(counters[:, those]), lags)
    found = [
        Finding(int(these[a]), int(those[b]), int(best[a, b]), float(rho[a, b]), p)
        for a in range(len(these))
        for b in range(len(those))
        if (p := _chance(float(rho[a, b]), seconds - int(best[a, b]), lags + 1)) < level
    ]
    return _chosen(found, len(these) * len(those), level)


def _chosen(found: list[Finding], pairs: int, level: float) -> list[Finding]:
    """Choose by Benjamini and Yekutieli's procedure."""
    ordered = sorted(found, key=lambda finding: finding.p)
    dependence = sum(1 / number for number in range(1, pairs + 1))
    held = [n for n, finding in enumerate(ordered, 1) if finding.p <= level * n / (pairs * dependence)]
    return ordered[: max(held, default=0)]


def _usable(block: Floats) -> NDArray[np.int64]:
    present = np.isfinite(block)
    usable = present.mean(axis=0) >= 1 - _MISSING_MOST
    for column in np.flatnonzero(usable):
        counts = np.unique(block[present[:, column], column], return_counts=True)[1]
        usable[column] = counts.max() <= _SAME_MOST * len(block)
    return np.flatnonzero(usable)


def _news(block: Floats) -> Floats:
    """Give what each column's own past does not foretell, as centred ranks."""
    remainder = _remainders(_normal(_ranks(_filled(block))))
    return _ranks(remainder) - (len(block) - 1) / 2


def _filled(block: Floats) -> Floats:
    at = np.arange(len(block))
    filled = block.copy()
    for column in np.flatnonzero(~np.isfinite(block).all(axis=0)):
        present = np.isfinite(block[:, column])
        filled[:, column] = np.interp(at, at[present], block[present, column])
    return filled


def _ranks(block: Floats) -> Floats:
    """Rank each column, from 0; equal values share the mean of their ranks."""
    ranks = np.empty(block.shape)
    for column in range(block.shape[1]):
        _, inverse, counts = np.unique(block[:, column], return_inverse=True, return_counts=True)
        ranks[:, column] = (np.cumsum(counts) - (counts + 1) / 2)[inverse]
    return ranks


def _normal(ranks: Floats) -> Floats:
    """Turn ranks into nearly normal scores: the quantile of a logistic law, which differs little and needs no table."""
    share = (ranks + 0.5) / len(ranks)
    scores = np.log(share / (1 - share))
    return np.asarray(scores - scores.mean(axis=0))


def _remainders(block: Floats) -> Floats:
    """Subtract from each column what an autoregression of order _ORDER foretells, by least squares."""
    past = np.lib.stride_tricks.sliding_window_view(block, _ORDER, axis=0)[:-1].transpose(1, 0, 2)
    now = block[_ORDER:].T[:, :, None]
    turned = past.transpose(0, 2, 1)
    square = turned @ past
    # What has no news of its own, such as a straight line, would have no one solution.
    square += 1e-9 * np.trace(square, axis1=1, axis2=2)[:, None, None] * np.eye(_ORDER)
    foretold: Floats = past @ np.linalg.solve(square, turned @ now)
    remainder = np.zeros_like(block)
    remainder[_ORDER:] = (now - foretold)[:, :, 0].T
    return remainder


def _best_lags(targets: Floats, counters: Floats, lags: int) -> tuple[NDArray[np.int64], Floats]:
    every = np.stack([_correlation(targets[lag:], counters[: len(counters) - lag]) for lag in range(lags + 1)])
    best = np.abs(every).argmax(axis=0)
    return best, np.take_along_axis(every, best[None], axis=0)[0]


def _correlation(targets: Floats, counters: Floats) -> Floats:
    targets, counters = targets - targets.mean(axis=0), counters - counters.mean(axis=0)
    scale = np.sqrt((targets**2).sum(axis=0)[:, None] * (counters**2).sum(axis=0)[None])
    product: Floats = targets.T @ counters
    return product / np.where(scale > 0, scale, np.inf)


def _chance(rho: float, samples: int, lags: int) -> float:
    """Give the two-sided chance that the best of so many lags is so far from 0."""
    deviations = math.atanh(min(abs(rho), 1 - 1e-12)) * math.sqrt((samples - _ORDER - 3) / 1.06)
    return min(1.0, lags * math.erfc(deviations / math.sqrt(2)))
