"""A quantile sketch: counts of values in buckets whose bounds grow by a fixed ratio, so that sketches add up.

Source: C. Masson, J. Rim, H. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
guarantees" (VLDB 2019), with a fixed range in place of collapsing buckets: at most 2 x 3,109 + 1 of them.
"""

import math

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.store.model import Floats, Ints

# A quantile is off by no more than this share of the value at its rank.
RELATIVE_ERROR = 0.01
# Values nearer to zero count as zero.
SMALLEST = 1e-9
# Greater ones are not stored at all.
GREATEST = 1e18
# All buckets lie within half of it of zero.
BUCKET_SPAN = 8192

_RATIO = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_RATIO = math.log(_RATIO)


def buckets(values: Floats) -> NDArray[np.int16]:
    """Give each value's bucket: 0 for zero, n for values in (SMALLEST * ratio ** (n - 1), SMALLEST * ratio ** n]."""
    sizes = np.maximum(np.abs(values) / SMALLEST, 1.0)
    return (np.sign(values) * np.ceil(np.log(sizes) / _LOG_RATIO)).astype(np.int16)


def bucket_sql(value: str) -> str:
    """Say `buckets` in SQL, of a column."""
    return f"(sign({value}) * ceil(ln(greatest(abs({value}) / {SMALLEST!r}, 1.0)) / {_LOG_RATIO!r}))::SMALLINT"


def middles(bucket: NDArray[np.int16]) -> Floats:
    """Give the value of each bucket that is off by RELATIVE_ERROR at the most."""
    numbers = bucket.astype(np.float64)
    found: Floats = np.sign(numbers) * SMALLEST * 2 / (_RATIO + 1) * _RATIO ** np.abs(numbers)
    return found


def quantiles(groups: Ints, bucket: NDArray[np.int16], counts: Ints, share: float) -> Floats:
    """Give the quantile of each group: the value of rank floor(share * (count - 1)).

    Args:
        groups: whose each entry is, in order; every number from the first to the last group starts a run.
        bucket: rising within a group.
        counts: how many values lie in the bucket.
        share: 0 to 1.

    Returns: one value for each run of `groups`.
    """
    if not len(groups):
        return np.empty(0)
    firsts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    totals = np.add.reduceat(counts, firsts)
    upto = np.cumsum(counts)
    ranks = np.floor(share * (totals - 1)).astype(np.int64)
    # The entry whose cumulative count first exceeds the rank, counted over all groups in one row.
    before = upto[firsts] - counts[firsts]
    return middles(bucket[np.searchsorted(upto, before + ranks, side="right")])
