"""What is stored at all: finite values of known series, of a time that the store still takes."""

import numpy as np

from controlplane.telemetry.store.book import SeriesBook
from controlplane.telemetry.store.counts import SAMPLES
from controlplane.telemetry.store.model import Batch
from controlplane.telemetry.store.sketch import GREATEST

# How far ahead of our clock a sample may be.
AHEAD_MS = 600_000


def screen(batch: Batch, book: SeriesBook, oldest_ms: int, now_ms: int) -> Batch:
    """Leave out, and count, what is not stored.

    Args:
        batch: what came.
        book: the series that there are.
        oldest_ms: samples before this are too old.
        now_ms: the time.
    """
    refused = {
        "not_finite": ~np.isfinite(batch.values),
        "out_of_range": np.isfinite(batch.values) & (np.abs(batch.values) > GREATEST),
        "too_old": batch.times < oldest_ms,
        "ahead": batch.times > now_ms + AHEAD_MS,
        "unknown_series": ~book.known(batch.series),
    }
    keep = np.ones(len(batch), dtype=np.bool_)
    for reason, mask in refused.items():
        if count := int((mask & keep).sum()):
            SAMPLES.labels(reason).inc(count)
            keep &= ~mask
    if keep.all():
        return batch
    return Batch(batch.series[keep], batch.times[keep], batch.values[keep])
