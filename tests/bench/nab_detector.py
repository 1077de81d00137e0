"""The product's bank, run over the Numenta Anomaly Benchmark's files side by side, point after point."""

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.anomaly.bank import Bank
from controlplane.telemetry.anomaly.plan import MINUTES
from tests.bench.nab import Series

Floats = NDArray[np.float64]
# A score is kept when it beats those of so many points before: one anomaly is told once.
RECORD = 60


def detect(corpus: list[Series]) -> dict[str, Floats]:
    """Score every file; a point's score depends on what came before it in its own file, and on nothing else."""
    longest = max(len(series.values) for series in corpus)
    values = np.full((longest, len(corpus)), np.nan)
    hours = np.zeros((longest, len(corpus)), dtype=np.int64)
    for column, series in enumerate(corpus):
        values[: len(series.values), column] = series.values
        hours[: len(series.values), column] = [time.hour for time in series.times]
    bank = Bank(len(corpus), MINUTES)
    scores = records(np.array([bank.update(line, hour) for line, hour in zip(values, hours, strict=True)]))
    return {series.name: scores[: len(series.values), column] for column, series in enumerate(corpus)}


def records(scores: Floats) -> Floats:
    """Keep of each column what is greater than the RECORD scores before it; 0 for the rest."""
    before = np.zeros((RECORD, scores.shape[1]))
    kept = np.zeros(scores.shape)
    for at, line in enumerate(scores):
        kept[at] = np.where(line > before.max(axis=0), line, 0.0)
        before[at % RECORD] = line
    return kept
