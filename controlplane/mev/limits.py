"""What a host's agent would refuse of a bundle, refused before anything is stored or sent; no I/O."""

import grpc
from solward.hosts.v1 import link_pb2

from common.errors import SolwardError


def check_limits(limits: link_pb2.BundleLimits, host: str, tip_lamports: int, region: str) -> None:
    """Hold a bundle against what an agent has told that it sends.

    Args:
        limits: as told when it connected; the agent looks again, at what holds then.
        host: its id.
        tip_lamports: what the bundle tips.
        region: where it is to go; empty: anywhere.

    Raises: SolwardError ENGINE_UNKNOWN, NOT_ON_ALLOWLIST, TIP_OVER_CAP, REGION_UNKNOWN or REGION_NOT_ALLOWED.
    """
    if not limits.known_regions:
        raise _refused("ENGINE_UNKNOWN", f"agent.yaml of {host} has no `jito`, so it knows no block engine")
    if not limits.allowed:
        raise _refused("NOT_ON_ALLOWLIST", f"root of {host} allows no bundles: allowlist.yaml, `bundles`")
    if tip_lamports > limits.max_tip_lamports:
        most = f"root of {host} allows {limits.max_tip_lamports:,}"
        raise _refused("TIP_OVER_CAP", f"it tips {tip_lamports:,} lamports, and {most}: bundles.max_tip_lamports")
    if region and region not in limits.known_regions:
        raise _refused("REGION_UNKNOWN", f"{host} knows {', '.join(limits.known_regions)}: agent.yaml, jito.regions")
    if not limits.regions or (region and region not in limits.regions):
        allowed = ", ".join(limits.regions) or "none of those that it knows"
        raise _refused("REGION_NOT_ALLOWED", f"root of {host} allows {allowed}: allowlist.yaml, bundles.regions")


def _refused(reason: str, why: str) -> SolwardError:
    return SolwardError(grpc.StatusCode.FAILED_PRECONDITION, reason, why)
