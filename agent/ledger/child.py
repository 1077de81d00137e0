"""Runs a program with a deadline, shows its output line by line, and ends it when told to."""

import os
import re
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

Stop = Callable[[], bool]
Take = Callable[[str], None]

# The tool inherits nothing of what this program was started with.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
# It is looked this often whether to stop.
NAP_S = 0.2
CHUNK = 64 << 10
# A line of a slot is about 150 bytes; of one with many children it is longer.
LINE_BYTES = 64 << 10
# So much of the end of stderr is kept, and so much of that is shown.
TAIL_BYTES = 8 << 10
SHOWN_LINES, SHOWN_CHARACTERS = 5, 1000
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[@-~]")
# What RocksDB says where another process, or this one, has the ledger open for writing; the tool says the last of it
# where it was given accounts of its own and found that a node has the ledger.
_LOCKED = re.compile(r"While lock file|lock hold by current process|custom accounts path is not supported")
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|\(os error (?:28|122)\)")


class ToolReason(StrEnum):
    """Why the tool did not do what it was asked; these codes are stable.

    Those that begin with WORK are of the folders that it works in, those with ARCHIVE of a snapshot archive that it
    made or was to check, and those with DEEP of what it found in one.
    """

    TOOL_MISSING = "TOOL_MISSING"
    TOOL_NOT_ABSOLUTE = "TOOL_NOT_ABSOLUTE"
    LEDGER_MISSING = "LEDGER_MISSING"
    LEDGER_LOCKED = "LEDGER_LOCKED"
    TOOL_TOO_OLD = "TOOL_TOO_OLD"
    TOOL_FAILED = "TOOL_FAILED"
    TOOL_TIMEOUT = "TOOL_TIMEOUT"
    TOOL_ODD_OUTPUT = "TOOL_ODD_OUTPUT"
    STOPPED = "STOPPED"
    DISK_FULL = "DISK_FULL"
    WORK_UNUSABLE = "WORK_UNUSABLE"
    WORK_BUSY = "WORK_BUSY"
    OTHER_FILESYSTEM = "OTHER_FILESYSTEM"
    LINK_REFUSED = "LINK_REFUSED"
    GENESIS_MISSING = "GENESIS_MISSING"
    SLOT_NOT_FULL = "SLOT_NOT_FULL"
    SLOT_UNREACHABLE = "SLOT_UNREACHABLE"
    BASE_MISSING = "BASE_MISSING"
    ARCHIVE_OUTSIDE = "ARCHIVE_OUTSIDE"
    ARCHIVE_MISSING = "ARCHIVE_MISSING"
    ARCHIVE_NOT_REGULAR = "ARCHIVE_NOT_REGULAR"
    ARCHIVE_MISNAMED = "ARCHIVE_MISNAMED"
    ARCHIVE_OTHER_SLOT = "ARCHIVE_OTHER_SLOT"
    ARCHIVE_EXISTS = "ARCHIVE_EXISTS"
    ARCHIVE_CHANGED = "ARCHIVE_CHANGED"
    DEEP_HASH_MISMATCH = "DEEP_HASH_MISMATCH"
    DEEP_FAILED = "DEEP_FAILED"


class ToolError(Exception):
    """The tool did not do what it was asked.

    Args:
        reason: the code.
        message: in words; bounded, and without control bytes.
        code: what the tool ended with; None where it did not end by itself.
        stderr: the end of what it wrote there.
    """

    def __init__(self, reason: ToolReason, message: str, code: int | None = None, stderr: bytes = b"") -> None:
        super().__init__(message)
        self.reason, self.code, self.stderr = reason, code, stderr


class Limits(NamedTuple):
    """How long the tool may take.

    Opening a big ledger alone was seen to take near three hours (agave #7216), and a survey reads every shred of its
    range.

    Attributes:
        read_s: seconds for a command that reads.
        write_s: seconds for one that writes.
        grace_s: seconds between SIGTERM and SIGKILL.
    """

    read_s: float = 4 * 3600.0
    write_s: float = 4 * 3600.0
    grace_s: float = 10.0


