"""Landings: what became of bundles of late, by host and region."""

import pytest
from solward.jito.v1 import jito_pb2 as pb

from controlplane.mev.landings import HALF_LIFE_S, Landings

LANDED, EXPIRED = pb.BUNDLE_STATE_FINALIZED, pb.BUNDLE_STATE_EXPIRED


def bundle(state: pb.BundleState, region: str = "ny", at_s: int = 1_000, **more: object) -> pb.Bundle:
    made = pb.Bundle(host="hosts/a", region=region, state=state, **more)  # type: ignore[arg-type]
    made.end_time.FromSeconds(at_s)
    return made


def test_what_is_long_ago_counts_less() -> None:
    landings = Landings()
    landings.take(bundle(LANDED), 1_000.0)
    landings.take(bundle(EXPIRED), 1_000.0)
    assert landings.of("hosts/a", "ny", 1_000.0) == (1, 2)
    assert landings.of("hosts/a", "ny", 1_000.0 + HALF_LIFE_S) == (0.5, 1)
    assert landings.of("hosts/a", "slc", 1_000.0) == landings.of("hosts/b", "ny", 1_000.0) == (0, 0)
    # A clock that is set back makes nothing of the past count more.
    assert landings.of("hosts/a", "ny", 0.0) == (1, 2)


@pytest.mark.parametrize("one", [
    bundle(pb.BUNDLE_STATE_UNKNOWN), bundle(pb.BUNDLE_STATE_FAILED), bundle(EXPIRED, reason="SIMULATION_FAILED"),
    bundle(LANDED, canary=True), bundle(LANDED, region=""),
])  # fmt: skip
def test_what_says_nothing_of_a_region_is_not_counted(one: pb.Bundle) -> None:
    landings = Landings()
    landings.take(one, 1_000.0)
    assert landings.of("hosts/a", one.region, 1_000.0) == (0, 0)


def test_what_was_before_is_counted_in_its_order() -> None:
    landings = Landings()
    late, early = bundle(LANDED, at_s=1_000 + round(HALF_LIFE_S)), bundle(EXPIRED, at_s=1_000)
    landings.take_all([late, early])
    assert landings.of("hosts/a", "ny", 1_000.0 + HALF_LIFE_S) == (1, 1.5)
