"""Health scores of the RPC methods of hosts, from the live ring; docs/health.md tells of each part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.health import (
    BEFORE_SECONDS,
    WINDOW_SECONDS,
    Parts,
    Summary,
    availability_part,
    consistency_part,
    fleet_median,
    latency_part,
    score,
    success_part,
    summary,
    unanswered_is_ill,
)
from controlplane.telemetry.live import Floats, HostRing
from controlplane.telemetry.rpc_report import ERRORS, REQUESTS
from controlplane.telemetry.sums import LATENCY

# Nothing came back; any other class is an answer, if a bad one.
UNANSWERED = ("timeout", "transport")
# A host's methods beyond these are not scored.
MOST_METHODS = 64


class MethodScore(NamedTuple):
    """The score of a method, 0 to 100, and its parts in 0..1; NaN where it is not known."""

    score: float
    latency: float
    success: float
    consistency: float
    availability: float


@dataclass(frozen=True, slots=True)
class HostScores:
    """The scores of one host's methods.

    Attributes:
        p50: median latency of the last 30 s of each method, in seconds, for the fleet's median.
        whole: all of them as one.
        worst: the method with the lowest score; empty where none is known.
    """

    methods: Mapping[str, MethodScore]
    p50: Mapping[str, float]
    whole: Summary
    worst: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What one host's ring holds of its methods: shapes (seconds, methods), oldest first."""

    names: list[str]
    latency: Floats
    requests: Floats
    errors: Floats
    unanswered: Floats
    surprise: Floats

    @classmethod
    def of(cls, ring: HostRing, surprise: Mapping[str, NDArray[np.float64]]) -> "Counts":
        """Read them.

        Args:
            surprise: of each method's latency, by second of the window, in any order.
        """
        found: dict[str, dict[str, list[int]]] = {}
        kinds = (LATENCY, REQUESTS, ERRORS, "unanswered")
        for (name, labels), column in ring.series:
            if name in kinds:
                named = dict(labels)
                of_method = found.setdefault(named.get("method", ""), {kind: [] for kind in kinds})
                of_method[name].append(column)
                if name == ERRORS and named.get("class") in UNANSWERED:
                    of_method["unanswered"].append(column)
        names = sorted(name for name, columns in found.items() if columns[REQUESTS])[:MOST_METHODS]
        seconds = min(ring.seconds, BEFORE_SECONDS + WINDOW_SECONDS)
        blocks = {
            series: np.stack([_sum(ring, found[name][series], seconds) for name in names], axis=1)
            if names else np.empty((seconds, 0)) for series in kinds
        }  # fmt: skip
        nothing = np.full(WINDOW_SECONDS, np.nan)
        surprises = np.stack([surprise.get(name, nothing) for name in names], axis=1) if names else np.empty((0, 0))
        return cls(names, blocks[LATENCY], blocks[REQUESTS], blocks[ERRORS], blocks["unanswered"], surprises)


def score_host(counts: Counts, fleet: Mapping[str, float]) -> HostScores:
    """Score one host's methods.

    Args:
        counts: what its ring holds.
        fleet: the fleet's median of p50 of each method, seconds; NaN where there is none.
    """
    latest = counts.latency[-WINDOW_SECONDS:]
    p50, p95 = quantile(latest, 0.5), quantile(latest, 0.95)
    before = counts.latency[:-WINDOW_SECONDS]
    asked, failed = _total(counts.requests[-WINDOW_SECONDS:]), _total(counts.errors[-WINDOW_SECONDS:])
    asked_before, failed_before = _total(counts.requests[:-WINDOW_SECONDS]), _total(counts.errors[:-WINDOW_SECONDS])
    answered = _left(asked, _total(counts.unanswered[-WINDOW_SECONDS:]))
    parts = unanswered_is_ill(
        Parts(
            latency_part(
                p50, p95, quantile(before, 0.5), quantile(before, 0.95),
                np.array([fleet.get(name, np.nan) for name in counts.names]),
            ),
            success_part(_left(asked, failed), asked, _left(asked_before, failed_before), asked_before),
            consistency_part(counts.surprise),
            availability_part(answered, asked),
        )
    )  # fmt: skip
    scores = score(parts)
    rows = zip(scores, parts.latency, parts.success, parts.consistency, parts.availability, strict=True)
    methods = {name: MethodScore(*map(float, row)) for name, row in zip(counts.names, rows, strict=True)}
    worst = counts.names[int(np.nanargmin(scores))] if np.isfinite(scores).any() else ""
    return HostScores(methods, dict(zip(counts.names, p50.tolist(), strict=True)), summary(scores), worst)


def fleet_p50(hosts: Mapping[str, HostScores]) -> dict[str, float]:
    """Give the fleet's median of each method's p50, seconds; NaN for one that too few hosts have."""
    names = sorted({name for host in hosts.values() for name in host.p50})
    if not names:
        return {}
    rows = np.array([[host.p50.get(name, np.nan) for name in names] for host in hosts.values()])
    return dict(zip(names, fleet_median(rows).tolist(), strict=True))


def quantile(block: Floats, share: float) -> Floats:
    """Give the value of each column below which a share of its values lies; NaN for a column without any."""
    if not len(block):
        return np.full(block.shape[1], np.nan)
    # NaN is sorted behind every number.
    ordered, count = np.sort(block, axis=0), np.isfinite(block).sum(axis=0)
    place = np.maximum(np.ceil(share * count).astype(np.int64) - 1, 0)
    values: Floats = ordered[place, np.arange(block.shape[1])]
    return values


def _left(asked: Floats, failed: Floats) -> Floats:
    # What an agent counts as failed may be more than it asked.
    return np.asarray(np.maximum(asked - failed, 0.0))


def _total(block: Floats) -> Floats:
    total: Floats = np.nansum(block, axis=0)
    return total


def _sum(ring: HostRing, columns: list[int], seconds: int) -> Floats:
    if not columns:
        return np.full(seconds, np.nan)
    block = ring.window(columns, seconds)
    total: Floats = np.where(np.isnan(block).all(axis=1), np.nan, np.nansum(block, axis=1))
    return total