def run(argv: Sequence[str], take: Take, *, seconds: float, grace_s: float, stop: Stop) -> bytes:
    """Run a program to its end, and give its stdout to `take` line by line; where that raises, the program is ended.

    Gives the end of what it wrote to stderr.

    Args:
        argv: the program, as an absolute path, and its arguments; no shell sees them.
        take: takes a line; what it raises is passed on.
        seconds: it is ended after so many.
        grace_s: how long it has between SIGTERM and SIGKILL.
        stop: it is ended once this says True.

    Raises:
        ToolError: it could not be started, was ended here, said what cannot be a line, or did not end with 0.
    """
    if stop():
        raise ToolError(ToolReason.STOPPED, "it was stopped before its end")
    try:
        child = subprocess.Popen(  # noqa: S603 - an argument vector of ours, and no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd="/",
            bufsize=0,
        )
    except OSError as error:
        raise ToolError(ToolReason.TOOL_MISSING, f"{argv[0]} cannot be run: {error.strerror}") from None
    watch = _Watch(seconds, stop)
    with child:
        try:
            stderr = _read(child, take, watch)
            code = _wait(child, watch)
        except BaseException:
            _end(child, grace_s)
            raise
    if code:
        # Both were told to end at once, and it was the faster.
        watch.refuse_stopped()
        raise failed(code, stderr)
    return stderr


def lines(raw: bytes) -> list[str]:
    """Give the lines of what a program said, without control bytes and without those that are empty."""
    text = _ESCAPE.sub("", raw.decode("utf-8", "replace"))
    shown = ("".join(c for c in line if c.isprintable()).strip() for line in text.splitlines())
    return [line for line in shown if line]


def words(raw: bytes) -> str:
    """Give the last lines of what a program said, bounded and without control bytes."""
    return " | ".join(lines(raw)[-SHOWN_LINES:])[-SHOWN_CHARACTERS:]


def failed(code: int, stderr: bytes) -> ToolError:
    """Say why the tool did not end with 0.

    Args:
        code: what it ended with; below 0 the signal that killed it.
        stderr: the end of what it wrote there.
    """
    said, text = words(stderr), stderr.decode("utf-8", "replace")
    if code < 0:
        said = f"the tool was killed by signal {-code}: {said or 'it said nothing'}"
        return ToolError(ToolReason.TOOL_FAILED, said, code, stderr)
    if _LOCKED.search(text):
        said = f"the ledger is open elsewhere; is the node down? {said}"
        return ToolError(ToolReason.LEDGER_LOCKED, said, code, stderr)
    if _DISK_FULL.search(text):
        return ToolError(ToolReason.DISK_FULL, f"the tool found a disk full: {said}", code, stderr)
    return ToolError(ToolReason.TOOL_FAILED, f"the tool ended with {code}: {said or 'it said nothing'}", code, stderr)


class _Watch:
    """Says when enough time has gone by, or when to stop."""

    def __init__(self, seconds: float, stop: Stop) -> None:
        self._seconds, self._stop = seconds, stop
        self._deadline = time.monotonic() + seconds

    def look(self) -> None:
        self.refuse_stopped()
        if time.monotonic() >= self._deadline:
            raise ToolError(ToolReason.TOOL_TIMEOUT, f"the tool did not end within {self._seconds:g} s")

    def refuse_stopped(self) -> None:
        if self._stop():
            raise ToolError(ToolReason.STOPPED, "it was stopped before its end")


class _Lines:
    """Cuts bytes into lines, none of which may be long."""

    def __init__(self) -> None:
        self._rest = b""

    def cut(self, data: bytes) -> Iterator[str]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES:
            raise ToolError(ToolReason.TOOL_ODD_OUTPUT, f"the tool wrote a line of more than {LINE_BYTES} bytes")
        for line in lines:
            yield line.decode("utf-8", "replace")

    def last(self) -> Iterator[str]:
        if self._rest:
            yield self._rest.decode("utf-8", "replace")


def _read(child: subprocess.Popen[bytes], take: Take, watch: _Watch) -> bytes:
    """Read both of a program's outputs to their ends; gives the end of stderr."""
    cutter, tail = _Lines(), b""
    with selectors.DefaultSelector() as selector:
        for file in filter(None, (child.stdout, child.stderr)):
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            watch.look()
            for key, _ in selector.select(NAP_S):
                data = os.read(key.fd, CHUNK)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is child.stderr:
                    tail = (tail + data)[-TAIL_BYTES:]
                else:
                    for line in cutter.cut(data):
                        take(line)
    for line in cutter.last():
        take(line)
    return tail


def _wait(child: subprocess.Popen[bytes], watch: _Watch) -> int:
    # It has closed its outputs; mostly it has ended with that.
    while True:
        try:
            return child.wait(NAP_S)
        except subprocess.TimeoutExpired:
            watch.look()


def _end(child: subprocess.Popen[bytes], grace_s: float) -> None:
    child.terminate()
    try:
        child.wait(grace_s)
    except subprocess.TimeoutExpired:
        child.kill()
