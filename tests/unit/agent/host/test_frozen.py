"""What the log says of a frozen bank: the newest line of just this slot, or nothing."""

import asyncio
import os
from pathlib import Path

import pytest

from agent.host import frozen
from agent.host.frozen import frozen_checksum

CHECKSUM = "4" * 43
OTHER = "5" * 43


def line(slot: int, checksum: str = CHECKSUM) -> str:
    return (
        f"[2026-11-25T08:00:00.000000000Z INFO  solana_runtime::bank] bank frozen: {slot} hash: H signature_count: 1 "
        f"last_blockhash: B capitalization: 5, accounts_lt_hash checksum: {checksum}, stats: BankHashStats\n"
    )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (line(100), CHECKSUM),
        (line(1000) + line(10) + line(1001), ""),
        # Frozen again, after a restart: the newest counts.
        (line(100, OTHER) + line(99) + line(100), CHECKSUM),
        (line(100, "0OIl" * 10), ""),
        (line(100, "4" * 60), ""),
        ("bank frozen: 100 hash: H signature_count: 1\n" + line(101), ""),
        ("", ""),
    ],
)
async def test_the_line_of_just_this_slot(tmp_path: Path, content: str, found: str) -> None:
    path = tmp_path / "validator.log"
    path.write_text(content)
    assert await frozen_checksum(str(path), "sol.service", 100) == found


async def test_a_long_log_is_searched_from_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "BLOCK_BYTES", 700)
    path = tmp_path / "validator.log"
    path.write_text("".join(line(slot, CHECKSUM if slot == 100 else OTHER) for slot in range(80, 200)))
    assert await frozen_checksum(str(path), "sol.service", 100) == CHECKSUM
    assert await frozen_checksum(str(path), "sol.service", 79) == ""
    monkeypatch.setattr(frozen, "SEARCH_BYTES", 2000)
    assert await frozen_checksum(str(path), "sol.service", 100) == ""


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "validator.log")
    async with asyncio.timeout(2):
        assert await frozen_checksum(str(tmp_path / "validator.log"), "sol.service", 100) == ""


async def test_a_log_that_is_not_there_or_takes_too_long_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await frozen_checksum(str(tmp_path / "none.log"), "sol.service", 100) == ""
    program = tmp_path / "journalctl"
    program.write_text("#!/bin/sh\nsleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(frozen, "SEARCH_S", 0.2)
    assert await frozen_checksum("journal", "sol.service", 100) == ""
