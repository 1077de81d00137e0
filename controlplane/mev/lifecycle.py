"""What became of a bundle, from what is told of it and from what is on the chain; no I/O.

The chain is the truth. What a block engine tells is provisional: its stream may be silent, late, or of others' bundles,
and a bundle that lost one auction may win the next. A state that is an end is never left.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from solward.jito.v1 import jito_pb2 as pb

from controlplane.store.bundles import ENDED

MOST_EVENTS = 64
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# Blocks past the last valid one until nothing can be on its way any more.
MARGIN_BLOCKS = 8
# Without an answer of any chain for so long, nothing more will be known.
UNKNOWN_S = 900.0
_FORWARDED = (pb.BUNDLE_STATE_ACCEPTED, pb.BUNDLE_STATE_LANDED)

# What a block engine tells, with the reason that it stands for; docs/mev.md.
REJECTIONS = {
    "state_auction_bid_rejected": "OUTBID_LOCALLY",
    "winning_batch_bid_rejected": "OUTBID_GLOBALLY",
    "simulation_failure": "SIMULATION_FAILED",
    "internal_error": "ENGINE_ERROR",
    "dropped_bundle": "NOT_FORWARDED",
    "dropped_blockhash_expired": "BLOCKHASH_EXPIRED",
    "dropped_partially_processed": "PARTIALLY_PROCESSED",
    "dropped_not_finalized": "NOT_FINALIZED",
}


class Status(NamedTuple):
    """How one transaction stands on the chain: the slot it is in, whether it failed, whether that slot is rooted."""

    slot: int
    failed: bool
    finalized: bool


class Seen(NamedTuple):
    """A look at the chain: a status for each transaction, None where it is not there; and the block height.

    `behind`: the node that told the statuses is behind the one that told the height: what it lacks may be there.
    """

    statuses: Sequence[Status | None]
    block_height: int
    behind: bool = False


def is_region(text: str) -> bool:
    """Whether a text may be the name of a region."""
    return bool(_REGION.fullmatch(text))


def told(bundle: pb.Bundle, event: pb.BundleEvent) -> bool:
    """Take in what a block engine tells; says whether the bundle has changed."""
    if event in bundle.events:
        return False
    kept = len(bundle.events) < MOST_EVENTS
    if kept:
        bundle.events.append(event)
    before = bundle.state
    if bundle.state in ENDED:
        return kept
    if event.kind == "accepted" and bundle.state not in _FORWARDED:
        bundle.state = pb.BUNDLE_STATE_ACCEPTED
        _because(bundle, "")
    elif event.kind == "processed":
        bundle.state, bundle.slot = pb.BUNDLE_STATE_LANDED, event.slot
        _because(bundle, "")
    elif event.kind in REJECTIONS and (bundle.state not in _FORWARDED or _dropped(bundle, event)):
        bundle.state = pb.BUNDLE_STATE_REJECTED
        bundle.simulated_bid_lamports = event.bid_lamports or bundle.simulated_bid_lamports
        _because(bundle, REJECTIONS[event.kind], event.message)
    return kept or bundle.state != before


def _dropped(bundle: pb.Bundle, event: pb.BundleEvent) -> bool:
    """Whether a bundle that was forwarded is told not to have come into a block."""
    return bundle.state == pb.BUNDLE_STATE_ACCEPTED and event.kind.startswith("dropped_")


def sent(bundle: pb.Bundle, region: str, tries: int, event: pb.BundleEvent) -> None:
    """Note that a block engine has received it."""
    bundle.region, bundle.tries = region, bundle.tries + tries
    bundle.ack_time.CopyFrom(event.time)
    bundle.events.append(event)
    # Its results may have come before the acknowledgement.
    if bundle.state == pb.BUNDLE_STATE_SENDING:
        bundle.state = pb.BUNDLE_STATE_SENT


def on_chain(bundle: pb.Bundle, seen: Seen) -> bool:
    """Take in a look at the chain; says whether the bundle has changed."""
    if bundle.state in ENDED:
        return False
    before = (bundle.state, bundle.slot)
    there = [status for status in seen.statuses if status]
    over = not seen.behind and seen.block_height > bundle.last_valid_block_height + MARGIN_BLOCKS
    # What is somebody else's may land by itself: that costs nothing, and says nothing of ours.
    places = bundle.own_transactions or range(len(seen.statuses))
    own = [seen.statuses[place] for place in places if seen.statuses[place]]
    if (
        len(there) == len(seen.statuses)
        and not any(one.failed for one in there)
        and len({one.slot for one in there}) == 1
    ):
        bundle.slot = there[0].slot
        final = all(one.finalized for one in there)
        bundle.state = pb.BUNDLE_STATE_FINALIZED if final else pb.BUNDLE_STATE_LANDED
        _because(bundle, "")
    elif own and (over or any(one.finalized for one in own if one)):
        bundle.state, bundle.slot = pb.BUNDLE_STATE_PARTIAL, there[0].slot
        landed = sum(not one.failed for one in there)
        _because(bundle, "PARTIALLY_PROCESSED", f"{landed} of {len(seen.statuses)} transactions landed, not as one")
    elif there and not own and over:
        bundle.state, bundle.slot = pb.BUNDLE_STATE_EXPIRED, 0
        _because(bundle, "LANDED_APART", "what is somebody else's in it landed by itself, and none of ours did")
    elif not there and over:
        bundle.slot = 0
        # What a block engine said of it says why it did not land.
        why = bundle.reason or ("NOT_FINALIZED" if bundle.state == pb.BUNDLE_STATE_LANDED else "BLOCKHASH_EXPIRED")
        bundle.state = pb.BUNDLE_STATE_EXPIRED
        _because(bundle, why, bundle.message or "its blockhash is dead, and none of it is on the chain")
    return before != (bundle.state, bundle.slot)


def given_up(bundle: pb.Bundle, reason: str, message: str, *, received: bool) -> None:
    """End a bundle of which nothing more will be known, or that no block engine took.

    Args:
        received: a block engine may have it.
    """
    bundle.state = pb.BUNDLE_STATE_UNKNOWN if received else pb.BUNDLE_STATE_FAILED
    _because(bundle, reason, message)


def _because(bundle: pb.Bundle, reason: str, message: str = "") -> None:
    bundle.reason, bundle.message = reason, message[:512]
