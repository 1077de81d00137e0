"""The health score of an RPC method, of a host and of the fleet, 0 to 100; each part is told in docs/health.md.

Score = (latency * 0.3 + success * 0.4 + consistency * 0.2 + availability * 0.1) * 100, each part in 0..1. A part that
nothing is known of is NaN, and so is a score that has one: what was not measured is neither healthy nor ill.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WEIGHTS = {"latency": 0.3, "success": 0.4, "consistency": 0.2, "availability": 0.1}
WINDOW_SECONDS = 30
BEFORE_SECONDS = 600
# The ten minutes before count as so many calls, so that one failure of three calls is not a third.
_PRIOR_CALLS = 10.0
# A surprise (-log10 of the chance of a sample) from which on a second counts as wholly inconsistent.
_SURPRISE_MOST = 8.0
# A median over fewer hosts says nothing of the fleet.
_FLEET_LEAST = 3


@dataclass(frozen=True)
class Parts:
    """The four parts, each in 0..1 or NaN, of equal shape."""

    latency: Floats
    success: Floats
    consistency: Floats
    availability: Floats


def score(parts: Parts) -> Floats:
    """Give the score, 0 to 100; NaN where a part is unknown."""
    weighted = sum(weight * getattr(parts, name) for name, weight in WEIGHTS.items())
    return np.asarray(100.0 * weighted)


def latency_part(p50: Floats, p95: Floats, usual_p50: Floats, usual_p95: Floats, fleet_p50: Floats) -> Floats:
    """Give 1 for a method as fast as it is used to and as the fleet is, 1/2 for one twice as slow as both.

    Args:
        p50, p95: latencies of the last 30 s, in any unit; NaN without any.
        usual_p50, usual_p95: the same of the ten minutes before; NaN where unknown.
        fleet_p50: the fleet's median of p50 for the method (`fleet_median`); NaN where there is no fleet.

    Returns: one over the geometric mean of both ratios, neither taken as less than 1; where only one is known, of that
        one; NaN where neither is.
    """
    own = np.sqrt(_ratio(p50, usual_p50) * _ratio(p95, usual_p95))
    fleet = _ratio(p50, fleet_p50)
    own, fleet = np.where(np.isnan(own), fleet, own), np.where(np.isnan(fleet), own, fleet)
    return np.asarray(1.0 / np.sqrt(np.maximum(own, 1.0) * np.maximum(fleet, 1.0)))


def _ratio(value: Floats, usual: Floats) -> Floats:
    known = (usual > 0) & np.isfinite(usual)
    ratio = np.where(known, value / np.where(known, usual, 1.0), np.nan)
    return np.asarray(np.maximum(ratio, 1e-9))


def fleet_median(p50: Floats) -> Floats:
    """Give the median over hosts of each method's p50.

    Args:
        p50: shape (hosts, methods), NaN where a host does not have a method.

    Returns: shape (methods,); NaN for a method that fewer than three hosts have.
    """
    medians = np.full(p50.shape[1], np.nan)
    shared = np.isfinite(p50).sum(axis=0) >= _FLEET_LEAST
    medians[shared] = np.nanmedian(p50[:, shared], axis=0)
    return medians


def success_part(succeeded: Floats, calls: Floats, succeeded_before: Floats, calls_before: Floats) -> Floats:
    """Give the share of calls that succeeded in the last 30 s, drawn a little towards that of the ten minutes before.

    Args:
        succeeded, calls: counts of the last 30 s.
        succeeded_before, calls_before: counts of the ten minutes before.

    Returns: NaN where there was no call in the last 30 s.
    """
    prior = np.where(calls_before > 0, succeeded_before / np.maximum(calls_before, 1.0), np.nan)
    weight = np.where(np.isnan(prior), 0.0, np.minimum(_PRIOR_CALLS, calls_before))
    share = (succeeded + weight * np.nan_to_num(prior)) / np.maximum(calls + weight, 1.0)
    return np.where(calls > 0, np.clip(share, 0.0, 1.0), np.nan)


def consistency_part(surprise: Floats) -> Floats:
    """Give the mean over seconds of one less how surprising each was.

    Args:
        surprise: scores of the anomaly bank over the last 30 s, shape (seconds, ...); NaN where nothing was measured.

    Returns: shape (...); NaN where nothing was measured at all. A second moves it by its share of the window at most.
    """
    present = np.isfinite(surprise)
    calm = 1.0 - np.clip(np.where(present, surprise, 0.0) / _SURPRISE_MOST, 0.0, 1.0)
    seconds = present.sum(axis=0)
    return np.where(seconds > 0, (calm * present).sum(axis=0) / np.maximum(seconds, 1), np.nan)


def availability_part(answered: Floats, asked: Floats) -> Floats:
    """Give the share of probes of the last 30 s that were answered at all, be it with an error; NaN without probes."""
    return np.where(asked > 0, np.clip(answered / np.maximum(asked, 1.0), 0.0, 1.0), np.nan)


def unanswered_is_ill(parts: Parts) -> Parts:
    """Count latency and consistency as 0 where probes were sent and none came back: silence is not speed."""
    silent = parts.availability == 0.0
    return Parts(
        np.where(silent, 0.0, parts.latency),
        np.where(silent, 0.0, parts.success),
        np.where(silent, 0.0, parts.consistency),
        parts.availability,
    )


@dataclass(frozen=True)
class Summary:
    """Many scores as one: the mean of those known, the worst of them, and which share is known."""

    mean: float
    worst: float
    known: float


def summary(scores: Floats) -> Summary:
    """Sum up the methods of a host, or the hosts of the fleet; NaN, and 0 known, where nothing is."""
    known = scores[np.isfinite(scores)]
    if not len(known):
        return Summary(float("nan"), float("nan"), 0.0)
    return Summary(float(known.mean()), float(known.min()), len(known) / scores.size)
