"""Which bundles went out of late, in a file, so that what is told of them after a restart is known to be of ours.

One line for each, added before it is sent: seconds since the epoch until which its results are wanted, whether it is a
canary, and its id. A line that was cut off by a death is no line.
"""

import os
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import structlog

from common.files import write_private

log = structlog.get_logger(__name__)

_LINE = re.compile(r"([0-9]{1,12}) ([01]) ([0-9a-f]{64})")
# Of one line, its end included; the file grows to twice of what is remembered.
_LINE_BYTES = 82


class Remembered(NamedTuple):
    """A bundle that went out, and until when (seconds since the epoch) its results are wanted."""

    ident: str
    until: float
    canary: bool


class Memory:
    """Keeps the file. Calls wait for the disk: use them from a worker thread.

    Args:
        path: the file.
        most: bundles that are remembered, the newest.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._lines = 0
        self._lock = threading.Lock()

    def recall(self, unix_s: float, longest_s: float) -> list[Remembered]:
        """Give the bundles whose results are wanted still, the oldest first, and let go of all others.

        Args:
            unix_s: now.
            longest_s: no result is wanted for longer, whatever the file says.
        """
        with self._lock:
            found = [one for one in self._read() if one.until > unix_s]
            found = [one._replace(until=min(one.until, unix_s + longest_s)) for one in found[-self._most :]]
            self._rewrite(found)
        return found

    def add(self, one: Remembered) -> None:
        """Remember a bundle; where the disk takes nothing, it is sent all the same, and forgotten at a restart."""
        with self._lock:
            if self._lines >= 2 * self._most:
                self._rewrite(self._read()[-self._most :])
            try:
                handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                try:
                    os.write(handle, _line(one).encode())
                finally:
                    os.close(handle)
                self._lines += 1
            except OSError as error:
                log.warning("a bundle that is sent cannot be remembered", why=error.strerror)

    def _read(self) -> list[Remembered]:
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, self._path.stat().st_size - 2 * self._most * _LINE_BYTES))
                text = file.read().decode("ascii", errors="replace")
        except FileNotFoundError:
            return []
        except OSError as error:
            log.warning("bundles of before cannot be recalled", why=error.strerror)
            return []
        # What stands behind the last end of a line was cut off.
        lines = text.split("\n")[:-1]
        matches = (_LINE.fullmatch(line) for line in lines)
        return [Remembered(one[3], float(one[1]), one[2] == "1") for one in matches if one]

    def _rewrite(self, kept: Iterable[Remembered]) -> None:
        lines = [_line(one) for one in kept]
        try:
            write_private(self._path, "".join(lines).encode())
            self._lines = len(lines)
        except OSError as error:
            log.warning("bundles that are sent cannot be remembered", why=error.strerror)


def _line(one: Remembered) -> str:
    # A line that a death has cut off is ended first, so that it spoils no other.
    return f"\n{one.until:.0f} {one.canary:d} {one.ident}\n"
