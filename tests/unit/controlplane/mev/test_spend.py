"""Spend: what landed is paid, what nobody knows is in no rate, and overpaying is against what lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solward.jito.v1 import jito_pb2 as pb

from controlplane.mev.spend import spend, wilson
from controlplane.store.bundles import StrategySum


def of(state: pb.BundleState, count: int, strategy: str = "arb", tip: int = 10_000) -> StrategySum:
    return StrategySum(strategy, state, count, tip * count, 50_000 * count, 5_000 * count)


def test_each_strategy_has_its_sums_and_its_rate() -> None:
    sums = [
        of(pb.BUNDLE_STATE_FINALIZED, 2), of(pb.BUNDLE_STATE_LANDED, 1), of(pb.BUNDLE_STATE_EXPIRED, 4),
        of(pb.BUNDLE_STATE_REJECTED, 1), of(pb.BUNDLE_STATE_UNKNOWN, 1), of(pb.BUNDLE_STATE_PARTIAL, 1),
        of(pb.BUNDLE_STATE_FAILED, 9), of(pb.BUNDLE_STATE_CHECKED, 9), of(pb.BUNDLE_STATE_FINALIZED, 1, "", 1_000),
        of(pb.BUNDLE_STATE_FAILED, 3, "never"),
    ]  # fmt: skip
    (arb, rest) = spend(sums, {"arb": 2_000}).strategies
    assert (arb.strategy, arb.sent, arb.landed, arb.unknown) == ("arb", 10, 3, 2)
    assert (arb.unknown_lamports, rest.unknown_lamports) == (20_000, 0)
    assert arb.landing_rate == 3 / 8
    assert arb.landing_low < 3 / 8 < arb.landing_high
    assert (arb.tipped_lamports, arb.profit_lamports, arb.fee_lamports) == (30_000, 150_000, 15_000)
    assert arb.return_per_lamport == (150_000 - 30_000 - 15_000) / 30_000
    assert (arb.overpaid_lamports, rest.overpaid_lamports) == (2_000, 0)
    assert (rest.strategy, rest.tipped_lamports) == ("", 1_000)


@given(st.integers(0, 200), st.integers(0, 200))
def test_an_interval_holds_its_rate(successes: int, failures: int) -> None:
    tries = successes + failures
    low, high = wilson(successes, tries)
    assert 0.0 <= low <= high <= 1.0
    if tries:
        assert low - 1e-12 <= successes / tries <= high + 1e-12


def test_an_interval_is_the_published_one() -> None:
    # Brown, Cai and DasGupta (2001): 2 of 20.
    assert wilson(2, 20) == pytest.approx((0.0279, 0.3010), abs=5e-4)
