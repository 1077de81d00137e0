"""Files of the snapshot folders, opened and looked at through the folder's handle only."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Identity(NamedTuple):
    """Which file it is, and in what state: a file that was replaced or written to has another identity.

    The time of the last status change is left out: a hard link more or less changes that, and nothing of the file.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Identity":
        """Give the identity that a stat shows."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class NotRegular(Exception):
    """The name is there and is no regular file: a link, a folder, a pipe or a device."""


def look(parent: int, name: str) -> os.stat_result:
    """Give the stat of what bears the name itself, a link's own; raises OSError."""
    return os.stat(name, dir_fd=parent, follow_symlinks=False)


def names(parent: int) -> list[str]:
    """Give the names in a folder; raises OSError."""
    with os.scandir(parent) as entries:
        return [entry.name for entry in entries]


@contextmanager
def regular(parent: int, name: str) -> Iterator[int]:
    """Open a regular file for reading; never a link, and never waiting for a pipe's other end.

    Raises: NotRegular, OSError.
    """
    # What it is, is asked first: to open a device can have effects of its own.
    if not stat.S_ISREG(look(parent, name).st_mode):
        raise NotRegular(f"{name} is not a regular file")
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NotRegular(f"{name} is not a regular file")
        yield handle
    finally:
        os.close(handle)


@contextmanager
def subfolder(parent: int, name: str) -> Iterator[int]:
    """Open a folder within a folder, never through a link; raises OSError."""
    handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        yield handle
    finally:
        os.close(handle)
