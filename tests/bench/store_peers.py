"""The same samples into the hot store, VictoriaMetrics and Prometheus, one after the other in one run.

Each takes them in the way that suits it: the hot store as one batch a second, the two others by remote write (1.0), of
requests that are encoded beforehand and sent four at a time.
"""

import asyncio
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import cramjam
import psutil
import yaml

from controlplane.telemetry.remote_write.protobuf import block, double, number
from controlplane.telemetry.store.hot import HotStore
from controlplane.telemetry.store.model import HOUR, Floats
from controlplane.telemetry.store.settings import Retention
from controlplane.telemetry.store.shelf import FolderShelf
from tests.bench.rows import Row, row
from tests.bench.samples import NAME, SENDERS, SETTINGS, bytes_in, labels_of, measured, moments, write_seconds
from tests.support.monitoring import prometheus
from tests.support.victoria import victoria

SERIES, SECONDS = 20_000, 60
# Of a request to the others: so many series, so many samples of each.
MOST_SERIES, LENGTH = 500, 60
DAY_LENGTH = 600
HEADERS = {
    "Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0", "User-Agent": "solward-bench",
}  # fmt: skip


class Taken(NamedTuple):
    """How a store took samples: how many a second, and the processor time of each in µs."""

    per_s: float
    cpu_us: float


def requests(values: Floats, begin: int, length: int) -> list[bytes]:
    """Encode samples for remote write, in time order; each request holds some seconds of some series."""
    heads = [_labels(n) for n in range(len(values))]
    every = moments(begin, values.shape[1]).tolist()
    bodies = []
    for first in range(0, values.shape[1], length):
        times = [number(2, time_ms) for time_ms in every[first : first + length]]
        rows = values[:, first : first + length].tolist()
        for start in range(0, len(rows), MOST_SERIES):
            part = [
                block(1, heads[start + place] + b"".join(
                    block(2, double(1, value) + moment) for value, moment in zip(line, times, strict=True)
                ))
                for place, line in enumerate(rows[start : start + MOST_SERIES])
            ]  # fmt: skip
            bodies.append(bytes(cramjam.snappy.compress_raw(b"".join(part))))
    return bodies


def _labels(series: int) -> bytes:
    named = {"__name__": NAME, **labels_of(series)}
    return b"".join(
        block(1, block(1, name.encode()) + block(2, value.encode())) for name, value in sorted(named.items())
    )


def send(url: str, bodies: list[bytes], senders: int) -> float:
    """Send requests; give the seconds that took."""

    def one(body: bytes) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/write", body, HEADERS), timeout=120).close()

    began = time.perf_counter()
    with ThreadPoolExecutor(senders) as pool:
        list(pool.map(one, bodies))
    return time.perf_counter() - began


def cpu_of(name: str) -> float:
    """Give the processor time of this machine's newest process of a name, in seconds."""
    running = [one for one in psutil.process_iter(["exe"]) if Path(one.info["exe"] or "").name == name]
    times = max(running, key=lambda one: one.create_time()).cpu_times()
    return times.user + times.system


@asynccontextmanager
async def a_prometheus(folder: Path) -> AsyncIterator[str]:
    """Run one that is written to."""
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": {"scrape_interval": "1h"}}))
    flags = ("--web.enable-remote-write-receiver", "--web.enable-admin-api", "--storage.tsdb.retention.time=10y")
    async with prometheus(folder, config, *flags) as url:
        yield url


async def _ours(folder: Path, values: Floats, hour: int) -> Taken:
    store = HotStore(folder, FolderShelf(folder / "cold"), SETTINGS, Retention(), lambda: hour + 3_599_000)
    used = time.process_time()
    per_s = await write_seconds(store, values, hour)
    taken = Taken(per_s, (time.process_time() - used) / values.size * 1e6)
    await store.close()
    return taken


async def _theirs(url: str, process: str, values: Floats, bodies: list[bytes], senders: int) -> Taken:
    used = cpu_of(process)
    seconds = await asyncio.to_thread(send, url, bodies, senders)
    # What a server still does with them is its own, too.
    await asyncio.sleep(3)
    return Taken(values.size / seconds, (cpu_of(process) - used) / values.size * 1e6)


async def wide() -> list[Row]:
    """Measure the writing of many series."""
    values = measured(SERIES, SECONDS)
    hour = int(time.time()) * 1000 // HOUR * HOUR - HOUR
    bodies = await asyncio.to_thread(requests, values, hour, LENGTH)
    with tempfile.TemporaryDirectory(prefix="solward-bench-") as first, tempfile.TemporaryDirectory() as second:
        ours = await _ours(Path(first), values, hour)
        with victoria() as server:
            beside = await _theirs(server.url, "victoria-metrics", values, bodies, SENDERS)
        async with a_prometheus(Path(second)) as url:
            theirs = await _theirs(url, "prometheus", values, bodies, SENDERS)
    what = (
        f"{SERIES:,} series of {SECONDS} s: ours {ours.per_s:,.0f}/s, durable second by second, {ours.cpu_us:.2f} µs "
        f"of processor each"
    )
    rows = []
    for name, other, samples, cpu in (
        ("victoria", beside, ">= 0.5", "<= 2"),
        ("prometheus", theirs, ">= 0.33", "<= 3"),
    ):
        how = f"{what}; {name} {other.per_s:,.0f}/s and {other.cpu_us:.2f} µs, remote write, {SENDERS} senders"
        rows += [
            row(f"ingest_vs_{name}_samples_ratio", ours.per_s / other.per_s, "x", samples, how),
            row(f"ingest_vs_{name}_cpu_ratio", ours.cpu_us / other.cpu_us, "x", cpu, how),
        ]
    return rows


async def prometheus_bytes(values: Floats, begin: int) -> float:
    """Measure what a sample of a day takes in Prometheus' blocks, with their index."""
    bodies = await asyncio.to_thread(requests, values, begin, DAY_LENGTH)
    with tempfile.TemporaryDirectory(prefix="solward-bench-") as folder:
        async with a_prometheus(Path(folder)) as url:
            await asyncio.to_thread(send, url, bodies, 1)
            await asyncio.to_thread(_post, f"{url}/api/v1/admin/tsdb/snapshot")
            return bytes_in(Path(folder) / "prometheus" / "snapshots") / values.size


def _post(url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(url, b""), timeout=300).close()
