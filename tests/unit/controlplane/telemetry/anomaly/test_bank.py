"""The bank: causal, bounded, each series by itself, and what it calls unusual."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from controlplane.telemetry.anomaly.bank import Bank
from controlplane.telemetry.anomaly.plan import MINUTES, SECONDS, Plan

Floats = NDArray[np.float64]
# The plan for seconds with less patience, so that a test is over soon.
SOON = replace(SECONDS, settle=60, warm_up=600, drift=(60, 400))
QUIET_S = 1000


def noise(seconds: int, series: int = 4, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(-4.0, 0.15, (seconds, series))


def run(block: Floats, plan: Plan = SOON) -> Floats:
    bank = Bank(block.shape[1], plan)
    return np.array([bank.update(line, at // 60 % 24) for at, line in enumerate(block)])


@pytest.mark.parametrize("plan", [SOON, MINUTES], ids=["seconds", "minutes"])
@settings(deadline=None, max_examples=8)
@given(cut=st.integers(1, 899), seed=st.integers(0, 2**16))
def test_the_scores_of_a_beginning_are_the_beginning_of_the_scores(plan: Plan, cut: int, seed: int) -> None:
    block = noise(900, seed=seed)
    block[np.random.default_rng(seed).random(block.shape) < 0.02] = np.nan
    block[700:720] += 1.0
    whole = run(block, plan)
    assert whole.max() > 3
    np.testing.assert_array_equal(run(block[:cut], plan), whole[:cut])


@pytest.mark.parametrize("plan", [SOON, MINUTES], ids=["seconds", "minutes"])
def test_a_series_is_judged_by_itself_alone(plan: Plan) -> None:
    block = noise(900)
    block[700:720] += 1.0
    together = run(block, plan)
    for column in range(block.shape[1]):
        np.testing.assert_array_equal(run(block[:, [column]], plan)[:, 0], together[:, column])


def test_missing_samples_are_as_if_that_time_had_not_been() -> None:
    block = noise(900, series=2)
    block[800:840, 0] += 1.0
    gappy = np.full((1200, 2), np.nan)
    kept = np.sort(np.random.default_rng(1).choice(1200, 900, replace=False))
    gappy[kept, 0] = block[:, 0]
    gappy[:900, 1] = block[:, 1]
    scores = run(gappy)
    np.testing.assert_array_equal(scores[kept, 0], run(block)[:, 0])
    assert not scores[np.isnan(gappy)].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_scores_nothing_and_harms_nothing(value: float) -> None:
    block = noise(QUIET_S)
    block[800:810, 1] = value
    scores = run(block)
    assert np.isfinite(scores).all()
    assert not scores[800:810, 1].any()


def test_steady_noise_is_seldom_unusual() -> None:
    scores = run(noise(4000, series=100, seed=3))
    assert (scores > 5).mean() < 1e-3
    assert scores.max() < 8.5


@pytest.mark.parametrize("factor", [2.0, 4.0, 0.5])
def test_a_change_of_level_is_found_within_ten_seconds(factor: float) -> None:
    block = noise(QUIET_S + 20)
    block[QUIET_S:, 2] += np.log(factor)
    scores = run(block)
    assert scores[QUIET_S : QUIET_S + 10, 2].max() > 6
    assert scores[QUIET_S:, [0, 1, 3]].max() < 5


def test_single_outliers_are_no_news() -> None:
    block = noise(QUIET_S + 300)
    block[QUIET_S::100] += 3.0
    assert run(block)[QUIET_S:].max() < 5


def test_a_new_level_becomes_usual() -> None:
    block = noise(QUIET_S + 2400)
    block[QUIET_S:] += 1.0
    scores = run(block)
    assert scores[QUIET_S : QUIET_S + 30].max() > 6
    assert scores[-300:].max() < 5


def test_a_ramp_is_found_before_its_end_and_named() -> None:
    block = noise(QUIET_S + 600)
    block[QUIET_S:, 0] += np.linspace(0.0, np.log(2.0), 600)
    bank = Bank(4, SOON)
    named = set[str]()
    for second, line in enumerate(block[: QUIET_S + 500]):
        if bank.update(line)[0] > 6 and second >= QUIET_S:
            named |= set(bank.reason(0).looks)
    assert "slow drift" in named


def test_scatter_is_found() -> None:
    block = noise(QUIET_S + 180)
    block[QUIET_S:, 0] += noise(180, 1, seed=9)[:, 0] * 3 + 12
    scores = run(block)
    assert scores[QUIET_S : QUIET_S + 60, 0].max() > 6


def test_a_standstill_is_found_within_ten_samples_and_named() -> None:
    block = noise(QUIET_S + 10)
    block[QUIET_S:, 3] = block[QUIET_S, 3]
    bank = Bank(4, SOON)
    scores = np.array([bank.update(line) for line in block])
    assert scores[QUIET_S:, 3].max() > 6
    assert scores[QUIET_S:, :3].max() < 5
    assert bank.reason(3).looks == ("standstill",)


def test_a_series_that_always_stands_still_is_no_news() -> None:
    block = np.zeros((3000, 3))
    block[:, 1] = np.random.default_rng(5).integers(0, 2, 300).repeat(10)
    block[:, 2] = 7.0
    assert run(block).max() < 5


def test_the_reason_gives_value_and_what_was_usual() -> None:
    block = noise(QUIET_S + 9)
    block[QUIET_S:, 1] += 2.0
    bank = Bank(4, SOON)
    scores = np.array([bank.update(line) for line in block])
    reason = bank.reason(1)
    assert reason.surprise == pytest.approx(scores[-1, 1], rel=1e-6)
    assert reason.value == pytest.approx(-2.0, abs=0.3)
    assert reason.usual == pytest.approx(-4.0, abs=0.1)
    assert set(reason.looks) <= set(bank.names)


def test_a_reset_row_is_as_new() -> None:
    block = noise(QUIET_S)
    bank, fresh = Bank(4, SOON), Bank(4, SOON)
    for line in noise(700, seed=8) * 50:
        bank.update(line)
    bank.reset(np.arange(4))
    for line in block:
        np.testing.assert_array_equal(bank.update(line), fresh.update(line))


def test_more_series_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="5 series in a bank for 4"):
        Bank(4).update(np.zeros(5))


@pytest.mark.parametrize("plan", [SECONDS, MINUTES], ids=["seconds", "minutes"])
def test_what_is_held_of_a_series_is_bounded(plan: Plan) -> None:
    bank = Bank(1000, plan)
    before = bank.bytes_per_series
    for line in noise(300, series=1000):
        bank.update(line)
    assert bank.bytes_per_series == before <= 1024
