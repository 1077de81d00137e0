"""A scrape by Prometheus: how long a page of a thousand hosts takes, and how long the loop stands still for it."""

import time

from solward.hosts.v1 import link_pb2

from controlplane.telemetry.fleet_page import FleetPage, write
from controlplane.telemetry.ingest import Ingest
from tests.bench.rows import Row, row

HOSTS, METHODS, STATES = 1000, 20, 60
TRIES = 5


async def run() -> list[Row]:
    """Measure the fleet's part of the page, which is nearly all of it."""
    page = FleetPage(_filled())
    write(page.read())
    reads, wholes = [], []
    body = b""
    for _ in range(TRIES):
        began = time.perf_counter()
        seen = page.read()
        reads.append(time.perf_counter() - began)
        body = write(seen)
        wholes.append(time.perf_counter() - began)
    lines = body.count(b"\n")
    return [
        row("scrape_1000_hosts_s", sorted(wholes)[TRIES // 2], "s", "< 1", f"median of {TRIES}: {HOSTS} hosts of "
            f"{METHODS} methods and {STATES} states, {lines:,} lines, {len(body) / 1e6:.0f} MB, a histogram for each "
            "host and method"),
        row("scrape_loop_ms", sorted(reads)[TRIES // 2] * 1000, "ms", "<= 100", "of it, how long the loop copies; a "
            "thread writes"),
    ]  # fmt: skip


def _filled() -> Ingest:
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
    ingest, now_ms = Ingest(60), time.time_ns() // 1_000_000
    for number in range(HOSTS):
        host = f"sol-{number}"
        ingest.open(host, link_pb2.Hello(spool_id="a" * 32))
        values = [0.01] * len(names)
        batch = link_pb2.SampleBatch(
            sequence=1, unix_ms=now_ms, definitions=definitions, series=range(len(names)), values=values
        )
        ingest.samples(host, batch)
    return ingest
