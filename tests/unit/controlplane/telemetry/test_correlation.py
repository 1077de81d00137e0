"""Correlation: planted relations are found at their lag; independent series, however they wander, give nothing."""

import numpy as np
import pytest
from numpy.typing import NDArray

from controlplane.telemetry.correlation import LEVEL, correlate

Floats = NDArray[np.float64]
WINDOW_S = 900


def wandering(random: np.random.Generator, keep: float, count: int) -> Floats:
    series = random.standard_t(4, (WINDOW_S + 500, count))
    for second in range(1, len(series)):
        series[second] += keep * series[second - 1]
    return series[500:]


@pytest.mark.parametrize("keep", [0.0, 0.9, 0.995, 1.0])
def test_independent_series_give_findings_no_more_often_than_said(keep: float) -> None:
    random = np.random.default_rng(7)
    looks, level = 40, 0.05
    found = sum(
        bool(correlate(wandering(random, keep, 4), wandering(random, keep, 8), level=level)) for _ in range(looks)
    )
    # Of a binomial of 40 at 0.05, more than 6 come once in 300 times.
    assert found <= 6


@pytest.mark.parametrize("lag", [0, 1, 7, 30])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_planted_relation_is_found_at_its_lag(lag: int, sign: float) -> None:
    random = np.random.default_rng(lag)
    targets, counters = wandering(random, 0.9, 5), wandering(random, 0.9, 10)
    targets[lag:, 2] += sign * 0.6 * counters[: WINDOW_S - lag, 4]
    [finding] = correlate(targets, counters)
    assert (finding.target, finding.counter, finding.lag_s) == (2, 4, lag)
    assert finding.p < LEVEL
    assert np.sign(finding.rho) == sign


def test_the_strongest_comes_first() -> None:
    random = np.random.default_rng(3)
    targets, counters = wandering(random, 0.5, 3), wandering(random, 0.5, 3)
    targets[5:, 0] += 0.5 * counters[:-5, 1]
    targets[9:, 1] += 2.0 * counters[:-9, 2]
    found = correlate(targets, counters)
    assert [(one.target, one.counter, one.lag_s) for one in found] == [(1, 2, 9), (0, 1, 5)]


def test_one_outlier_in_both_is_no_relation() -> None:
    random = np.random.default_rng(5)
    targets, counters = wandering(random, 0.0, 2), wandering(random, 0.0, 2)
    targets[400, 0] = counters[400, 0] = 1e9
    assert not correlate(targets, counters)


def test_some_samples_may_be_missing() -> None:
    random = np.random.default_rng(6)
    targets, counters = wandering(random, 0.5, 2), wandering(random, 0.5, 2)
    targets[3:, 0] += counters[:-3, 1]
    targets[random.random(targets.shape) < 0.03] = np.nan
    [finding] = correlate(targets, counters)
    assert (finding.target, finding.counter, finding.lag_s) == (0, 1, 3)


@pytest.mark.parametrize("column", ["constant", "missing", "seldom"])
def test_a_series_that_says_too_little_is_left_out(column: str) -> None:
    random = np.random.default_rng(8)
    targets = wandering(random, 0.0, 1)
    counters = targets.copy()
    counters[:: 1 if column == "constant" else 2, 0] = 0.0 if column != "missing" else np.nan
    counters[::5, 0] = counters[1, 0] if column == "missing" else 0.0
    assert not correlate(targets, counters)


def test_a_short_or_empty_window_gives_nothing() -> None:
    random = np.random.default_rng(9)
    short = random.normal(size=(200, 1))
    assert not correlate(short, short)
    assert not correlate(np.empty((WINDOW_S, 0)), random.normal(size=(WINDOW_S, 2)))


def test_windows_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="900 seconds of targets, 899 of counters"):
        correlate(np.zeros((900, 1)), np.zeros((899, 1)))
    with pytest.raises(ValueError, match="500 lags"):
        correlate(np.zeros((900, 1)), np.zeros((900, 1)), lags=500)
