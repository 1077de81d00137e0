"""Spend: what landed is paid, what nobody knows is in no rate, and overpaying is against what lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solward.jito.v1 import jito_pb2 as pb

from controlplane.mev.spend import spend, wilson


def bundle(state: pb.BundleState, tip: int = 10_000, at_s: float = 100.0, bid: int = 0, **more: str) -> pb.Bundle:
    one = pb.Bundle(
        state=state, tip_lamports=tip, profit_lamports=50_000, fee_lamports=5_000, simulated_bid_lamports=bid,
        reason="OUTBID_LOCALLY" if bid else "", **more,
    )  # fmt: skip
    one.create_time.FromMilliseconds(round(at_s * 1000))
    return one


def test_each_strategy_has_its_sums_and_its_rate() -> None:
    landed, lost, unknown = pb.BUNDLE_STATE_FINALIZED, pb.BUNDLE_STATE_EXPIRED, pb.BUNDLE_STATE_UNKNOWN
    states = [landed] * 3 + [lost] * 5 + [unknown] * 2 + [pb.BUNDLE_STATE_FAILED, pb.BUNDLE_STATE_CHECKED]
    (arb, rest) = spend([bundle(one, strategy="arb") for one in states] + [bundle(landed, 1_000)]).strategies
    assert (arb.strategy, arb.sent, arb.landed, arb.unknown) == ("arb", 10, 3, 2)
    assert arb.landing_rate == 3 / 8
    assert arb.landing_low < 3 / 8 < arb.landing_high
    assert (arb.tipped_lamports, arb.profit_lamports, arb.fee_lamports) == (30_000, 150_000, 15_000)
    assert arb.return_per_lamport == (150_000 - 30_000 - 15_000) / 30_000
    assert (rest.strategy, rest.tipped_lamports) == ("", 1_000)


def test_overpaying_is_what_was_tipped_above_what_lost_beside_it() -> None:
    landed, lost = pb.BUNDLE_STATE_FINALIZED, pb.BUNDLE_STATE_EXPIRED
    found = spend([
        bundle(landed, 10_000, 100.0), bundle(lost, 9_000, 101.0, bid=7_000), bundle(lost, 9_000, 101.5, bid=8_000),
        bundle(landed, 50_000, 200.0), bundle(landed, 5_000, 99.0),
    ]).strategies  # fmt: skip
    # Of the second landing nothing lost beside it, and the third tipped less than what lost.
    assert found[0].overpaid_lamports == 2_000


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
