"""systemd's journal, followed through journalctl: one process, an argument vector, no shell."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import structlog

from common.clock import now_ms

log = structlog.get_logger(__name__)

JOURNALCTL = "/usr/bin/journalctl"
MACHINE_ID = Path("/etc/machine-id")
READ_BYTES = 1 << 18
# One entry as JSON: journalctl leaves out a field of more than 4096 bytes, so this is never met.
MAX_ENTRY_BYTES = 1 << 20
# How much of what was missed is read again: a validator writes up to a million lines in this time.
CATCH_UP_S = 900


class Entry(NamedTuple):
    """One entry of the journal.

    Attributes:
        unix_ms: when journald took it, milliseconds since the epoch.
        origin: "unit", "manager" (systemd about the unit) or "kernel".
        message: the text; None where it is larger than journalctl shows.
    """

    unix_ms: int
    origin: str
    message: str | None


class Chunk(NamedTuple):
    """What was read at once, and the position after it."""

    entries: list[Entry]
    position: str


class JournalError(Exception):
    """The journal could not be followed; `reason` is a stable code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Record(msgspec.Struct):
    cursor: Annotated[str, msgspec.Meta(max_length=512)] = msgspec.field(name="__CURSOR")
    realtime: str = msgspec.field(name="__REALTIME_TIMESTAMP")
    # Text; numbers of bytes where it is not UTF-8; null where it is larger than journalctl shows.
    message: str | list[int | str] | None = msgspec.field(name="MESSAGE", default=None)
    pid: str = msgspec.field(name="_PID", default="")
    transport: str = msgspec.field(name="_TRANSPORT", default="")


_decoder = msgspec.json.Decoder(_Record)


def machine_id() -> str:
    """Give this machine's id, which every entry of its own journal bears."""
    try:
        return MACHINE_ID.read_text().strip()
    except OSError as error:
        raise JournalError("MACHINE_ID_MISSING", f"{MACHINE_ID} cannot be read: {error.strerror}") from None


def command(units: list[str], position: str, now: int, program: str = JOURNALCTL) -> list[str]:
    """Give the argument vector that follows some units, systemd's words about them, and the kernel.

    Args:
        units: the units' names.
        position: the cursor after which to go on; empty to begin with what comes next.
        now: milliseconds since the epoch, to tell how old the cursor is.
        program: journalctl's path.
    """
    if not position:
        where = ["--lines=0"]
    elif now - _cursor_ms(position) > CATCH_UP_S * 1000:
        where = [f"--since=@{now // 1000 - CATCH_UP_S}"]
    else:
        where = [f"--after-cursor={position}"]
    # Journals that other hosts sent here are merged too, and are none of ours.
    ours = [f"_MACHINE_ID={machine_id()}"]
    matches: list[str] = []
    for unit in units:
        matches += [*ours, f"_SYSTEMD_UNIT={unit}", "+", *ours, f"UNIT={unit}", "_PID=1", "+"]
    fields = "--output-fields=MESSAGE,_PID,_TRANSPORT"
    # To follow means "of this boot" unless journals are merged, and within a container a boot may have two names.
    options = ["--quiet", "--follow", "--merge", "--no-pager", "--output=json", fields]
    if position:
        options.append("--no-tail")
    return [program, *options, *where, *matches, *ours, "_TRANSPORT=kernel"]


async def follow(units: list[str], position: str, program: str = JOURNALCTL) -> AsyncIterator[Chunk]:
    """Follow the journal from a position for as long as the caller wants.

    Raises: JournalError when journalctl cannot be run or ends; whoever calls again goes on where it was.
    """
    arguments = command(units, position, now_ms(), program)
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments, stdout=PIPE, stderr=PIPE, stdin=asyncio.subprocess.DEVNULL, limit=MAX_ENTRY_BYTES,
            env={"LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"},
        )  # fmt: skip
    except OSError as error:
        raise JournalError("JOURNALCTL_UNUSABLE", f"{program} cannot be run: {error.strerror}") from None
    try:
        async for chunk in _read(process):
            yield chunk
        raise await _ended(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _read(process: Process) -> AsyncIterator[Chunk]:
    rest = b""
    while process.stdout and (data := await process.stdout.read(READ_BYTES)):
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > MAX_ENTRY_BYTES:
            rest = b""
        chunk = decode(lines)
        if chunk.entries:
            yield chunk


def decode(lines: list[bytes]) -> Chunk:
    """Decode journalctl's JSON, an entry a line; what is not one is passed over."""
    entries: list[Entry] = []
    position = ""
    for line in lines:
        try:
            record = _decoder.decode(line)
            entries.append(Entry(int(record.realtime) // 1000, _origin(record), _text(record.message)))
        except (msgspec.MsgspecError, ValueError) as error:
            log.debug("an entry of the journal could not be read", error=str(error))
            continue
        position = record.cursor
    return Chunk(entries, position)


def _origin(record: _Record) -> str:
    if record.transport == "kernel":
        return "kernel"
    return "manager" if record.pid == "1" else "unit"


def _text(message: str | list[int | str] | None) -> str | None:
    if message is None or isinstance(message, str):
        return message
    # A message that is there several times: the last is the newest.
    last = message[-1] if message else ""
    if isinstance(last, str):
        return last
    return bytes(byte & 0xFF for byte in message if isinstance(byte, int)).decode(errors="replace")


def _cursor_ms(cursor: str) -> int:
    """Give the time within a cursor ("...;t=<microseconds, hexadecimal>;..."); 0 if it has none."""
    for part in cursor.split(";"):
        key, _, value = part.partition("=")
        if key == "t":
            try:
                return int(value, 16) // 1000
            except ValueError:
                return 0
    return 0


async def _ended(process: Process) -> JournalError:
    said = (await process.stderr.read(2_000)).decode(errors="replace").strip() if process.stderr else ""
    await process.wait()
    if "insufficient permissions" in said or "not seeing messages" in said:
        return JournalError("JOURNAL_FORBIDDEN", "the journal may not be read: the agent must be in systemd-journal")
    if "cursor" in said:
        return JournalError("JOURNAL_CURSOR_REFUSED", f"the noted position is not one of this journal: {said[:300]}")
    return JournalError("JOURNAL_ENDED", f"journalctl ended with {process.returncode}: {said[:300] or 'no word'}")
