"""What an agent would refuse is refused early, by the same reasons."""

import pytest
from solward.hosts.v1 import link_pb2

from common.errors import SolwardError
from controlplane.mev.limits import check_limits


def limits(**changed: object) -> link_pb2.BundleLimits:
    told = {"allowed": True, "max_tip_lamports": 1_000, "regions": ["ny"], "known_regions": ["ny", "slc"]} | changed
    return link_pb2.BundleLimits(**told)  # type: ignore[arg-type]


@pytest.mark.parametrize(("told", "tip", "region", "reason"), [
    (limits(known_regions=[]), 1_000, "", "ENGINE_UNKNOWN"), (limits(allowed=False), 1_000, "", "NOT_ON_ALLOWLIST"),
    (limits(), 1_001, "", "TIP_OVER_CAP"), (limits(), 1_000, "tokyo", "REGION_UNKNOWN"),
    (limits(), 1_000, "slc", "REGION_NOT_ALLOWED"), (limits(regions=[]), 1_000, "", "REGION_NOT_ALLOWED"),
])  # fmt: skip
def test_each_refusal_names_the_host_and_where_to_change_it(
    told: link_pb2.BundleLimits, tip: int, region: str, reason: str
) -> None:
    check_limits(limits(), "sol-1", 1_000, "ny")
    check_limits(limits(), "sol-1", 1_000, "")
    with pytest.raises(SolwardError, match="sol-1") as refused:
        check_limits(told, "sol-1", tip, region)
    assert refused.value.reason == reason
