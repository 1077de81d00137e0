"""The health score: bounded, monotone, silent about what is not known, and where faults put it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from controlplane.telemetry.health import (
    WEIGHTS,
    WINDOW_SECONDS,
    Parts,
    availability_part,
    consistency_part,
    fleet_median,
    latency_part,
    score,
    success_part,
    summary,
    unanswered_is_ill,
)

Floats = NDArray[np.float64]
shares = st.floats(0.0, 1.0)
latencies = st.floats(1e-5, 30.0)
counts = st.integers(0, 600)


def one(value: float) -> Floats:
    return np.array([value])


def latency(p50: float, p95: float, usual: float, usual_p95: float, fleet: float) -> float:
    return float(latency_part(one(p50), one(p95), one(usual), one(usual_p95), one(fleet))[0])


def success(succeeded: float, calls: float, before: float, calls_before: float) -> float:
    return float(success_part(one(succeeded), one(calls), one(before), one(calls_before))[0])


def test_the_weights_are_those_promised() -> None:
    assert WEIGHTS == {"latency": 0.3, "success": 0.4, "consistency": 0.2, "availability": 0.1}


@given(shares, shares, shares, shares)
def test_the_score_is_the_formula_and_stays_in_its_bounds(a: float, b: float, c: float, d: float) -> None:
    [given_score] = score(Parts(one(a), one(b), one(c), one(d)))
    assert given_score == pytest.approx((a * 0.3 + b * 0.4 + c * 0.2 + d * 0.1) * 100)
    assert 0.0 <= given_score <= 100.0 + 1e-9


@given(st.lists(shares, min_size=4, max_size=4), st.integers(0, 3), shares)
def test_a_better_part_is_never_a_worse_score(parts: list[float], at: int, other: float) -> None:
    better = [*parts]
    better[at] = max(parts[at], other)
    assert score(Parts(*map(one, better)))[0] >= score(Parts(*map(one, parts)))[0]


@pytest.mark.parametrize("unknown", ["latency", "success", "consistency", "availability"])
def test_a_score_with_an_unknown_part_is_unknown(unknown: str) -> None:
    parts = {name: one(np.nan if name == unknown else 1.0) for name in WEIGHTS}
    assert np.isnan(score(Parts(**parts))[0])


@given(latencies, latencies, latencies, latencies, latencies, st.floats(1.0, 10.0))
def test_slower_is_never_better(
    p50: float, p95: float, usual: float, usual_p95: float, fleet: float, by: float
) -> None:
    before = latency(p50, p95, usual, usual_p95, fleet)
    assert 0.0 < before <= 1.0
    assert latency(p50 * by, p95 * by, usual, usual_p95, fleet) <= before + 1e-12


def test_latency_is_against_its_own_past_and_the_fleet() -> None:
    assert latency(0.02, 0.05, 0.02, 0.05, 0.02) == 1.0
    assert latency(0.01, 0.02, 0.02, 0.05, 0.02) == 1.0
    assert latency(0.04, 0.10, 0.02, 0.05, 0.02) == pytest.approx(0.5)
    # A network that slows everybody down is half the fault of each host.
    assert latency(0.04, 0.10, 0.02, 0.05, 0.04) == pytest.approx(2**-0.5)
    assert latency(0.04, 0.10, 0.02, 0.05, np.nan) == pytest.approx(0.5)
    assert latency(0.04, 0.10, np.nan, np.nan, 0.02) == pytest.approx(0.5)
    assert np.isnan(latency(0.04, 0.10, np.nan, np.nan, np.nan))
    assert np.isnan(latency(np.nan, np.nan, 0.02, 0.05, 0.02))


def test_a_fleet_is_at_least_three_hosts() -> None:
    p50 = np.array([[1.0, 1.0, np.nan], [2.0, 2.0, np.nan], [9.0, np.nan, np.nan]])
    np.testing.assert_array_equal(fleet_median(p50), [2.0, np.nan, np.nan])


@given(counts, counts, counts, counts)
def test_success_is_a_share_and_more_of_it_is_never_worse(a: int, b: int, c: int, d: int) -> None:
    calls, before = max(a, b), max(c, d)
    share = success(min(a, b), calls, min(c, d), before)
    if not calls:
        assert np.isnan(share)
        return
    assert 0.0 <= share <= 1.0
    if a != b:
        assert success(min(a, b) + 1, calls, min(c, d), before) > share


def test_few_calls_do_not_swing_success() -> None:
    assert success(30, 30, 600, 600) == 1.0
    assert success(2, 3, 600, 600) == pytest.approx(12 / 13)
    assert success(2, 3, 0, 0) == pytest.approx(2 / 3)
    assert success(0, 300, 600, 600) == pytest.approx(10 / 310)


@given(st.lists(st.floats(0.0, 15.0), min_size=2, max_size=WINDOW_SECONDS), st.floats(0.0, 15.0))
def test_one_second_moves_consistency_by_no_more_than_its_share(surprise: list[float], other: float) -> None:
    one_way = consistency_part(np.array(surprise)[:, None])[0]
    changed = consistency_part(np.array([*surprise[1:], other])[:, None])[0]
    assert 0.0 <= one_way <= 1.0
    assert abs(one_way - changed) <= 1 / len(surprise) + 1e-9


def test_seconds_without_a_measure_say_nothing_of_consistency() -> None:
    surprise = np.array([[np.nan, np.nan], [4.0, np.nan], [0.0, np.nan]])
    np.testing.assert_array_equal(consistency_part(surprise), [0.75, np.nan])


def test_availability_is_the_share_of_answers() -> None:
    answered, asked = np.array([30.0, 15.0, 0.0, 0.0]), np.array([30.0, 30.0, 30.0, 0.0])
    np.testing.assert_array_equal(availability_part(answered, asked), [1.0, 0.5, 0.0, np.nan])


def test_silence_is_ill_and_not_unknown() -> None:
    silent = unanswered_is_ill(Parts(one(np.nan), one(0.3), one(np.nan), one(0.0)))
    assert score(silent)[0] == 0.0
    spoken = unanswered_is_ill(Parts(one(np.nan), one(1.0), one(1.0), one(1.0)))
    assert np.isnan(score(spoken)[0])


def test_a_summary_says_how_much_is_known() -> None:
    many = summary(np.array([100.0, 40.0, np.nan, np.nan]))
    assert (many.mean, many.worst, many.known) == (70.0, 40.0, 0.5)
    none = summary(np.full(3, np.nan))
    assert np.isnan(none.mean)
    assert none.known == 0.0


def test_faults_rank_below_health() -> None:
    """Of 200 healthy methods and 200 with a fault, nearly every ill one has a lower score."""
    random = np.random.default_rng(2)

    def scores(slow: float, lost: float, surprise: float) -> Floats:
        wobble = random.lognormal(0.0, 0.1, 200)
        calls, before = np.full(200, 30.0), np.full(200, 600.0)
        succeeded = random.binomial(30, 1 - lost, 200).astype(float)
        usual = np.full(200, 0.02)
        return score(
            Parts(
                latency_part(usual * slow * wobble, 2 * usual * slow * wobble, usual, 2 * usual, usual),
                success_part(succeeded, calls, 0.999 * before, before),
                consistency_part(np.clip(random.normal(surprise, 1.0, (30, 200)), 0, 15)),
                availability_part(calls, calls),
            )
        )

    healthy = scores(1.0, 0.001, 0.0)
    for ill in (scores(2.0, 0.001, 4.0), scores(1.0, 0.2, 2.0), scores(1.3, 0.05, 3.0)):
        assert (healthy[:, None] > ill[None]).mean() > 0.95
