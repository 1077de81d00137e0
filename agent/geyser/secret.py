"""Secrets of Geyser's sources, each in a file of its own that nobody else may read."""

import os
import stat
from pathlib import Path

LONGEST = 16 * 1024


class GeyserFileError(Exception):
    """A file that the settings name and that cannot be used; the message names the field and says what to do."""


def read_secret(path: Path, field: str) -> str:
    """Read a secret, without the white space around it.

    Args:
        field: the setting that names the file, for messages.

    Raises: GeyserFileError where it cannot be read, is empty or too long, or others may read it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise GeyserFileError(f"{field}: {path} cannot be opened: {error.strerror}") from None
    info = os.fstat(handle)
    if not stat.S_ISREG(info.st_mode):
        os.close(handle)
        raise GeyserFileError(f"{field}: {path} must be a file")
    with os.fdopen(handle, "rb") as file:
        if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o177:
            raise GeyserFileError(f"{field}: {path} must belong to the agent's user alone: chmod 600 {path}")
        content = file.read(LONGEST + 1)
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret or len(content) > LONGEST or "\n" in secret:
        raise GeyserFileError(f"{field}: {path} must hold one line of text")
    return secret


def readable(path: Path | None, field: str) -> str | None:
    """Give the name of a file that is handed on, having seen that it can be read; raises GeyserFileError."""
    if path is None:
        return None
    try:
        with path.open("rb"):
            return str(path)
    except OSError as error:
        raise GeyserFileError(f"{field}: {path} cannot be read: {error.strerror}") from None
