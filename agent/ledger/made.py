"""Makes a snapshot archive of a stopped validator's ledger."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from agent.config.files import UnsafeFile
from agent.config.files import folder as open_folder
from agent.ledger.child import Stop, ToolError, ToolReason
from agent.ledger.output import Made
from agent.ledger.room import Room, refuse, room
from agent.ledger.tool import LedgerTool
from agent.snapshots.files import NotRegular, names, regular, subfolder
from agent.snapshots.names import ArchiveName, NameRefused, parse

Tell = Callable[[str], None]
ACCOUNTS, ARCHIVES = "accounts", "archives"
# Before, the tool can leave out of an incremental archive what was deleted since the full one (agave #9496).
OLDEST_INCREMENTAL = (4, 0, 0)
# What a crate of the tool's names its temporary folders.
_TEMPORARY = re.compile(r"\.tmp[0-9A-Za-z]{6}")
# What the tool says of a slot that it cannot make an archive of (agave ledger-tool/src/{main,ledger_utils}.rs).
_REFUSALS = (
    (ToolReason.SLOT_NOT_FULL, re.compile(r"does not exist in blockstore or is not full|Failed to get root")),
    (
        ToolReason.SLOT_UNREACHABLE,
        re.compile(
            r"ending slot is less than the starting slot|does not contain a replayable|Slot [0-9]+ is not available"
        ),
    ),
    (
        ToolReason.BASE_MISSING,
        re.compile(
            r"without a base full snapshot|must be greater than full snapshot slot|latest_full_snapshot_slot\(\)"
        ),
    ),
)


class Created(NamedTuple):
    """An archive that was made.

    Attributes:
        path: where it is.
        name: its name, in its parts.
        bank_hash: the hash of its slot's bank, in base58; another than that in its name.
        shred_version: what the cluster's shreds bear at its slot.
        size: its bytes.
    """

    path: Path
    name: ArchiveName
    bank_hash: str
    shred_version: int
    size: int


def create(
    tool: LedgerTool,
    slot: int | None,
    out: Path,
    scratch: Path,
    tell: Tell,
    stop: Stop,
    *,
    incremental: bool = False,
) -> Created:
    """Make an archive, all of it or nothing: it comes to its folder once it is whole and on the disk.

    Args:
        tool: the tool, on the ledger of a node that is down.
        slot: the slot that it is to give; None for the newest root.
        out: the folder that it comes to; nothing there is replaced or removed.
        scratch: a folder on a disk with room for all accounts, unpacked, some hundred GB. It may be `out`.
        tell: shown how far it has come.
        stop: asked about five times a second.
        incremental: what changed since the newest full archive, and not the whole state.

    Raises:
        ToolError: SLOT_NOT_FULL, SLOT_UNREACHABLE (no way leads there from the newest archive), BASE_MISSING (the tool
            found no full archive below it), TOOL_TOO_OLD (for an incremental one); LEDGER_LOCKED, where the node is up;
            ARCHIVE_*, where what was made is not what was asked for, or ARCHIVE_EXISTS; DISK_FULL, WORK_*; what the
            tool's other commands raise.
    """
    tool = replace(tool, stop=stop)
    if incremental:
        tool.check_version(OLDEST_INCREMENTAL, "what an older one makes may fit no full archive")
    with room(out) as made_in:
        if out == scratch:
            return _create(tool, slot, made_in, made_in, tell, incremental)
        with room(scratch) as unpacked_in:
            return _create(tool, slot, made_in, unpacked_in, tell, incremental)


def _create(
    tool: LedgerTool, slot: int | None, made_in: Room, unpacked_in: Room, tell: Tell, incremental: bool
) -> Created:
    accounts, archives = unpacked_in.make(ACCOUNTS), made_in.make(ARCHIVES)
    tell(f"making an archive of {'the newest root' if slot is None else f'slot {slot}'}: it takes long")
    try:
        with _tidied(tool.ledger):
            made = tool.create_snapshot(slot, archives, accounts, incremental=incremental)
    except ToolError as error:
        raise _refusal(error) from None
    name = check_made(made, slot, archives, incremental=incremental)
    tell(f"{name}: bringing it to the disk")
    size = _publish(made_in, name)
    return Created(made_in.path.parent / str(name), name, made.bank_hash, made.shred_version, size)


@contextmanager
def _tidied(ledger: Path) -> Iterator[None]:
    """Remove the folder, of a GB or so, that the tool makes in the ledger and leaves where it is ended midway."""
    before = _temporaries(ledger)
    try:
        yield
    finally:
        # It takes room and no more: that it stays is no reason for another outcome.
        with suppress(OSError, UnsafeFile), open_folder(ledger.resolve()) as handle:
            for name in () if before is None else set(_matching(handle)) - before:
                shutil.rmtree(name, dir_fd=handle)


def _temporaries(ledger: Path) -> set[str] | None:
    try:
        with open_folder(ledger.resolve()) as handle:
            return set(_matching(handle))
    except (OSError, UnsafeFile):
        # The tool will say what is wrong with it.
        return None


def _matching(handle: int) -> list[str]:
    return [name for name in names(handle) if _TEMPORARY.fullmatch(name)]


def check_made(made: Made, slot: int | None, archives: Path, *, incremental: bool) -> ArchiveName:
    """Look whether the archive that the tool names is the one that was asked for.

    Args:
        made: what it says.
        slot: the slot that was asked for; None where any would do.
        archives: the folder that it was to make it in.
        incremental: whether it was to be an incremental one.

    Raises:
        ToolError: ARCHIVE_OUTSIDE, ARCHIVE_MISNAMED or ARCHIVE_OTHER_SLOT.
    """
    if made.path.parent != archives:
        raise _odd(ToolReason.ARCHIVE_OUTSIDE, made.path, f"it is not in {archives}")
    try:
        name = parse(made.path.name)
    except NameRefused as refused:
        raise _odd(ToolReason.ARCHIVE_MISNAMED, made.path, str(refused)) from None
    if (made.base is not None) != incremental or name.base != made.base:
        raise _odd(ToolReason.ARCHIVE_MISNAMED, made.path, "it is of another kind, or on another base")
    if name.slot != made.slot or slot not in (None, made.slot):
        raise _odd(ToolReason.ARCHIVE_OTHER_SLOT, made.path, f"asked for was slot {'ROOT' if slot is None else slot}")
    return name


def _publish(made_in: Room, name: ArchiveName) -> int:
    """Bring an archive to the disk and then to the folder that it is for; gives its bytes."""
    bears, path = str(name), made_in.path / ARCHIVES / str(name)
    try:
        with subfolder(made_in.handle, ARCHIVES) as archives, open_folder(made_in.path.parent) as out:
            # Whoever finds it in its folder takes it for whole, also after a power cut.
            with regular(archives, bears) as file:
                size = os.fstat(file).st_size
                os.fsync(file)
            if not size:
                raise _odd(ToolReason.ARCHIVE_MISSING, path, "it is empty")
            os.link(bears, bears, src_dir_fd=archives, dst_dir_fd=out, follow_symlinks=False)
            os.fsync(out)
            return size
    except FileNotFoundError:
        raise _odd(ToolReason.ARCHIVE_MISSING, path, "it is not there") from None
    except NotRegular:
        raise _odd(ToolReason.ARCHIVE_NOT_REGULAR, path, "it is no regular file") from None
    except FileExistsError:
        raise _odd(ToolReason.ARCHIVE_EXISTS, path, "its folder has one of this name already") from None
    except UnsafeFile as error:
        raise ToolError(ToolReason.WORK_UNUSABLE, str(error)) from None
    except OSError as error:
        refuse(error, path)


def _odd(reason: ToolReason, path: Path, why: str) -> ToolError:
    return ToolError(reason, f"the tool made {str(path)[-300:]!a}: {why}")


def _refusal(error: ToolError) -> ToolError:
    """Find out why the tool would not make it."""
    if error.reason is ToolReason.TOOL_FAILED and error.code is not None and error.code > 0:
        said = error.stderr.decode("utf-8", "replace")
        for reason, pattern in _REFUSALS:
            if pattern.search(said):
                return ToolError(reason, str(error), error.code, error.stderr)
    return error
