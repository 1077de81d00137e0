"""When a bundle is sent again: later each time, never what landed or cannot land, never more often than it may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solward.jito.v1 import jito_pb2 as pb

from controlplane.mev.again import (
    FIRST_WAIT_S,
    LIVES_S,
    LONGEST_WAIT_S,
    SILENT_S,
    send_again,
    wait_s,
)
from controlplane.mev.lifecycle import REJECTIONS

BEGAN_MS = 1_700_000_000_000
SENT, ACCEPTED, REJECTED = pb.BUNDLE_STATE_SENT, pb.BUNDLE_STATE_ACCEPTED, pb.BUNDLE_STATE_REJECTED
UNDER_WAY = (pb.BUNDLE_STATE_SENDING, SENT, ACCEPTED, REJECTED)


def bundle(state: pb.BundleState, reason: str = "", sends: int = 1, max_sends: int = 16) -> pb.Bundle:
    made = pb.Bundle(name="bundles/1", state=state, reason=reason, sends=sends, max_sends=max_sends)
    made.create_time.FromMilliseconds(BEGAN_MS)
    return made


@pytest.mark.parametrize("state", [state for state in pb.BundleState.values() if state not in UNDER_WAY])
def test_what_landed_or_has_ended_is_not_sent_again(state: pb.BundleState) -> None:
    assert wait_s(bundle(state), BEGAN_MS) is None


@pytest.mark.parametrize("reason", sorted(set(REJECTIONS.values())))
def test_what_would_be_refused_again_is_not_sent_again(reason: str) -> None:
    lost = reason in ("OUTBID_LOCALLY", "OUTBID_GLOBALLY", "ENGINE_ERROR", "NOT_FORWARDED")
    assert (wait_s(bundle(REJECTED, reason), BEGAN_MS) is not None) is lost


@given(st.sampled_from(UNDER_WAY), st.integers(1, 20), st.integers(0, 16), st.floats(0, 70))
def test_each_wait_is_longer_and_none_outlives_the_blockhash(
    state: pb.BundleState, sends: int, most: int, age_s: float
) -> None:
    wait = wait_s(bundle(state, sends=sends, max_sends=most), BEGAN_MS + round(age_s * 1000))
    first = FIRST_WAIT_S if state == REJECTED else SILENT_S
    usual = min(LONGEST_WAIT_S, first * 2 ** (sends - 1))
    if wait is None:
        assert sends >= most or age_s + usual * 1.25 > LIVES_S - 0.001
    else:
        assert sends < most
        assert usual * 0.75 <= wait <= usual * 1.25
        assert age_s + wait < LIVES_S + 0.001


def test_a_canary_is_its_agents_own() -> None:
    canary = bundle(SENT)
    canary.canary = True
    assert wait_s(canary, BEGAN_MS) is None


def test_what_is_sent_again_keeps_why_it_did_not_land() -> None:
    one = bundle(REJECTED, "OUTBID_LOCALLY")
    send_again(one)
    assert (one.state, one.reason, one.sends) == (pb.BUNDLE_STATE_SENDING, "OUTBID_LOCALLY", 2)
