"""What tips are worth: within every bound, and never less than nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.mev.expected_value import Floats, Stake, choose
from controlplane.mev.tips import LEAST_TIP

amounts = st.integers(0, 10**15)
stakes = st.builds(
    Stake, profit=st.integers(1, 10**15), fees=amounts, failure_cost=st.integers(0, 10**9), margin=amounts,
    cap=st.none() | amounts, budget=st.none() | amounts, least_value=amounts,
)  # fmt: skip


def _half_at(middle: float, ceiling: float = 0.9, steep: float = 2.0):  # type: ignore[no-untyped-def]
    def chances(tips: Floats) -> Floats:
        found: Floats = ceiling / (1 + (middle / tips) ** steep)
        return found

    return chances


@settings(max_examples=1_000, deadline=None)
@given(stakes, st.floats(1e3, 1e15))
def test_no_tip_is_above_any_bound_or_worth_less_than_is_asked(stake: Stake, middle: float) -> None:
    choice = choose(stake, _half_at(middle))
    assert choice.reasons
    if choice.tip is None:
        assert choice.value == 0
        return
    assert choice.tip >= LEAST_TIP
    assert choice.tip <= stake.profit - stake.fees - stake.margin
    assert choice.tip <= min(bound for bound in (stake.cap, stake.budget, 10**15) if bound is not None)
    assert choice.value >= max(1, stake.least_value)


def test_the_best_tip_is_found_to_within_a_thousandth_of_its_worth() -> None:
    stake = Stake(profit=3_000_000, fees=15_000)
    chances = _half_at(200_000)
    choice = choose(stake, chances)
    tips = np.arange(LEAST_TIP, stake.break_even, 50, dtype=np.float64)
    best = (chances(tips) * (stake.break_even - tips)).max()
    assert choice.value == pytest.approx(best, rel=1e-3)
    assert "one lamport more costs" in choice.reasons[0]


@pytest.mark.parametrize(
    ("stake", "words"),
    [
        (Stake(10_000_000, cap=5_000), "held by the cap: 5000 lamports"),
        (Stake(10_000_000, budget=5_000), "held by the budget: 5000 lamports"),
        (Stake(10_000_000, cap=900), "not sent: the cap leaves 900 lamports of 1000 at least"),
        (Stake(10_000_000, budget=0), "not sent: the budget leaves 0 lamports"),
        (Stake(10_000, fees=20_000), "not sent: profit less fees and margin leaves 0 lamports"),
        (Stake(10_000_000, margin=9_999_500), "not sent: profit less fees and margin leaves 500 lamports"),
        (Stake(10_000_000, least_value=10**9), "is worth 7"),
        (Stake(1_500, failure_cost=10**6), "not sent: the best tip"),
    ],
)
def test_what_held_is_said(stake: Stake, words: str) -> None:
    assert words in choose(stake, _half_at(400_000)).reasons[0]


def test_where_every_tip_lands_alike_the_least_is_the_best() -> None:
    choice = choose(Stake(1_000_000), lambda tips: np.full(len(tips), 0.5))
    assert choice.tip == LEAST_TIP
    assert choice.value == pytest.approx(0.5 * 999_000)
    assert choice.reasons == ("the least tip, 1000 lamports, is worth the most",)


def test_failing_costs() -> None:
    assert Stake(100_000, fees=5_000, failure_cost=2_000).value(20_000, 0.25) == 0.25 * 75_000 - 0.75 * 2_000
