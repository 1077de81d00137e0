"""What is known of an opportunity, as the numbers that the model reads; no I/O."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.mev.tips import LEAST_TIP, SHARES, Floor

Floats = NDArray[np.float64]

# Ramps of the tip's rank among those that landed: over all of them, the upper fifth, the last twentieth.
CROWD_POWERS = np.array([1.0, 4.0, 20.0])
CEILING, CROWD = 9, 3
_USUAL_UNITS = 500_000


@dataclass(frozen=True, slots=True)
class Context:
    """What the model knows of one attempt besides its tip.

    Attributes:
        strategy: its name; the model keeps each apart.
        profit: what it earns if it lands, before tip and fees, in lamports.
        compute_units: that it asks for; 0 where not known.
        transactions: 1 to 5.
        rtt_ms: round trip to the region it is sent in; None where not known. So with the rest.
        left_ms: until the leader's turn is over.
        slots_to_leader: until the next leader that takes bundles.
        same_region: the leader is of the region it is sent in.
        leader_runs_jito: the next leader takes bundles.
        blockhash_age_s: since its blockhash was made.
    """

    strategy: str
    profit: int
    compute_units: int = 0
    transactions: int = 1
    rtt_ms: float | None = None
    left_ms: float | None = None
    slots_to_leader: int | None = None
    same_region: bool | None = None
    leader_runs_jito: bool | None = None
    blockhash_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """The same as numbers.

    Attributes:
        ceiling: what the ceiling depends on.
        crowd: what the number of rivals behind the percentiles depends on.
        logs: logarithms of the least tip and of the percentiles, rising.
        slope: how fast the tail beyond the last thins out, with the logarithm of the tip.
        profit: in lamports.
        ratio: logarithm of what the market pays, the geometric mean of the percentiles, over the profit.
    """

    ceiling: Floats
    crowd: Floats
    logs: Floats
    slope: float
    profit: float
    ratio: float


def known(context: Context, floor: Floor) -> Known:
    """Turn what is known into numbers around 0; what is not known is 0."""
    heat = math.log(max(LEAST_TIP, floor.tips[1]) / max(LEAST_TIP, floor.ema_p50))
    units = context.compute_units or _USUAL_UNITS
    size = math.log(units / _USUAL_UNITS)
    late, close = _slack(context)
    ceiling = np.array(
        [
            1.0,
            *late,
            close,
            -1.0 if context.leader_runs_jito is False else 0.0,
            (context.transactions - 2) / 2,
            min(1.0, (context.slots_to_leader or 0) / 8),
            1.0 if context.same_region is False else 0.0,
            min(2.0, (context.blockhash_age_s or 0.0) / 60),
        ]
    )
    crowd = np.array([1.0, _clip(heat), _clip(size)])
    points = np.log(np.maximum(LEAST_TIP, np.array((LEAST_TIP, *floor.tips), dtype=np.float64)))
    points = np.maximum.accumulate(points) + 1e-6 * np.arange(6)
    slope = math.log(5) / max(0.05, points[5] - points[4])
    ratio = float(points[1:].mean()) - math.log(context.profit)
    return Known(ceiling, crowd, points, slope, float(context.profit), ratio)


def crowd_ramps(tips: Floats, told: Known) -> Floats:
    """Give how much of the market bids above tips: 1 at the least tip, falling; a row for each ramp."""
    logs = np.log(tips)
    rank = np.interp(logs, told.logs, _SHARES)
    rank += 0.01 * (1 - np.exp(-told.slope * np.maximum(0.0, logs - told.logs[5])))
    above: Floats = 1 - rank ** CROWD_POWERS[:, None]
    return above


_SHARES = np.array((0.0, *SHARES))


def _slack(context: Context) -> tuple[tuple[float, float], float]:
    """Say how much time is left once it has arrived: two ramps, and how close it is; 0 where not known."""
    if context.left_ms is None:
        return (0.0, 0.0), 0.0
    slack = context.left_ms - (context.rtt_ms or 0.0) / 2
    return (_ramp(slack, 0, 60) - 1, _ramp(slack, 40, 200) - 1), _ramp(slack, -60, 20) - 1


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _clip(value: float) -> float:
    return min(3.0, max(-3.0, value))
