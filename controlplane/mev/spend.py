"""What was tipped for what: sums and rates by strategy; no I/O."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from solward.jito.v1 import jito_pb2 as pb

# Two-sided 95 %.
_Z = 1.959963984540054
_LANDED = (pb.BUNDLE_STATE_LANDED, pb.BUNDLE_STATE_FINALIZED)
_NOT = (pb.BUNDLE_STATE_EXPIRED, pb.BUNDLE_STATE_REJECTED)
_OUTBID = ("OUTBID_LOCALLY", "OUTBID_GLOBALLY")
# Auctions of one strategy within so many seconds are of one price level.
NEAR_S = 2.0


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


def spend(bundles: Iterable[pb.Bundle]) -> pb.Spend:
    """Sum bundles up by strategy, in the order of what was tipped.

    What is not known to have landed or not is apart, and in no rate.
    """
    found = list(bundles)
    sums: dict[str, _Sums] = defaultdict(_Sums)
    for bundle in found:
        _add(sums[bundle.strategy], bundle)
    for strategy, overpaid in _overpaid(found):
        sums[strategy].overpaid += overpaid
    ordered = sorted(sums.items(), key=lambda item: (-item[1].tipped, item[0]))
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


def _add(sums: _Sums, bundle: pb.Bundle) -> None:
    if bundle.state in (pb.BUNDLE_STATE_CHECKED, pb.BUNDLE_STATE_FAILED):
        return
    sums.sent += 1
    if bundle.state in _LANDED:
        sums.landed += 1
        sums.tipped += bundle.tip_lamports
        sums.profit += bundle.profit_lamports
        sums.fees += bundle.fee_lamports
    elif bundle.state in _NOT:
        sums.lost += 1
    elif bundle.state in (pb.BUNDLE_STATE_UNKNOWN, pb.BUNDLE_STATE_PARTIAL):
        sums.unknown += 1


def _overpaid(bundles: list[pb.Bundle]) -> Iterator[tuple[str, int]]:
    """Give what landed bundles tipped above the greatest bid that lost beside them, where one did.

    Nobody is told the least tip that would have won: it is above that bid, so this is the most that was overpaid.
    """
    lost: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for bundle in bundles:
        if bundle.reason in _OUTBID and bundle.simulated_bid_lamports:
            lost[bundle.strategy].append((_seconds(bundle), bundle.simulated_bid_lamports))
    for bundle in bundles:
        if bundle.state in _LANDED and bundle.strategy in lost:
            now = _seconds(bundle)
            beside = [bid for at, bid in lost[bundle.strategy] if abs(at - now) <= NEAR_S]
            if beside:
                yield bundle.strategy, max(0, bundle.tip_lamports - max(beside))


def _seconds(bundle: pb.Bundle) -> float:
    return bundle.create_time.ToMilliseconds() / 1000


def _row(name: str, one: _Sums) -> pb.StrategySpend:
    known = one.landed + one.lost
    low, high = wilson(one.landed, known)
    earned = one.profit - one.tipped - one.fees
    return pb.StrategySpend(
        strategy=name, sent=one.sent, landed=one.landed, unknown=one.unknown, tipped_lamports=one.tipped,
        landing_rate=one.landed / known if known else 0.0, landing_low=low, landing_high=high,
        profit_lamports=one.profit, fee_lamports=one.fees, overpaid_lamports=one.overpaid,
        return_per_lamport=earned / one.tipped if one.tipped and one.profit else 0.0,
    )  # fmt: skip
