"""Prometheus: how long a page of a thousand hosts takes, and what it costs to write it to receivers."""

import asyncio
import gzip
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from solward.hosts.v1 import link_pb2

from controlplane.telemetry.exposition import render
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.native_counts import NativeCounts
from controlplane.telemetry.prometheus import Whole
from controlplane.telemetry.remote_write.model import Page
from controlplane.telemetry.remote_write.pages import Pages
from tests.bench.rows import Row, row
from tests.peers.remote_write import RemoteWritePeer
from tests.support.monitoring import prometheus
from tests.support.remote_write import Fleet, counted, sent, settings, writing
from tests.support.victoria import victoria

HOSTS, METHODS, STATES = 1000, 20, 60
# Those who are written to are on this machine too.
WRITTEN_HOSTS, WRITTEN_PAGES = 200, 5
TRIES = 5


async def run() -> list[Row]:
    """Measure pages, and writing to a real Prometheus, a real VictoriaMetrics and a receiver of protocol 2.0."""
    fleet = _filled(HOSTS)
    rows = [*await _pages(fleet), *await _made(fleet)]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "prometheus.yml"
        config.write_text("scrape_configs: []\n")
        async with prometheus(Path(folder), config, "--web.enable-remote-write-receiver") as url:
            rows += await _written("prometheus", f"{url}/api/v1/write", "v1")
    with victoria() as server:
        rows += await _written("victoria_metrics", f"{server.url}/api/v1/write", "v1")
    async with _deaf() as url:
        rows += await _written("v2", url, "v2")
    return rows


async def _pages(fleet: Fleet) -> list[Row]:
    reads: list[float] = []
    wholes: dict[str, list[float]] = {"text": [], "openmetrics": [], "gzip": []}
    forms = {"text": (False, False), "openmetrics": (True, False), "gzip": (True, True)}
    sizes: dict[str, bytes] = {}
    await fleet.read()
    for _ in range(TRIES):
        for name, form in forms.items():
            began = time.perf_counter()
            whole = await fleet.read()
            reads.append(time.perf_counter() - began)
            sizes[name] = render(whole, *form)
            wholes[name].append(time.perf_counter() - began)
    text, lines = sizes["text"], sizes["text"].count(b"\n")
    assert gzip.decompress(sizes["gzip"]).endswith(b"# EOF\n")
    return [
        row("scrape_1000_hosts_s", _middle(wholes["text"]), "s", "< 1", f"median of {TRIES}: {HOSTS} hosts of "
            f"{METHODS} methods and {STATES} states, {lines:,} lines, "
            f"{len(text) / 1e6:.0f} MB, a histogram for each host and method"),
        row("scrape_openmetrics_gzip_s", _middle(wholes["gzip"]), "s", "< 1", f"the same as OpenMetrics, gzipped to "
            f"{len(sizes['gzip']) / 1e6:.1f} MB; {_middle(wholes['openmetrics']):.2f} s without gzip"),
        row("scrape_loop_ms", _middle(reads) * 1000, "ms", "<= 100", "of it, how long the loop copies; a thread "
            "writes"),
    ]  # fmt: skip


async def _made(fleet: Fleet) -> list[Row]:
    whole = await fleet.read()
    took, page = _paged(whole)
    size = sum(one.bits.nbytes for one in page.blocks)
    ingest, rows = fleet.ingest, np.arange(HOSTS * METHODS)
    ingest.histograms.native = native = NativeCounts()
    chance = np.random.default_rng(7)
    for number in rows.tolist():
        native.begin(number)
    for _ in range(100):
        native.observe(rows, chance.lognormal(-4, 0.5, len(rows)))
    natively, with_them = _paged(await fleet.read())
    return [
        row("remote_write_page_s", took, "s", "< 1", f"a page of {page.count:,} samples of {HOSTS} hosts, made in a "
            f"thread; it waits in {size / 1e6:.1f} MB"),
        row("remote_write_native_page_s", natively, "s", "< 1", f"the same with {len(with_them.natives):,} native "
            "histograms"),
    ]  # fmt: skip


def _paged(whole: Whole) -> tuple[float, Page]:
    pages = Pages({"cluster": "bench", "job": "solward", "instance": "cp-1"})
    page = pages.page(whole, 1)
    took: list[float] = []
    for number in range(TRIES):
        began = time.perf_counter()
        page = pages.page(whole, number + 2)
        took.append(time.perf_counter() - began)
    return _middle(took), page


async def _written(name: str, url: str, protocol: str) -> list[Row]:
    fleet = _filled(WRITTEN_HOSTS)
    async with writing(fleet, settings({"url": url, "protocol": protocol})) as made:
        # Receivers make series at the first page, which takes them longer than any other.
        await made.write_now()
        await sent(made, 120)
        before, refused = counted("sent"), counted("refused")
        used, began = _cpu_s(), time.perf_counter()
        for _ in range(WRITTEN_PAGES):
            await made.write_now()
            await asyncio.sleep(0.002)
        await sent(made, 120)
        took, cpu = time.perf_counter() - began, _cpu_s() - used
    where = "receiver in the same process" if protocol == "v2" else "receiver on the same machine"
    samples = counted("sent") - before
    assert samples
    assert counted("refused") == refused
    return [
        row(f"remote_write_{name}_samples_per_s", samples / took, "/s", ">= 100000", f"{WRITTEN_PAGES} pages of "
            f"{samples / WRITTEN_PAGES:,.0f} samples, one after the other, {where}"),
        row(f"remote_write_{name}_cpu_us_per_sample", cpu / samples * 1e6, "µs", "<= 5", "of the control plane: a "
            "page is made, encoded, compressed and sent"),
    ]  # fmt: skip


@asynccontextmanager
async def _deaf() -> AsyncIterator[str]:
    """Serve somebody who says that all was written, and reads nothing of it."""
    peer = RemoteWritePeer()
    take: Callable[[str, bytes], tuple[int, int]] = lambda _version, _packed: (10_000, 0)  # noqa: E731
    peer._take = take  # type: ignore[method-assign]
    async with peer.serving() as url:
        yield url


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _filled(hosts: int) -> Fleet:
    names: list[tuple[str, dict[str, str], bool]] = [
        (f"solana_validator_x{number}", {}, False) for number in range(STATES)
    ]
    for number in range(METHODS):
        method = {"method": f"getMethod{number}"}
        names += [
            ("solana_rpc_latency_seconds", method, False), ("solana_rpc_requests", method, True),
            ("solana_rpc_errors", method | {"class": "timeout"}, True),
        ]  # fmt: skip
    definitions = [
        link_pb2.SeriesDefinition(id=place, name=name, labels=labels, counts=counts)
        for place, (name, labels, counts) in enumerate(names)
    ]
    fleet, now_ms = Fleet(), time.time_ns() // 1_000_000
    ingest: Ingest = fleet.ingest
    for number in range(hosts):
        host = f"sol-{number}"
        ingest.open(host, link_pb2.Hello(spool_id="a" * 32))
        values = [0.01 + number * 1e-5 + place * 1e-7 for place in range(len(names))]
        batch = link_pb2.SampleBatch(
            sequence=1, unix_ms=now_ms, definitions=definitions, series=range(len(names)), values=values
        )
        ingest.samples(host, batch)
    return fleet
