"""Reports on regions of the block engine, from the live ring."""

import numpy as np
from solward.jito.v1 import jito_pb2 as pb

from common.names import host_name
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.live import HostRing

WINDOW_SECONDS = 300
RTT, UPLINK = "jito_region_rtt_seconds", "jito_region_uplink_seconds"
STREAM, WAIT, ERRORS = "jito_results_stream_up", "jito_limiter_wait_seconds", "jito_region_errors"


def regions(ingest: Ingest, hosts: list[str]) -> list[pb.Region]:
    """Report how hosts reach regions: by host, the nearest first; a region that does not answer is last.

    Args:
        ingest: where the hosts' feeds are.
        hosts: their ids.
    """
    found = []
    for host in hosts:
        if feed := ingest.feeds.get(host):
            mine = [_region(feed.ring, host, name) for name in _names(feed.ring)]
            found += sorted(mine, key=lambda row: (row.rtt_ms if row.HasField("rtt_ms") else np.inf, row.region))
    return found


def _names(ring: HostRing) -> list[str]:
    kinds = (RTT, STREAM, ERRORS)
    return sorted({dict(labels).get("region", "") for (name, labels), _ in ring.series if name in kinds} - {""})


def _region(ring: HostRing, host: str, region: str) -> pb.Region:
    row = pb.Region(host=host_name(host), region=region)
    if len(trips := _values(ring, RTT, region)):
        row.rtt_ms, row.rtt_p99_ms = (float(np.quantile(trips, share)) * 1000 for share in (0.5, 0.99))
    if len(ways := _values(ring, UPLINK, region)):
        row.uplink_ms = float(np.median(ways)) * 1000
    if len(up := _values(ring, STREAM, region)):
        row.stream_up = bool(up[-1] > 0)
    if len(wait := _values(ring, WAIT, region)):
        row.wait_seconds = float(wait[-1])
    for (name, labels), column in ring.series:
        named = dict(labels)
        if name == ERRORS and named.get("region") == region:
            row.errors[named.get("class", "")] = int(np.nansum(ring.window([column], WINDOW_SECONDS)))
    return row


def _values(ring: HostRing, name: str, region: str) -> np.typing.NDArray[np.float64]:
    columns = ring.columns(name, {"region": region})
    if not columns:
        return np.empty(0)
    values = ring.window(columns[:1], min(WINDOW_SECONDS, ring.seconds))[:, 0]
    return values[np.isfinite(values)]
