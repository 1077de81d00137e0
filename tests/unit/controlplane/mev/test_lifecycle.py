"""What became of a bundle: the chain is the truth, the stream is not, and an end is an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solward.jito.v1 import jito_pb2 as pb

from controlplane.mev.lifecycle import (
    MARGIN_BLOCKS,
    MOST_EVENTS,
    REJECTIONS,
    Seen,
    Status,
    given_up,
    on_chain,
    sent,
    told,
)
from controlplane.store.bundles import ENDED

LAST = 1_000
LANDED, ROOTED, FAILED = Status(70, False, False), Status(70, False, True), Status(70, True, True)
OVER = LAST + MARGIN_BLOCKS + 1


def bundle(state: pb.BundleState = pb.BUNDLE_STATE_SENT, transactions: int = 2) -> pb.Bundle:
    names = [f"s{number}" for number in range(transactions)]
    return pb.Bundle(name="bundles/x", state=state, signatures=names, last_valid_block_height=LAST)


def event(kind: str, slot: int = 0, bid: int = 0, message: str = "") -> pb.BundleEvent:
    return pb.BundleEvent(kind=kind, slot=slot, bid_lamports=bid, message=message, region="ny")


@pytest.mark.parametrize(
    ("statuses", "height", "state", "reason"),
    [
        ([LANDED, LANDED], 10, pb.BUNDLE_STATE_LANDED, ""),
        ([ROOTED, LANDED], 10, pb.BUNDLE_STATE_LANDED, ""),
        ([ROOTED, ROOTED], 10, pb.BUNDLE_STATE_FINALIZED, ""),
        ([None, None], LAST, pb.BUNDLE_STATE_SENT, ""),
        ([None, None], LAST + MARGIN_BLOCKS, pb.BUNDLE_STATE_SENT, ""),
        ([None, None], OVER, pb.BUNDLE_STATE_EXPIRED, "BLOCKHASH_EXPIRED"),
        ([LANDED, None], 10, pb.BUNDLE_STATE_SENT, ""),
        ([LANDED, None], OVER, pb.BUNDLE_STATE_PARTIAL, "PARTIALLY_PROCESSED"),
        ([ROOTED, None], 10, pb.BUNDLE_STATE_PARTIAL, "PARTIALLY_PROCESSED"),
        ([FAILED, ROOTED], 10, pb.BUNDLE_STATE_PARTIAL, "PARTIALLY_PROCESSED"),
        ([ROOTED, Status(71, False, True)], 10, pb.BUNDLE_STATE_PARTIAL, "PARTIALLY_PROCESSED"),
    ],
)
def test_the_chain_says_what_became_of_it(
    statuses: list[Status | None], height: int, state: pb.BundleState, reason: str
) -> None:
    one = bundle()
    assert on_chain(one, Seen(statuses, height)) is (state != pb.BUNDLE_STATE_SENT)
    assert (one.state, one.reason) == (state, reason)


@pytest.mark.parametrize(
    ("statuses", "height", "state", "reason"),
    [
        ([ROOTED, None], 10, pb.BUNDLE_STATE_SENT, ""),
        ([FAILED, None], 10, pb.BUNDLE_STATE_SENT, ""),
        ([ROOTED, None], OVER, pb.BUNDLE_STATE_EXPIRED, "LANDED_APART"),
        ([None, ROOTED], 10, pb.BUNDLE_STATE_PARTIAL, "PARTIALLY_PROCESSED"),
        ([ROOTED, ROOTED], 10, pb.BUNDLE_STATE_FINALIZED, ""),
    ],
)
def test_what_is_somebody_elses_may_land_by_itself_and_costs_nothing(
    statuses: list[Status | None], height: int, state: pb.BundleState, reason: str
) -> None:
    one = bundle()
    one.own_transactions.append(1)
    on_chain(one, Seen(statuses, height))
    assert (one.state, one.reason) == (state, reason)


@pytest.mark.parametrize("state", [pb.BUNDLE_STATE_SENT, pb.BUNDLE_STATE_LANDED])
def test_a_node_that_is_behind_ends_nothing_by_what_it_lacks(state: pb.BundleState) -> None:
    one = bundle(state)
    assert not on_chain(one, Seen([None, None], OVER, behind=True))
    assert on_chain(one, Seen([None, None], OVER))
    assert one.state == pb.BUNDLE_STATE_EXPIRED


@pytest.mark.parametrize("kind", ["dropped_bundle", "dropped_not_finalized", "dropped_partially_processed"])
def test_what_was_forwarded_may_be_dropped(kind: str) -> None:
    one = bundle(pb.BUNDLE_STATE_ACCEPTED)
    assert told(one, event(kind))
    assert (one.state, one.reason) == (pb.BUNDLE_STATE_REJECTED, REJECTIONS[kind])
    landed = bundle(pb.BUNDLE_STATE_LANDED)
    told(landed, event(kind))
    assert landed.state == pb.BUNDLE_STATE_LANDED


def test_what_is_told_counts_when_no_more_is_kept() -> None:
    one = bundle()
    for number in range(MOST_EVENTS):
        told(one, event("state_auction_bid_rejected", bid=number))
    assert told(one, event("accepted"))
    assert (one.state, len(one.events)) == (pb.BUNDLE_STATE_ACCEPTED, MOST_EVENTS)


def test_a_rejection_is_provisional_and_explains_an_end_without_a_landing() -> None:
    one = bundle()
    assert told(one, event("state_auction_bid_rejected", bid=7_000, message="bid"))
    assert (one.state, one.reason, one.simulated_bid_lamports) == (pb.BUNDLE_STATE_REJECTED, "OUTBID_LOCALLY", 7_000)
    assert told(one, event("accepted", slot=69))
    assert (one.state, one.reason) == (pb.BUNDLE_STATE_ACCEPTED, "")
    # Of several forwards one may be told late; it does not undo what is better.
    assert told(one, event("winning_batch_bid_rejected"))
    assert one.state == pb.BUNDLE_STATE_ACCEPTED
    lost = bundle()
    told(lost, event("simulation_failure", message="insufficient funds"))
    on_chain(lost, Seen([None, None], OVER))
    assert (lost.state, lost.reason, lost.message) == (
        pb.BUNDLE_STATE_EXPIRED, "SIMULATION_FAILED", "insufficient funds",
    )  # fmt: skip


def test_a_landing_that_only_the_stream_told_is_taken_back_by_the_chain() -> None:
    one = bundle()
    told(one, event("processed", slot=70))
    assert (one.state, one.slot) == (pb.BUNDLE_STATE_LANDED, 70)
    assert on_chain(one, Seen([None, None], OVER))
    assert (one.state, one.slot, one.reason) == (pb.BUNDLE_STATE_EXPIRED, 0, "NOT_FINALIZED")


def test_results_may_come_before_the_acknowledgement() -> None:
    one = bundle(pb.BUNDLE_STATE_SENDING)
    told(one, event("accepted", slot=69))
    sent(one, "ny", 2, event("sent"))
    assert (one.state, one.region, one.tries) == (pb.BUNDLE_STATE_ACCEPTED, "ny", 2)
    other = bundle(pb.BUNDLE_STATE_SENDING)
    sent(other, "ny", 1, event("sent"))
    assert other.state == pb.BUNDLE_STATE_SENT


def test_what_nobody_knows_is_unknown_and_what_nobody_took_has_failed() -> None:
    one, other = bundle(), bundle()
    given_up(one, "CHAIN_UNREACHABLE", "no answer", received=True)
    given_up(other, "RATE_LIMITED", "no answer", received=False)
    assert (one.state, other.state) == (pb.BUNDLE_STATE_UNKNOWN, pb.BUNDLE_STATE_FAILED)


KINDS = ["sent", "accepted", "processed", "finalized", "nonsense", *REJECTIONS]
EVENTS = st.builds(event, st.sampled_from(KINDS), st.integers(0, 3), st.integers(0, 3))
LOOKS = st.builds(
    Seen,
    st.lists(st.sampled_from([None, LANDED, ROOTED, FAILED, Status(71, False, True)]), min_size=2, max_size=2),
    st.integers(0, OVER + 2),
)


@given(st.lists(EVENTS | LOOKS, max_size=100))
def test_whatever_comes_in_whatever_order_an_end_is_never_left(happened: list[pb.BundleEvent | Seen]) -> None:
    one = bundle()
    ended = pb.BUNDLE_STATE_UNSPECIFIED
    for what in happened:
        if isinstance(what, Seen):
            on_chain(one, what)
        else:
            told(one, what)
        assert ended in (pb.BUNDLE_STATE_UNSPECIFIED, one.state)
        if one.state in ENDED:
            ended = one.state
    assert len(one.events) <= MOST_EVENTS
    kept = [known.SerializeToString() for known in one.events]
    assert len(kept) == len(set(kept))


@given(st.lists(EVENTS | LOOKS, max_size=40), st.sampled_from([ROOTED]))
def test_only_the_chain_ends_it_and_a_whole_rooted_bundle_is_final(
    happened: list[pb.BundleEvent | Seen], rooted: Status
) -> None:
    one = bundle()
    for what in happened:
        if isinstance(what, pb.BundleEvent):
            told(one, what)
    assert one.state not in ENDED
    on_chain(one, Seen([rooted, rooted], 5))
    assert (one.state, one.slot) == (pb.BUNDLE_STATE_FINALIZED, 70)
