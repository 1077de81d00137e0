"""The files of a pin: made in a folder of a temporary name and then named, taken away the other way round."""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from agent.config.files import UnsafeFile
from agent.config.files import folder as open_folder
from agent.snapshots.catalogue import Archive
from agent.snapshots.files import Identity, look, names, subfolder

MANIFEST = "manifest.json"
TEMPORARY = ".unfinished-"


class PinReason(StrEnum):
    """Why a pin was not made or removed; these codes are stable."""

    NOTHING_TO_PIN = "NOTHING_TO_PIN"
    ALREADY_PINNED = "ALREADY_PINNED"
    NOT_AS_CHECKED = "NOT_AS_CHECKED"
    OTHER_FILESYSTEM = "OTHER_FILESYSTEM"
    DISK_FULL = "DISK_FULL"
    LINK_REFUSED = "LINK_REFUSED"
    BUSY = "BUSY"
    NO_SUCH_PIN = "NO_SUCH_PIN"


class PinRefused(Exception):
    """A pin that was not made or not removed; nothing is left behind."""

    def __init__(self, reason: PinReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Raced(Exception):
    """The validator removed or replaced an archive between its listing and its link."""


_REASONS = {
    errno.EXDEV: (PinReason.OTHER_FILESYSTEM, "a hard link cannot lead to another filesystem"),
    errno.ENOSPC: (PinReason.DISK_FULL, "the disk is full"),
    errno.EDQUOT: (PinReason.DISK_FULL, "the quota of the disk is used up"),
    errno.EPERM: (PinReason.LINK_REFUSED, "the kernel refuses a hard link to a file of another owner"),
    errno.EMLINK: (PinReason.LINK_REFUSED, "the file has as many hard links as it can have"),
}


@contextmanager
def opened(pins: Path) -> Iterator[int]:
    """Open the folder of pins, made if need be, for one process alone, rid of what a crash left in it.

    Raises: PinRefused, UnsafeFile, OSError.
    """
    with open_folder(pins.parent) as parent:
        try:
            os.mkdir(pins.name, 0o755, dir_fd=parent)
        except FileExistsError:
            pass
        except OSError as error:
            raise _refused(error) from None
        with subfolder(parent, pins.name) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise PinRefused(PinReason.BUSY, f"another process works in {pins}") from None
            for name in names(handle):
                if name.startswith(TEMPORARY):
                    _clear(handle, name)
            yield handle


def make(pins: int, slot: int, archives: Sequence[Archive], manifest: bytes) -> None:
    """Make a pin: all of it or nothing.

    Raises: PinRefused, Raced, UnsafeFile, OSError.
    """
    if _is_there(pins, str(slot)):
        raise PinRefused(PinReason.ALREADY_PINNED, f"slot {slot} is pinned already")
    temporary = TEMPORARY + secrets.token_hex(8)
    try:
        os.mkdir(temporary, 0o755, dir_fd=pins)
        with subfolder(pins, temporary) as handle:
            for archive in archives:
                _link(archive, handle)
            _write(handle, MANIFEST, manifest)
            os.fsync(handle)
        os.rename(temporary, str(slot), src_dir_fd=pins, dst_dir_fd=pins)
    except OSError as error:
        _clear(pins, temporary)
        raise _refused(error) from None
    except BaseException:
        _clear(pins, temporary)
        raise
    os.fsync(pins)


def remove(pins: int, slot: int) -> None:
    """Take a pin away: from the moment it is renamed it is none. Raises PinRefused, OSError."""
    temporary = TEMPORARY + secrets.token_hex(8)
    try:
        os.rename(str(slot), temporary, src_dir_fd=pins, dst_dir_fd=pins)
    except FileNotFoundError:
        raise PinRefused(PinReason.NO_SUCH_PIN, f"slot {slot} is not pinned") from None
    os.fsync(pins)
    _clear(pins, temporary)


def _link(archive: Archive, into: int) -> None:
    name = str(archive.name)
    try:
        with open_folder(archive.folder) as source:
            os.link(name, name, src_dir_fd=source, dst_dir_fd=into, follow_symlinks=False)
    except (FileNotFoundError, UnsafeFile):
        raise Raced(f"{name} was removed") from None
    # What was linked is looked at, not what bears the name: that may be another file by now.
    if Identity.of(look(into, name)) != archive.identity:
        raise Raced(f"{name} was replaced")


def _write(parent: int, name: str, content: bytes) -> None:
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _clear(pins: int, name: str) -> None:
    if not _is_there(pins, name):
        return
    with subfolder(pins, name) as handle:
        for each in names(handle):
            os.unlink(each, dir_fd=handle)
    os.rmdir(name, dir_fd=pins)


def _is_there(parent: int, name: str) -> bool:
    try:
        look(parent, name)
    except FileNotFoundError:
        return False
    return True


def _refused(error: OSError) -> Exception:
    if error.errno not in _REASONS:
        return error
    reason, message = _REASONS[error.errno]
    return PinRefused(reason, message)
