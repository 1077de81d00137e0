"""The deep check of one snapshot archive: the tool loads it as a node does at its boot, and compares every hash.

It works on a ledger of our own that holds nothing but the genesis, and on hard links: it sees no other archive, and
neither the validator's ledger nor its accounts. So the node need not be down for it, though it takes the disk, the
memory and the processor time of a boot.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from agent.config.files import UnsafeFile
from agent.config.files import folder as open_folder
from agent.ledger.child import Stop, ToolError, ToolReason, lines
from agent.ledger.room import Room, refuse, room
from agent.ledger.tool import LedgerTool
from agent.snapshots.catalogue import Archive
from agent.snapshots.files import Identity, NotRegular, look, regular, subfolder

Tell = Callable[[str], None]
LEDGER, ARCHIVES, GENESIS = "ledger", "archives", "genesis.bin"
# The tool compares the accounts before it goes on only since this version; before, it can end with no word of them.
OLDEST = (3, 1, 0)
# A node takes no larger one from an archive than 10 MiB.
MAX_GENESIS_BYTES = 64 << 20
CHUNK = 1 << 20
SHOWN_CHARACTERS = 300
# What it says where the content is not what the name or the bank says (agave snapshots/src/error.rs,
# runtime/src/{bank,snapshot_bank_utils}.rs), the more telling first.
_MISMATCHES = (
    re.compile(
        r"(?:snapshot )?(?:hash|slot|accounts file id) mismatch|capitalization mismatch|"
        r"(?:accounts lattice )?hashes do not match|snapshots are incompatible"
    ),
    re.compile(r"snapshot slot deltas are invalid|snapshot epoch stakes are invalid|slot in storages map"),
    re.compile(r"Snapshot bank for slot [0-9]+ failed to verify|\bverify failed\b"),
)
# What it says where it came as far as to load the archive, and could not.
_LOADING = re.compile(r"failed to load bank|panicked at|Unpack error")
_LOG_LINE = re.compile(r"\[\S+ (TRACE|DEBUG|INFO|WARN|ERROR) +\S+\] ?(.*)")
_NOTE = re.compile(r"note: (?:run with|Some details are omitted)|stack backtrace:|[0-9]+: |at \S+:[0-9]+")


class Deep(NamedTuple):
    """What an archive turned out to hold: what its name says.

    Attributes:
        slot: the slot whose state it gives.
        bank_hash: the hash of that slot's bank, in base58; another than that in its name.
    """

    slot: int
    bank_hash: str


def deep_check(
    tool: LedgerTool,
    archive: Archive,
    base: Archive | None,
    scratch: Path,
    tell: Tell,
    stop: Stop,
    *,
    links: Path | None = None,
) -> Deep:
    """Check all that an archive holds.

    Args:
        tool: the tool, on the validator's ledger, of which only the genesis is read.
        archive: the archive.
        base: for an incremental one the full one that it stands on, and None for a full one.
        scratch: a folder on a disk with room for all accounts, unpacked, some hundred GB.
        tell: shown how far it has come.
        stop: asked about five times a second.
        links: a folder on the archives' filesystem, for hard links; by default `scratch`.

    Raises:
        ToolError: DEEP_HASH_MISMATCH, where the archive holds something else than it says; DEEP_FAILED, where the tool
            could not load it: mostly it is damaged; both with the tool's words for it. ARCHIVE_CHANGED, where it went
            or was written to meanwhile; TOOL_TOO_OLD; GENESIS_MISSING; OTHER_FILESYSTEM, LINK_REFUSED; DISK_FULL,
            WORK_*; what the tool's other commands raise.
    """
    archives = _belonging(archive, base)
    tool = replace(tool, stop=stop)
    tool.check_version(OLDEST, "an older one can end before it has compared")
    with room(scratch) as work:
        if links is None or links == scratch:
            return _check(tool, archives, work, work, tell)
        with room(links) as linked:
            return _check(tool, archives, work, linked, tell)


def _belonging(archive: Archive, base: Archive | None) -> list[Archive]:
    on = None if base is None else base.name
    if archive.name.base != (None if on is None else on.slot) or (on is not None and on.base is not None):
        raise ValueError(f"{archive.name} does not stand on {on}")
    return [archive] if base is None else [base, archive]


def _check(tool: LedgerTool, archives: list[Archive], work: Room, linked: Room, tell: Tell) -> Deep:
    archive = archives[-1]
    folder, ledger = linked.make(ARCHIVES), work.make(LEDGER)
    with _trouble(folder), subfolder(linked.handle, ARCHIVES) as into:
        for each in archives:
            _link(each, into)
    with _trouble(ledger), subfolder(work.handle, LEDGER) as into:
        _copy_genesis(tool.ledger, into)
    tell(f"{archive.name}: loading it as at a boot, which takes tens of minutes")
    deep = _verify(replace(tool, ledger=ledger), archive, folder)
    with _trouble(folder), subfolder(linked.handle, ARCHIVES) as into:
        for each in archives:
            _check_same(each, into)
    return deep


def _verify(own: LedgerTool, archive: Archive, folder: Path) -> Deep:
    try:
        found, stderr = own.verify(archive.name.slot, folder)
    except ToolError as error:
        raise _verdict(error) from None
    # An error that it logged and did not end for.
    if (said := _mismatch(lines(stderr))) is not None:
        raise ToolError(ToolReason.DEEP_HASH_MISMATCH, said)
    if found.slot != archive.name.slot:
        raise ToolError(ToolReason.TOOL_ODD_OUTPUT, f"the tool loaded slot {found.slot}, not {archive.name.slot}")
    return Deep(found.slot, found.hash)


def _verdict(error: ToolError) -> ToolError:
    """Find out whether it was the archive that the tool failed for."""
    # A tool that was killed, as where memory ran out, has said nothing of the archive.
    if error.reason is not ToolReason.TOOL_FAILED or error.code is None or error.code < 0:
        return error
    said = lines(error.stderr)
    if (mismatch := _mismatch(said)) is not None:
        return ToolError(ToolReason.DEEP_HASH_MISMATCH, mismatch, error.code, error.stderr)
    if any(_LOADING.search(line) for line in _errors(said)):
        return ToolError(ToolReason.DEEP_FAILED, last_error(said), error.code, error.stderr)
    return error


def _mismatch(said: list[str]) -> str | None:
    errors = _errors(said)
    for pattern in _MISMATCHES:
        for line in reversed(errors):
            if found := pattern.search(line):
                # A long line is shown from where it becomes telling.
                return (line if len(line) <= SHOWN_CHARACTERS else line[found.start() :])[:SHOWN_CHARACTERS]
    return None


def last_error(said: list[str]) -> str:
    """Give the last line that is of an error, bounded."""
    return next(reversed(_errors(said)), "the tool did not say why")[:SHOWN_CHARACTERS]


def _errors(said: list[str]) -> list[str]:
    """Give the lines that are of errors: none of the log's others, nor of a backtrace."""
    errors = []
    for line in said:
        log = _LOG_LINE.fullmatch(line)
        if log is not None and log[1] == "ERROR":
            errors.append(log[2])
        elif log is None and not _NOTE.match(line):
            errors.append(line)
    return errors


