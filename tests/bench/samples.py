"""Samples for the benchmarks of stores: what agents send, and how it gets into one."""

import time
from pathlib import Path

import numpy as np

from controlplane.telemetry.store.model import Batch, Floats, SampleStore
from controlplane.telemetry.store.settings import HotSettings

SETTINGS = HotSettings(reserve_megabytes=100)
NAME = "solana_rpc_latency_seconds"
SENDERS = 4


def measured(series: int, seconds: int) -> Floats:
    """What agents send: latencies to the microsecond, counts, slots, percentages, and much that hardly changes."""
    random = np.random.default_rng(4)
    values = np.empty((series, seconds))
    for number in range(series):
        kind = number % 5
        if kind == 0:
            values[number] = np.round(random.lognormal(-4, 0.3, seconds), 6)
        elif kind == 1:
            values[number] = random.poisson(3, seconds)
        elif kind == 2:
            values[number] = 300_000_000 + np.arange(seconds) * 5 // 2
        elif kind == 3:
            values[number] = np.round(50 + np.cumsum(random.normal(0, 0.1, seconds)), 2)
        else:
            values[number] = 1.0
    return values


def moments(begin: int, seconds: int) -> np.ndarray:
    """When agents take their samples, ms: on the second but for a few milliseconds."""
    return begin + 1000 * np.arange(seconds) + np.random.default_rng(6).integers(0, 4, seconds)


def labels_of(number: int) -> dict[str, str]:
    """Give a series its labels."""
    return {"host": f"h{number // 100}", "method": f"m{number % 100}"}


def define(store: SampleStore, series: int) -> np.ndarray:
    """Give the ids of a hundred series a host."""
    found = [store.book.intern(labels_of(number)["host"], NAME, labels_of(number)) for number in range(series)]
    return np.array(found, dtype=np.int32)


async def write_seconds(store: SampleStore, values: Floats, begin: int) -> float:
    """Write one batch for each second; give samples/s."""
    ids = define(store, len(values))
    columns = np.ascontiguousarray(values.T)
    began = time.perf_counter()
    for moment, column in zip(moments(begin, len(columns)), columns, strict=True):
        await store.append(Batch(ids, np.full(len(ids), moment), column))
    return values.size / (time.perf_counter() - began)


def bytes_in(folder: Path) -> int:
    """Give the size of everything in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
