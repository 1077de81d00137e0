"""Files that the agent's settings name: secrets that nobody else may read, and what is handed on by its name."""

import os
import stat
from pathlib import Path

LONGEST = 16 * 1024


class SettingsFileError(Exception):
    """A file that the settings name and that cannot be used; the message names the field and says what to do."""


def read_secret(path: Path, field: str) -> bytes:
    """Read a file that only the agent's user, or root, owns and may read.

    Args:
        field: the setting that names it, for messages.

    Raises: SettingsFileError where it cannot be read, is too long, or others may read it.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SettingsFileError(f"{field}: {path} cannot be opened: {error.strerror}") from None
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise SettingsFileError(f"{field}: {path} must be a file")
        if info.st_uid not in (os.geteuid(), 0):
            raise SettingsFileError(f"{field}: {path} must belong to the agent's user, or to root: chown it")
        if stat.S_IMODE(info.st_mode) & 0o177:
            raise SettingsFileError(f"{field}: {path} must be readable by its owner alone: chmod 600 {path}")
        content = os.read(handle, LONGEST + 1)
    except OSError as error:
        raise SettingsFileError(f"{field}: {path} cannot be read: {error.strerror}") from None
    finally:
        os.close(handle)
    if len(content) > LONGEST:
        raise SettingsFileError(f"{field}: {path} is over {LONGEST} bytes")
    return content


def read_line(path: Path, field: str) -> str:
    """Read a secret that is one line of text, without the white space around it; raises as `read_secret`."""
    try:
        secret = read_secret(path, field).decode().strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret or "\n" in secret:
        raise SettingsFileError(f"{field}: {path} must hold one line of text")
    return secret


def readable(path: Path | None, field: str) -> str | None:
    """Give the name of a file that is handed on, having seen that it can be read; raises SettingsFileError."""
    if path is None:
        return None
    try:
        with path.open("rb"):
            return str(path)
    except OSError as error:
        raise SettingsFileError(f"{field}: {path} cannot be read: {error.strerror}") from None
