"""Ingest: 200 agents with 300 series each at 1 Hz over mTLS into the live ring; and a burst."""

import asyncio
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.bench.rows import Row, row
from tests.bench.setup import HIGH_LIMITS, Certified, certify_hosts, installation
from tests.support.cluster import Cluster, cluster
from tests.support.programs import run_program

AGENTS = 200
SERIES = 300
SECONDS = 20
BURST_AGENTS = 4
# A burst is a spool that is sent after hours offline: many samples in a batch, many batches at once.
BURST_SERIES = 3000
BURST_BATCHES = 400
SETTLE_S = 4.0


async def run() -> list[Row]:
    """Measure ingest against a control plane in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder), rate_limits=HIGH_LIMITS, log_level="warning") as plane:
            hosts = await certify_hosts(plane, AGENTS + BURST_AGENTS)
            return [*await _steady(plane, hosts[:AGENTS]), await _burst(plane, hosts[AGENTS:])]


async def _steady(plane: Cluster, hosts: list[Certified]) -> list[Row]:
    assert plane.server
    process = psutil.Process(plane.server.pid)
    load = asyncio.create_task(_load(plane, hosts, SERIES, SECONDS, 1.0))
    await asyncio.sleep(SETTLE_S + 2)
    cpu, began = _cpu(process), time.perf_counter()
    await asyncio.sleep(SECONDS - 5)
    cores = (_cpu(process) - cpu) / (time.perf_counter() - began)
    rss = process.memory_info().rss / 2**20
    result = await load
    arrived = await _samples(plane)
    what = f"{AGENTS} agents, {SERIES} series each at 1 Hz for {SECONDS} s over mTLS, into the live ring"
    return [
        row("ingest_lost_samples", result["sent"] - arrived, "samples", "<= 0", f"{result['sent']} sent; {what}"),
        row("ingest_cpu_cores", cores, "cores", "<= 1", f"control plane alone; {what}"),
        row("ingest_rss_mb", rss, "MiB", "<= 1024", f"control plane alone; {what}"),
    ]


async def _burst(plane: Cluster, hosts: list[Certified]) -> Row:
    before = await _samples(plane)
    result = await _load(plane, hosts, BURST_SERIES, BURST_BATCHES, 0.0)
    arrived = await _samples(plane) - before
    if arrived != result["sent"]:
        raise RuntimeError(f"the burst lost {result['sent'] - arrived} samples")
    detail = (
        f"{BURST_AGENTS} agents send {BURST_BATCHES} spooled batches of {BURST_SERIES} samples at once, "
        "all acknowledged; load on the same 2 cores"
    )
    return row("ingest_burst_samples_per_s", arrived / result["seconds"], "1/s", ">= 1000000", detail)


async def _load(plane: Cluster, hosts: list[Certified], series: int, batches: int, period_s: float) -> dict[str, Any]:
    order = {
        "agents": [
            {"uid": who.uid, "name": who.name, "key": who.key_pem.decode(), "certificate": who.certificate_pem.decode()}
            for who in hosts
        ],
        "port": plane.mtls_port,
        "ca_pem": installation(plane).ca.pem,
        "series": series,
        "batches": batches,
        "period_s": period_s,
        "settle_s": SETTLE_S if period_s else 1.0,
    }
    argv = [sys.executable, "-m", "tests.bench.ingest_load"]
    ran = await run_program(argv, plane.environment(), json.dumps(order))
    if ran.code:
        raise RuntimeError(ran.err)
    result: dict[str, Any] = json.loads(ran.out)
    return result


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _samples(plane: Cluster) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{plane.metrics_port}/metrics") as page,
    ):
        found = re.search(r"^solward_ingest_samples_total (\S+)", await page.text(), re.MULTILINE)
    return int(float(found.group(1))) if found else 0
