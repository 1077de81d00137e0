"""The cheap verification of an archive, against `zstd -t` and `sha256sum` run together on the same file."""

import asyncio
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from backports import zstd

from agent.snapshots.report import Verdict
from agent.snapshots.verify import verify
from tests.bench.rows import Row, row
from tests.peers.snapshots import END, SLOT, Member, header, name, state, tar

FILES = 800
FILE_BYTES = 1_340_000
RUNS = 5


def _accounts(draw: random.Random, pool: bytes) -> bytes:
    """Give a file of accounts: keys and balances that do not compress, fields of zeros, owners that come again."""
    parts, size = [], 0
    while size < FILE_BYTES:
        at = draw.randrange(len(pool) - 32)
        part = os.urandom(draw.randrange(40, 220)) + pool[at : at + 32] + bytes(draw.randrange(20, 500))
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _stream() -> Iterator[bytes]:
    draw, pool = random.Random(7), os.urandom(1 << 16)
    yield tar(state(), end=b"")
    for number in range(FILES):
        content = _accounts(draw, pool)
        yield header(Member(f"accounts/{SLOT - number}.{number}", content)) + content + bytes(-len(content) % 512)
    yield END


def _make(path: Path) -> int:
    packer, decoded = zstd.ZstdCompressor(level=1), 0
    with path.open("wb") as file:
        for part in _stream():
            decoded += len(part)
            file.write(packer.compress(part))
        file.write(packer.flush())
        os.fsync(file.fileno())
    return decoded


def _warm(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 22):
            pass


def _tools(path: Path) -> float:
    _warm(path)
    began = time.perf_counter()
    vectors = (["zstd", "-t", "-q", str(path)], ["sha256sum", str(path)])
    running = [subprocess.Popen(vector, stdout=subprocess.DEVNULL) for vector in vectors]
    assert [process.wait() for process in running] == [0, 0]
    return time.perf_counter() - began


def _ours(path: Path) -> float:
    _warm(path)
    began = time.perf_counter()
    report = verify(path.parent, path.name)
    assert report.verdict is Verdict.PASS, report
    return time.perf_counter() - began


def _measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name()
        decoded = _make(path)
        size = path.stat().st_size
        # In turns, so that what else the machine does falls upon both.
        runs = [(_tools(path), _ours(path)) for _ in range(RUNS)]
    tools, ours = (statistics.median(each) for each in zip(*runs, strict=True))
    detail = (
        f"an archive of {size / 1e6:.0f} MB, {decoded / 1e6:.0f} MB decoded, {FILES} files of accounts, level 1, "
        f"warm; median of {RUNS} in turns"
    )
    return [
        row("snapshot_verify_vs_tools_ratio", tools / ours, "x", ">= 0.8", f"time of both tools together; {detail}"),
        row("snapshot_verify_mb_per_s", size / ours / 1e6, "MB/s", ">= 100", f"bytes of the file; {detail}"),
    ]


async def run() -> list[Row]:
    """Measure."""
    return await asyncio.to_thread(_measure)
