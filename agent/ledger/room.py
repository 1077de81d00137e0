"""Folders of our own to let the tool work in: for one job alone, and gone after it, or at the next after a crash."""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from agent.config.files import UnsafeFile
from agent.config.files import folder as open_folder
from agent.ledger.child import ToolError, ToolReason
from agent.snapshots.files import look, names, subfolder

# Nobody else has a use for it; the validator passes over such names.
NAME = ".solward-ledger-work"
_REASONS = {
    errno.EXDEV: (ToolReason.OTHER_FILESYSTEM, "a hard link cannot lead to another filesystem"),
    errno.ENOSPC: (ToolReason.DISK_FULL, "the disk is full"),
    errno.EDQUOT: (ToolReason.DISK_FULL, "the quota of the disk is used up"),
    errno.EPERM: (ToolReason.LINK_REFUSED, "the kernel refuses a hard link to a file of another owner"),
    errno.EMLINK: (ToolReason.LINK_REFUSED, "the file has as many hard links as it can have"),
}


class Room(NamedTuple):
    """A folder that is ours.

    Attributes:
        path: where it is.
        handle: it, opened.
    """

    path: Path
    handle: int

    def make(self, name: str) -> Path:
        """Make a folder in it; raises ToolError."""
        try:
            os.mkdir(name, 0o700, dir_fd=self.handle)
        except OSError as error:
            refuse(error, self.path / name)
        return self.path / name


@contextmanager
def room(parent: Path) -> Iterator[Room]:
    """Make a room in a folder, rid of what a crash left in it; afterwards nothing is left.

    Args:
        parent: the folder, as an absolute path that leads over no symbolic link.

    Raises: ToolError.
    """
    path = check_given(parent) / NAME
    with ExitStack() as held:
        try:
            above = held.enter_context(open_folder(parent))
            handle = held.enter_context(_entered(above, path))
            _clear(handle)
        except UnsafeFile as error:
            raise ToolError(ToolReason.WORK_UNUSABLE, str(error)) from None
        except OSError as error:
            refuse(error, path)
        try:
            yield Room(path, handle)
        finally:
            # What will not go now is tried again before the next job; what the job came to is not lost for it.
            with suppress(OSError):
                _clear(handle)
                os.rmdir(NAME, dir_fd=above)


def check_given(path: Path, but: str = "") -> Path:
    """Look whether a path can be given to the tool, and found again in what it writes.

    Args:
        path: the path.
        but: characters that it must not have.

    Raises: ToolError.
    """
    text = str(path)
    if not path.is_absolute() or ".." in path.parts or not text.isprintable() or set(text) & set(but):
        raise ToolError(ToolReason.WORK_UNUSABLE, f"{text[:120]!a} is no path that can be given to the tool")
    return path


def refuse(error: OSError, path: Path) -> NoReturn:
    """Raise the ToolError that says what was wrong with a file."""
    reason, message = _REASONS.get(error.errno or 0, (ToolReason.WORK_UNUSABLE, error.strerror or "it failed"))
    raise ToolError(reason, f"{str(path)[-200:]!a}: {message}") from None


@contextmanager
def _entered(above: int, path: Path) -> Iterator[int]:
    with suppress(FileExistsError):
        os.mkdir(path.name, 0o700, dir_fd=above)
    with subfolder(above, path.name) as handle:
        # One that somebody else made is not ours to work in, nor to clear.
        if os.fstat(handle).st_uid != os.geteuid():
            raise ToolError(ToolReason.WORK_UNUSABLE, f"{path} belongs to another user")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ToolError(ToolReason.WORK_BUSY, f"another job works in {path}") from None
        os.fchmod(handle, 0o700)
        yield handle


def _clear(handle: int) -> None:
    for name in names(handle):
        if stat.S_ISDIR(look(handle, name).st_mode):
            # It follows no link, however the folders are changed under it.
            shutil.rmtree(name, dir_fd=handle)
        else:
            os.unlink(name, dir_fd=handle)
