"""The hot store beside a real VictoriaMetrics, in the same run: writing, size on disk, and a day's questions."""

import asyncio
import json
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from controlplane.telemetry.store.hot import HotStore
from controlplane.telemetry.store.model import DAY, HOUR, Aggregation, Batch, Floats, SampleStore
from controlplane.telemetry.store.settings import Retention
from controlplane.telemetry.store.shelf import FolderShelf
from controlplane.telemetry.store.victoria import VictoriaStore
from tests.bench.rows import Row, row
from tests.bench.samples import NAME, SENDERS, SETTINGS, bytes_in, define, labels_of, measured, moments, write_seconds
from tests.bench.store_peers import prometheus_bytes, wide
from tests.support.victoria import VictoriaServer, victoria

WIDE_SERIES, WIDE_SECONDS = 50_000, 40
DAY_SERIES = 100
ASKED = {"avg": Aggregation("avg"), "p99": Aggregation("quantile", 0.99)}
REPEATS = 5
# A line of VictoriaMetrics' import holds so many samples: what suits it best.
LINE = 1000


def import_lines(server: VictoriaServer, values: Floats, begin: int) -> float:
    """Write in the way that suits VictoriaMetrics best, encoded beforehand; give samples/s."""
    bodies: list[bytes] = []
    every = moments(begin, values.shape[1])
    for first in range(0, values.shape[1], LINE):
        part = values[:, first : first + LINE]
        times = every[first : first + LINE].tolist()
        lines = [
            {
                "metric": {"__name__": NAME, **labels_of(n)},
                "values": one,
                "timestamps": times,
            }
            for n, one in enumerate(part.tolist())
        ]
        bodies += ["\n".join(map(json.dumps, lines[at : at + 100])).encode() for at in range(0, len(lines), 100)]

    def send(body: bytes) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{server.url}/api/v1/import", body), timeout=60).close()

    began = time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(send, bodies))
    return values.size / (time.perf_counter() - began)


async def ask_each(store: SampleStore, begin: int) -> dict[str, float]:
    """Give the median time of each question over a day, ms."""
    found = {}
    for kind, made in ASKED.items():
        times = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            await store.query_range(NAME, [], begin, begin + DAY, 60_000, made)
            times.append(time.perf_counter() - began)
        found[kind] = sorted(times)[REPEATS // 2] * 1000
    return found


async def writing(folder: Path) -> list[Row]:
    """Measure how fast 50,000 series are written, second by second."""
    values = measured(WIDE_SERIES, WIDE_SECONDS)
    now = int(time.time()) * 1000
    hour = now // HOUR * HOUR - HOUR
    clock = [hour + 3_599_000]
    store = HotStore(folder, FolderShelf(folder / "cold"), SETTINGS, Retention(), lambda: clock[0])
    ours = await write_seconds(store, values, hour)
    clock[0] += 600_000
    began = time.perf_counter()
    await store.maintain()
    rolled = values.size / (time.perf_counter() - began)
    await store.close()
    with victoria() as server:
        peer = VictoriaStore(server.url, SETTINGS)
        same = await write_seconds(peer, values, hour)
        await peer.close()
    with victoria() as server:
        best = await asyncio.to_thread(import_lines, server, values, hour)
    how = f"{WIDE_SERIES:,} series, one durable batch a second: {ours:,.0f}/s; VictoriaMetrics' import API"
    return [
        row("store_vs_victoria_samples_ratio", ours / best, "x", ">= 0.5",
            f"{how}, lines of {WIDE_SECONDS} samples encoded beforehand, {SENDERS} senders: {best:,.0f}/s, "
            f"by our client: {same:,.0f}/s"),
        row("store_roll_up_samples_per_s", rolled, "1/s", ">= 300000", "sorted, deduplicated, summed into two tiers"),
    ]  # fmt: skip


async def a_day(folder: Path) -> list[Row]:
    """Measure what a day of 100 series takes on disk, and how long questions over it take."""
    values = measured(DAY_SERIES, DAY // 1000)
    begin = int(time.time() * 1000) // DAY * DAY - DAY
    clock = [begin]
    store = HotStore(folder, FolderShelf(folder / "cold"), SETTINGS, Retention(), lambda: clock[0])
    ids = define(store, DAY_SERIES)
    every = moments(begin, values.shape[1])
    for first in range(0, values.shape[1], 60):
        part = values[:, first : first + 60]
        times = np.repeat(every[first : first + 60], DAY_SERIES)
        clock[0] = begin + (first + 60) * 1000
        await store.append(Batch(np.tile(ids, 60), times, part.T.ravel()))
    clock[0] = begin + DAY + 7 * HOUR
    await store.maintain()
    ours = await ask_each(store, begin)
    sizes = await asyncio.to_thread(_tiers, store)
    await store.close()
    with victoria() as server:
        await asyncio.to_thread(import_lines, server, values, begin)
        server.show()
        peer = VictoriaStore(server.url, SETTINGS)
        theirs = await ask_each(peer, begin)
        await peer.close()
        server.stop()
        peer_bytes = bytes_in(server.folder / "data" / "data") / values.size
    raw = sizes["packed"] / values.size
    day = f"{DAY_SERIES} series for 24 h, 1 s"
    rows = [
        row("store_vs_victoria_bytes_ratio", raw / peer_bytes, "x", "<= 2",
            f"{day}: samples {raw:.2f} bytes each; VictoriaMetrics {peer_bytes:.2f}; our tiers of 10 s "
            f"{sizes['ten'] / values.size:.2f} and 1 min {sizes['minute'] / values.size:.2f} beside them"),
        row("store_cold_bytes_per_minute", bytes_in(folder / "cold") / (values.size / 60), "bytes", "<= 40",
            f"Parquet, {day}: a minute of one series with its sketch"),
    ]  # fmt: skip
    prometheus = await prometheus_bytes(values, begin)
    detail = f"{day}: samples {raw:.2f} bytes each; Prometheus {prometheus:.2f}, in blocks with their index"
    rows.append(row("store_vs_prometheus_bytes_ratio", raw / prometheus, "x", "<= 2", detail))
    for kind in ASKED:
        detail = f"{day}, 1 min steps, {kind}: {ours[kind]:.0f} ms, VictoriaMetrics {theirs[kind]:.0f} ms (cache off)"
        rows.append(row(f"store_day_{kind}_vs_victoria_ratio", ours[kind] / theirs[kind], "x", "<= 1", detail))
    return rows


def _tiers(store: HotStore) -> dict[str, float]:
    """Give the bytes of each kind of table: blocks that it has to itself."""
    sizes = {"packed": 0.0, "ten": 0.0, "minute": 0.0}
    with store._database.work("bench") as cursor:
        cursor.execute("CHECKPOINT")
        block = cursor.execute("SELECT block_size FROM pragma_database_size()").fetchall()[0][0]
        for (table,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            kind = table.split("_")[0]
            if kind in sizes:
                info = f"SELECT count(DISTINCT block_id) FROM pragma_storage_info('{table}') WHERE block_id >= 0"
                sizes[kind] += cursor.execute(info).fetchall()[0][0] * block
    return sizes


async def run() -> list[Row]:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="solward-bench-") as first, tempfile.TemporaryDirectory() as second:
        return await writing(Path(first)) + await wide() + await a_day(Path(second))
