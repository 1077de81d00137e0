"""Native histograms as messages: exponential buckets of schema 3, in runs of those that are not empty."""

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.native_counts import LOWEST, SCHEMA, ZERO_THRESHOLD
from controlplane.telemetry.remote_write.protobuf import block, double, key, number, varint, zigzag

# One empty bucket costs less than the end of a run and the beginning of another.
_GAP = 2
_FIXED = key(4, 0) + zigzag(SCHEMA) + double(5, ZERO_THRESHOLD)


def encode(counts: NDArray[np.uint32], seconds: float, begins: bool) -> bytes:
    """Encode a histogram but for its time.

    Args:
        counts: zeros, then buckets LOWEST + 1 and on.
        seconds: the sum of what was counted.
        begins: it was counted from zero since it was last told of.

    Fields: prometheus/prometheus prompb/types.proto, Histogram; those of protocol 2.0 have the same numbers.
    """
    buckets = counts[1:]
    used = np.flatnonzero(buckets)
    spans: list[bytes] = []
    deltas: list[bytes] = []
    before = after = 0
    for run in np.split(used, np.flatnonzero(np.diff(used) > _GAP) + 1) if len(used) else ():
        first, last = int(run[0]), int(run[-1])
        # The first offset is the bucket's own number; others count from the end of the run before.
        offset = first - after if spans else first + LOWEST + 1
        spans.append(block(11, key(1, 0) + zigzag(offset) + number(2, last - first + 1)))
        after = last + 1
        for count in buckets[first : last + 1].tolist():
            deltas.append(zigzag(count - before))
            before = count
    zeros = int(counts[0])
    return b"".join([
        key(1, 0), varint(int(buckets.sum(dtype=np.int64)) + zeros), double(3, seconds), _FIXED,
        key(6, 0), varint(zeros), *spans, block(12, b"".join(deltas)), number(14, int(begins)),
    ])  # fmt: skip
