"""The log on one core: journalctl's JSON decoded, lines and datapoints parsed, series and findings made."""

import json
import time
from collections.abc import Iterator

from agent.host.journald import decode
from agent.probes.validator_log import Digest
from tests.bench.rows import Row, row
from tests.peers.validator_log import datapoint
from tests.support.sink import Kept

LINES = 200_000
CHUNK = 200
_STAMP = "[2026-08-14T12:34:56.123456789Z {level} {module}] {text}"


def _messages() -> Iterator[str]:
    """Give what a slot leaves in a validator's log: two thirds are datapoints, half of those are of no series."""
    wide = {f"field_{number}": number * 1000 for number in range(24)}
    points = (
        ("bank_frozen", {"slot": 300_000_000, "hash": "A" * 44}),
        ("replay-slot-stats", {"slot": 1, "total_shreds": 900, "replay_total_elapsed": 150_000} | wide),
        ("shred_insert_is_full", {"slot": 1, "total_time_ms": 380, "num_repaired": 3, "num_recovered": 12}),
        ("net-stats-validator", {"rcvbuf_errors_delta": 0, "in_errors_delta": 0} | wide),
        ("accounts_db_store_timings", wide),
        ("blockstore-insert-shreds", wide),
        ("replay-loop-timing-stats", wide),
        ("cluster_info_stats5", wide),
    )
    for name, fields in points:
        yield _STAMP.format(level="INFO ", module="solana_metrics::metrics", text=datapoint(name, fields))
    for text in (
        "new fork:300000001 parent:300000000 root:299999968",
        f"bank frozen: 300000000 hash: {'A' * 44} signature_count: 1200 last_blockhash: {'B' * 44}",
        "LEADER CHANGE at slot: 300000004 leader: " + "C" * 44,
    ):
        yield _STAMP.format(level="INFO ", module="solana_core::replay_stage", text=text)
    warning = "slow vote processing took 12 ms on a validator that is otherwise well"
    yield _STAMP.format(level="WARN ", module="solana_core::voting_service", text=warning)


async def run() -> list[Row]:
    """Measure with every line as journalctl would give it."""
    now_us = str(time.time_ns() // 1000)
    record = {
        "__CURSOR": "s=0123456789abcdef;i=1;b=0123;m=1;t=1;x=1", "__REALTIME_TIMESTAMP": now_us,
        "__MONOTONIC_TIMESTAMP": "1", "_BOOT_ID": "0" * 32, "_PID": "77", "_TRANSPORT": "stdout",
    }  # fmt: skip
    raw = [json.dumps(record | {"MESSAGE": message}).encode() for message in _messages()]
    lines = (raw * (LINES // len(raw) + 1))[:LINES]
    sink = Kept()
    digest = Digest(sink, points=True)
    began = time.process_time()
    for start in range(0, LINES, CHUNK):
        digest.take(decode(lines[start : start + CHUNK]).entries)
    rate = LINES / (time.process_time() - began)
    digest.tick()
    points = sum(b"datapoint: " in line for line in raw) / len(raw)
    (counted,) = sink.of("solana_log_lines", outcome="read")
    assert counted == LINES
    detail = f"{LINES:,} lines of {sum(map(len, raw)) // len(raw)} bytes, {points:.0%} datapoints, JSON included"
    return [row("journal_lines_per_s", rate, "1/s", ">= 20000", detail)]
