"""What the validator logged when it froze a bank: the checksum that the name of that slot's archive must have.

The line is `bank frozen: SLOT hash: H ... accounts_lt_hash checksum: C, stats: ...` (from 3.0 on).
"""

import asyncio
import os
import re
import stat
from asyncio.subprocess import DEVNULL, PIPE

import structlog

log = structlog.get_logger(__name__)

SEARCH_S = 60.0
# So much of a log file is searched, from its end.
SEARCH_BYTES = 1 << 30
BLOCK_BYTES = 1 << 20
LINE_BYTES = 4096
_CHECKSUM = re.compile(rb"accounts_lt_hash checksum: ([1-9A-HJ-NP-Za-km-z]{32,44})(?![1-9A-HJ-NP-Za-km-z])")


async def frozen_checksum(source: str, unit: str, slot: int) -> str:
    """Find the checksum of a slot's bank.

    Args:
        source: "journal", or the path of the log file.
        unit: whose journal it is.

    Returns: base58; empty where the log does not say, or cannot be searched in time.
    """
    mark = f"bank frozen: {slot} ".encode()
    try:
        async with asyncio.timeout(SEARCH_S):
            line = await _journal(unit, slot) if source == "journal" else await asyncio.to_thread(_file, source, mark)
    except (TimeoutError, OSError, ValueError) as error:
        log.warning("the log could not be searched for a bank's checksum", slot=slot, error=type(error).__name__)
        return ""
    found = _CHECKSUM.search(line) if mark in line else None
    return found.group(1).decode() if found else ""


async def _journal(unit: str, slot: int) -> bytes:
    arguments = (
        "journalctl", "--quiet", "--no-pager", f"--unit={unit}", "--output=cat", "--reverse", "--lines=1",
        f"--grep=bank frozen: {slot} ",
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *arguments, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    )
    try:
        assert process.stdout  # noqa: S101 - asked for above
        return await process.stdout.read(LINE_BYTES)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _file(path: str, mark: bytes) -> bytes:
    """Find the last line that holds a mark, block by block from the end.

    The file is the validator's: it may shrink meanwhile, or be no file at all.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            return b""
        oldest = max(0, about.st_size - SEARCH_BYTES)
        for begin in range(max(oldest, about.st_size - BLOCK_BYTES), oldest - BLOCK_BYTES, -BLOCK_BYTES):
            # A line that begins in one block may end in the next.
            block = os.pread(fd, BLOCK_BYTES + LINE_BYTES, max(begin, oldest))
            if (at := block.rfind(mark)) >= 0:
                return block[at : at + LINE_BYTES].partition(b"\n")[0]
        return b""
    finally:
        os.close(fd)
