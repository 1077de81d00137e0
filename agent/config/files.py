"""Files written whole or not at all, in folders that no link can lead astray."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_BYTES = 1 << 16


class UnsafeFile(Exception):
    """A file or folder on the way to it that is not what it should be; nothing was written."""


@contextmanager
def folder(path: Path) -> Iterator[int]:
    """Open a folder component by component: a link anywhere on the way is refused, now and while it is held."""
    handle = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.parts[1:]:
            try:
                deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
            except OSError as error:
                raise UnsafeFile(f"{path}: {part} is no folder that can be entered ({error.strerror})") from None
            os.close(handle)
            handle = deeper
        yield handle
    finally:
        os.close(handle)


def read(path: Path) -> bytes:
    """Read a regular file, of at most 64 KiB; raises UnsafeFile."""
    with folder(path.parent) as parent:
        return _read(parent, path)


def replace(path: Path, content: bytes, *, make: bool = False) -> None:
    """Put new content in a file's place at once; owner and mode stay as they are.

    Args:
        path: the file.
        content: what it is to hold.
        make: make it, mode 0644, where it is not there.

    Raises: UnsafeFile, OSError.
    """
    with folder(path.parent) as parent:
        try:
            before: os.stat_result | None = os.stat(path.name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            before = None
        if before is None and not make:
            raise UnsafeFile(f"{path} is not there")
        if before is not None and not stat.S_ISREG(before.st_mode):
            raise UnsafeFile(f"{path} is not a regular file")
        _write(parent, path.name, content, before)


def _write(parent: int, name: str, content: bytes, before: os.stat_result | None) -> None:
    temporary = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(temporary, flags, 0o600, dir_fd=parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if before is not None and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), before.st_mode & 0o777 if before else 0o644)
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        os.unlink(temporary, dir_fd=parent)
        raise
    os.fsync(parent)


def _read(parent: int, path: Path) -> bytes:
    try:
        handle = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    except OSError as error:
        raise UnsafeFile(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UnsafeFile(f"{path} is not a regular file")
    with os.fdopen(handle, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UnsafeFile(f"{path} holds more than {MAX_BYTES} bytes")
    return content
