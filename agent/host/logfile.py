"""A log file, followed over its rotations: for a validator that writes with `--log FILE`."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from agent.host.journald import Chunk, Entry, JournalError
from common.clock import now_ms

READ_BYTES = 1 << 18
MAX_LINE_BYTES = 1 << 16
# How much of what was missed is read again.
MAX_CATCH_UP = 64 << 20
BEGINNING = "0:0"
LOOK_S = 0.2


class _Tail:
    """One open log file, from a position "INODE:OFFSET", or from its end where there is none.

    Calls block for a moment on the disk: use them from a thread.
    """

    def __init__(self, path: Path, position: str) -> None:
        self._path = path
        self._inode = self._offset = 0
        self._rest = b""
        self._skipping = False
        self._file = self._open(position)

    def _open(self, position: str) -> BinaryIO:
        try:
            file = open(self._path, "rb")  # noqa: SIM115 - closed by close()
        except FileNotFoundError:
            raise JournalError("LOG_MISSING", f"{self._path} is not there (yet)") from None
        except OSError as error:
            raise JournalError("LOG_UNREADABLE", f"{self._path} cannot be read: {error.strerror}") from None
        info = os.fstat(file.fileno())
        inode, _, offset = position.partition(":")
        self._inode = info.st_ino
        if not position:
            self._offset = info.st_size
        else:
            same = inode == str(info.st_ino) and offset.isdigit() and int(offset) <= info.st_size
            self._offset = max(int(offset) if same else 0, info.st_size - MAX_CATCH_UP)
        file.seek(self._offset)
        return file

    def read(self) -> Chunk:
        """Read what is new; where the file was rotated or cut, go on with the new one."""
        data = self._file.read(READ_BYTES)
        if not data and self._replaced():
            self.close()
            self._rest = b""
            self._file = self._open(BEGINNING)
            data = self._file.read(READ_BYTES)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._offset += len(data)
        now = now_ms()
        entries = [Entry(now, "unit", self._text(line)) for line in lines]
        if len(self._rest) > MAX_LINE_BYTES:
            # The line goes on for longer than anything of ours: its end is dropped when it comes.
            self._rest, self._skipping = b"", True
        return Chunk(entries, f"{self._inode}:{self._offset - len(self._rest)}")

    def _text(self, line: bytes) -> str | None:
        if self._skipping or len(line) > MAX_LINE_BYTES:
            self._skipping = False
            return None
        return line.decode(errors="replace")

    def _replaced(self) -> bool:
        try:
            info = self._path.stat()
        except OSError:
            return False  # between the old file's renaming and the new one's first line
        return info.st_ino != self._inode or info.st_size < self._offset

    def close(self) -> None:
        """Close the file."""
        self._file.close()


async def follow(path: Path, position: str) -> AsyncIterator[Chunk]:
    """Follow a log file from a position for as long as the caller wants.

    Raises: JournalError when it cannot be read; whoever calls again goes on where it was.
    """
    tail = await asyncio.to_thread(_Tail, path, position)
    try:
        while True:
            chunk = await asyncio.to_thread(tail.read)
            if chunk.entries:
                yield chunk
            else:
                await asyncio.sleep(LOOK_S)
    finally:
        tail.close()
