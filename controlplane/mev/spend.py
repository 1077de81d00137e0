"""What was tipped for what: sums and rates by strategy; no I/O."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from solward.jito.v1 import jito_pb2 as pb

from controlplane.store.bundles import LANDED, StrategySum

# Two-sided 95 %.
_Z = 1.959963984540054
_NOT = (pb.BUNDLE_STATE_EXPIRED, pb.BUNDLE_STATE_REJECTED)
# Auctions of one strategy within so long are of one price level.
NEAR_MS = 2_000


@dataclass(slots=True)
class _Sums:
    sent: int = 0
    landed: int = 0
    lost: int = 0
    unknown: int = 0
    tipped: int = 0
    profit: int = 0
    fees: int = 0
    overpaid: int = 0
    maybe: int = 0


def spend(sums: Iterable[StrategySum], overpaid: Mapping[str, int]) -> pb.Spend:
    """Tell what was tipped for what, by strategy, in the order of what was tipped.

    What is not known to have landed or not is apart, and in no rate.

    Args:
        sums: as the store has them.
        overpaid: lamports by strategy, tipped above the greatest bid that lost beside.
    """
    found: dict[str, _Sums] = defaultdict(_Sums)
    for one in sums:
        _add(found[one.strategy], one)
    for strategy, lamports in overpaid.items():
        found[strategy].overpaid = lamports
    ordered = sorted(found.items(), key=lambda item: (-item[1].tipped, item[0]))
    return pb.Spend(strategies=[_row(name, one) for name, one in ordered if one.sent])


def wilson(successes: int, tries: int) -> tuple[float, float]:
    """Give the interval of 95 % of a rate (Wilson, 1927); everything where nothing was tried."""
    if not tries:
        return 0.0, 1.0
    share, square = successes / tries, _Z * _Z
    middle = share + square / (2 * tries)
    half = _Z * math.sqrt(share * (1 - share) / tries + square / (4 * tries * tries))
    scale = 1 + square / tries
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _add(sums: _Sums, one: StrategySum) -> None:
    if one.state in (pb.BUNDLE_STATE_CHECKED, pb.BUNDLE_STATE_FAILED):
        return
    sums.sent += one.bundles
    if one.state in LANDED:
        sums.landed += one.bundles
        sums.tipped += one.tips
        sums.profit += one.profit
        sums.fees += one.fees
    elif one.state in _NOT:
        sums.lost += one.bundles
    elif one.state in (pb.BUNDLE_STATE_UNKNOWN, pb.BUNDLE_STATE_PARTIAL):
        sums.unknown += one.bundles
        sums.maybe += one.tips


def _row(name: str, one: _Sums) -> pb.StrategySpend:
    known = one.landed + one.lost
    low, high = wilson(one.landed, known)
    earned = one.profit - one.tipped - one.fees
    return pb.StrategySpend(
        strategy=name, sent=one.sent, landed=one.landed, unknown=one.unknown, tipped_lamports=one.tipped,
        landing_rate=one.landed / known if known else 0.0, landing_low=low, landing_high=high,
        profit_lamports=one.profit, fee_lamports=one.fees, overpaid_lamports=one.overpaid,
        unknown_lamports=one.maybe, return_per_lamport=earned / one.tipped if one.tipped and one.profit else 0.0,
    )  # fmt: skip