def _link(archive: Archive, into: int) -> None:
    name = str(archive.name)
    try:
        with open_folder(archive.folder) as source:
            os.link(name, name, src_dir_fd=source, dst_dir_fd=into, follow_symlinks=False)
    except (FileNotFoundError, UnsafeFile):
        raise ToolError(ToolReason.ARCHIVE_CHANGED, f"{name} is not there any more") from None
    _check_same(archive, into)


def _check_same(archive: Archive, into: int) -> None:
    # What was linked is looked at, not what bears the name: that may be another file by now.
    if Identity.of(look(into, str(archive.name))) != archive.identity:
        raise ToolError(ToolReason.ARCHIVE_CHANGED, f"{archive.name} was replaced or written to")


def _copy_genesis(ledger: Path, into: int) -> None:
    """Copy the genesis: the tool opens it for reading, and yet nothing of the validator's is within its reach."""
    try:
        with open_folder(ledger.resolve()) as source, regular(source, GENESIS) as genesis:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            copy = os.open(GENESIS, flags, 0o600, dir_fd=into)
            with os.fdopen(copy, "wb") as file:
                left = MAX_GENESIS_BYTES
                while chunk := os.read(genesis, CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise ToolError(ToolReason.GENESIS_MISSING, f"the genesis of {ledger} is too large")
                    file.write(chunk)
    except (FileNotFoundError, UnsafeFile, NotRegular):
        raise ToolError(ToolReason.GENESIS_MISSING, f"{ledger} holds no {GENESIS} that can be read") from None


@contextmanager
def _trouble(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        refuse(error, path)
