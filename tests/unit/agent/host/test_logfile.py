"""A log file is followed over its rotations, cuts and odd lines."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from agent.host import logfile
from agent.host.journald import Chunk, JournalError


class Reader:
    """Reads a log file by hand, from a position."""

    def __init__(self, path: Path, position: str = "") -> None:
        self._chunks = logfile.follow(path, position)
        self.position = position

    async def lines(self, count: int) -> list[str | None]:
        found: list[str | None] = []
        async with asyncio.timeout(5):
            while len(found) < count:
                chunk: Chunk = await anext(self._chunks)
                found += [entry.message for entry in chunk.entries]
                self.position = chunk.position
        return found

    async def close(self) -> None:
        async with aclosing(self._chunks):
            pass


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "LOOK_S", 0.01)


async def started(path: Path) -> Reader:
    reader = Reader(path)
    waiting = asyncio.create_task(reader.lines(1))
    await asyncio.sleep(0.05)
    with path.open("a") as log:
        log.write("first\n")
    assert await waiting == ["first"]
    return reader


async def test_it_begins_at_the_end_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    log = tmp_path / "v.log"
    log.write_text("old\n")
    reader = await started(log)
    await reader.close()
    with log.open("a") as file:
        file.write("second\nhalf")
    reader = Reader(log, reader.position)
    assert await reader.lines(1) == ["second"]
    await reader.close()
    with log.open("a") as file:
        file.write(" a line\n")
    assert await Reader(log, reader.position).lines(1) == ["half a line"]


async def test_rotation_loses_nothing(tmp_path: Path) -> None:
    log = tmp_path / "v.log"
    log.write_text("")
    reader = await started(log)
    with log.open("a") as file:
        log.rename(tmp_path / "v.log.1")
        await asyncio.sleep(0.05)
        # The validator writes on into the old file until it has opened the new one.
        file.write("still the old\n")
        file.flush()
        assert await reader.lines(1) == ["still the old"]
    log.write_text("new\n")
    assert await reader.lines(1) == ["new"]


async def test_a_cut_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "v.log"
    log.write_text("a long line that was there before\n")
    reader = await started(log)
    log.write_text("cut\n")
    assert await reader.lines(1) == ["cut"]


async def test_a_rotation_while_the_agent_was_away_begins_with_the_new_file(tmp_path: Path) -> None:
    log = tmp_path / "v.log"
    log.write_text("")
    reader = await started(log)
    await reader.close()
    log.rename(tmp_path / "v.log.1")
    log.write_text("new\n")
    assert await Reader(log, reader.position).lines(1) == ["new"]


async def test_a_line_of_a_megabyte_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    log = tmp_path / "v.log"
    log.write_text("")
    reader = await started(log)
    with log.open("ab") as file:
        file.write(b"x" * (1 << 20) + b"\nafter\n\xff\xfe bad\n")
    assert await reader.lines(3) == [None, "after", "�� bad"]


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="is not there") as caught:
        await Reader(tmp_path / "none").lines(1)
    assert caught.value.reason == "LOG_MISSING"
    with pytest.raises(JournalError) as caught:
        await Reader(tmp_path).lines(1)
    assert caught.value.reason == "LOG_UNREADABLE"


async def test_what_was_missed_is_read_again_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "MAX_CATCH_UP", 6)
    log = tmp_path / "v.log"
    log.write_text("first\nsecond\nlast\n")
    assert await Reader(log, logfile.BEGINNING).lines(2) == ["", "last"]
