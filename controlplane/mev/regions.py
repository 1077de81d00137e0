"""Reports on regions of the block engine, from the live ring."""

import numpy as np
from solward.jito.v1 import jito_pb2 as pb

from common.names import host_name
from controlplane.mev.choice import TURN_SLOTS, Choice, Standing, rank
from controlplane.mev.landings import Landings
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.live import HostRing

WINDOW_SECONDS = 300
RTT, UPLINK = "jito_region_rtt_seconds", "jito_region_uplink_seconds"
LEFT_ALONE, LEADER = "jito_region_left_alone", "jito_region_leader_slots"
LISTED, UNKNOWN = "jito_region_listed", "jito_region_unknown"
# An agent says each second which regions it does not know; silence means that it knows them now.
LISTED_SECONDS = 10
# What was told of the next leader is believed for so long: it is asked for every two seconds.
LEADER_SECONDS = 5
SLOTS_A_SECOND = 2.5
MOST_REGIONS = 64
# What an agent told that has not been heard for so long says nothing of how it reaches regions.
DEAF_SECONDS = 20
STREAM, WAIT, ERRORS = "jito_results_stream_up", "jito_limiter_wait_seconds", "jito_region_errors"


def regions(ingest: Ingest, hosts: list[str], landings: Landings, unix_s: float) -> list[pb.Region]:
    """Report how hosts reach regions: by host, in the order in which they would be tried now.

    Args:
        ingest: where the hosts' feeds are.
        hosts: their ids.
        landings: what became of bundles of late.
        unix_s: now.
    """
    found = []
    for host in hosts:
        if (feed := ingest.feeds.get(host)) and _deaf(feed.ring, unix_s):
            found += [_silent(host, name) for name in _names(feed.ring)]
        elif feed:
            rows = {name: _region(feed.ring, host, name) for name in _names(feed.ring)}
            for place, choice in enumerate(_ranked(feed.ring, rows, landings, unix_s), 1):
                row = rows[choice.region]
                row.rank, row.worth = place, choice.worth
                row.reasons.extend(choice.reasons)
                if row.HasField("listed") and not row.listed:
                    row.reasons.append("the block engine does not list it")
                found.append(row)
            found += [_unknown(host, name) for name in _listed_besides(feed.ring)]
    return found


def choices(ingest: Ingest, host: str, landings: Landings, unix_s: float) -> list[Choice]:
    """Put a host's regions in order, the best first; none where its agent tells of none now. `host` is its id."""
    feed = ingest.feeds.get(host)
    if feed is None or _deaf(feed.ring, unix_s):
        return []
    rows = {name: _region(feed.ring, host, name) for name in _names(feed.ring)}
    return _ranked(feed.ring, rows, landings, unix_s)


def _deaf(ring: HostRing, unix_s: float) -> bool:
    return unix_s - ring.received_ms / 1000 > DEAF_SECONDS


def _silent(host: str, region: str) -> pb.Region:
    return pb.Region(host=host_name(host), region=region, reasons=["its agent tells nothing"])


def _ranked(ring: HostRing, rows: dict[str, pb.Region], landings: Landings, unix_s: float) -> list[Choice]:
    slots = {name: _leader_slots(ring, name) for name in rows}
    next_in = min((left for left in slots.values() if left is not None), default=None)
    standings = []
    for name, row in rows.items():
        landed = landings.of(row.host, name, unix_s)
        here = None if next_in is None else slots[name] == next_in
        if here is not None:
            row.leader_here = here
        standings.append(
            Standing(
                name, row.rtt_ms if row.HasField("rtt_ms") else None, row.wait_seconds, row.left_alone, here,
                next_in, landed.landed, landed.known,
            )
        )  # fmt: skip
    return rank(standings)


def _leader_slots(ring: HostRing, region: str) -> int | None:
    """Give in how many slots a region's next leader has its turn, below 0 while it has; None where nobody has told."""
    columns = ring.columns(LEADER, {"region": region})
    if not columns:
        return None
    values = ring.window(columns[:1], min(LEADER_SECONDS, ring.seconds))[:, 0]
    told = np.flatnonzero(np.isfinite(values))
    if not len(told):
        return None
    left = round(float(values[told[-1]]) - (len(values) - 1 - told[-1]) * SLOTS_A_SECOND)
    return left if left > -TURN_SLOTS else None


def _names(ring: HostRing) -> list[str]:
    kinds = (RTT, STREAM, ERRORS)
    named = {dict(labels).get("region", "") for (name, labels), _ in ring.series if name in kinds} - {""}
    # The block engine has a dozen; an agent that tells of thousands does not keep everybody waiting.
    return sorted(named)[:MOST_REGIONS]


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
    if len(alone := _values(ring, LEFT_ALONE, region)):
        row.left_alone = bool(alone[-1] > 0)
    if len(listed := _values(ring, LISTED, region)):
        row.listed = bool(listed[-1] > 0)
    for labels, column in ring.named(ERRORS):
        if labels.get("region") == region:
            row.errors[labels.get("class", "")] = int(np.nansum(ring.window([column], WINDOW_SECONDS)))
    return row


def _listed_besides(ring: HostRing) -> list[str]:
    names = sorted({dict(labels).get("region", "") for (name, labels), _ in ring.series if name == UNKNOWN} - {""})
    return [name for name in names[:MOST_REGIONS] if len(_values(ring, UNKNOWN, name, LISTED_SECONDS))]


def _unknown(host: str, region: str) -> pb.Region:
    why = "the block engine lists it, and jito.regions of the agent does not: it is never used"
    return pb.Region(host=host_name(host), region=region, unknown=True, listed=True, reasons=[why])


def _values(ring: HostRing, name: str, region: str, seconds: int = WINDOW_SECONDS) -> np.typing.NDArray[np.float64]:
    columns = ring.columns(name, {"region": region})
    if not columns:
        return np.empty(0)
    values = ring.window(columns[:1], min(seconds, ring.seconds))[:, 0]
    return values[np.isfinite(values)]
