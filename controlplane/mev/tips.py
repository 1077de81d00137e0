"""Tips that landed, as the block engine tells them: read, ranked and compared; no I/O.

The figures are percentiles of tips that landed, over every market there is: a median tip is not one that lands every
second time. Wire: Jito's documentation of low-latency transaction sending (tip_floor).
"""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

LAMPORTS = 1_000_000_000
LEAST_TIP = 1_000
# A tip of more than this is a mistake of whoever tells it.
MOST_LAMPORTS = 10**15
STALE_S = 30.0
SHARES = (0.25, 0.50, 0.75, 0.95, 0.99)
_NAMES = ("25th", "50th", "75th", "95th", "99th")
_LIMIT = 65_536


class Floor(NamedTuple):
    """Percentiles of tips that landed, in lamports, never falling; and the moving average of their median.

    Attributes:
        unix_s: when the block engine made them.
        tips: at the shares of SHARES.
    """

    unix_s: float
    tips: tuple[int, int, int, int, int]
    ema_p50: int


def read_floor(text: str | bytes) -> Floor:
    """Read an answer of tip_floor or a message of tip_stream: an array of one object, in SOL.

    Raises: ValueError, which names the field.
    """
    if len(text) > _LIMIT:
        raise ValueError(f"more than {_LIMIT} bytes")
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("no JSON") from None
    if not isinstance(read, list) or len(read) != 1 or not isinstance(read[0], dict):
        raise ValueError("not an array of one object")
    told = read[0]
    tips = [_lamports(told, f"landed_tips_{name}_percentile") for name in _NAMES]
    # Rounded ones of a quiet minute may cross by a lamport.
    rising = [max(tips[: place + 1]) for place in range(len(tips))]
    ema = _lamports(told, "ema_landed_tips_50th_percentile")
    return Floor(_time(told), (rising[0], rising[1], rising[2], rising[3], rising[4]), ema)


def _lamports(told: dict[str, Any], name: str) -> int:
    value = told.get(name)
    try:
        # Numbers come as numbers or as text, with an exponent or without.
        sol = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        sol = math.nan
    if not 0 <= sol * LAMPORTS <= MOST_LAMPORTS:
        raise ValueError(f"{name}: no amount of SOL")
    return round(sol * LAMPORTS)


def _time(told: dict[str, Any]) -> float:
    text = told.get("time")
    try:
        # "2026-10-24T12:27:34+00:00", or with a Z, with fractions or without.
        when = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        when = None
    if when is None:
        raise ValueError("time: no date as in ISO 8601")
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def quantile(floor: Floor, share: float) -> float:
    """Give the tip below which a share of those that landed lie, in lamports.

    Linear in the logarithm of the tip between the percentiles that are known, and beyond the last along the line of the
    last two of them over the logarithm of what is left: the upper tail of tips is heavy, and a normal law does not fit.

    Args:
        share: 0 to less than 1.
    """
    logs = [math.log(max(LEAST_TIP, tip)) for tip in floor.tips]
    if share <= SHARES[0]:
        return math.exp(_between(share, 0.0, SHARES[0], math.log(LEAST_TIP), logs[0]))
    for place in range(1, len(SHARES)):
        if share <= SHARES[place]:
            return math.exp(_between(share, SHARES[place - 1], SHARES[place], logs[place - 1], logs[place]))
    far, near = math.log(1 - SHARES[-1]), math.log(1 - SHARES[-2])
    return math.exp(_between(math.log(max(1 - share, 1e-9)), near, far, logs[-2], logs[-1]))


def rank(floor: Floor, tip: float) -> float:
    """Give the share of tips that landed which lie below a tip: what `quantile` turns round."""
    low, high = 0.0, 1.0 - 1e-9
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if quantile(floor, middle) < tip else (low, middle)
    return high


def _between(at: float, left: float, right: float, low: float, high: float) -> float:
    return low + (high - low) * (at - left) / (right - left) if right != left else high


def congestion(history: Sequence[Floor]) -> float:
    """Say how far the newest median is above what is usual: 1 is usual, 2 twice so much; 1 where nothing is known.

    Args:
        history: oldest first; usual is the median of their medians.
    """
    if len(history) < 2:
        return 1.0
    medians = sorted(max(LEAST_TIP, floor.tips[1]) for floor in history)
    return max(LEAST_TIP, history[-1].tips[1]) / medians[len(medians) // 2]
