"""The agent's own checksums of archives, in a folder of their own: the zstd frames of an archive bear none.

A validator that makes the archive of a slot anew writes other bytes under the same name, so the checksum that was
kept of the older file is to be removed when another file bears the name.
"""

import re
from pathlib import Path

from agent.config import files
from agent.snapshots.names import ArchiveName
from common.files import sync_folder, write_private

SUFFIX = ".sha256"
_HEX = re.compile("[0-9a-f]{64}")


class ChecksumRefused(Exception):
    """A file of a checksum that is not what this module writes."""


def write(folder: Path, name: ArchiveName, sha256: str) -> None:
    """Keep an archive's checksum, as sha256sum would write it; mode 0600, durable. Raises OSError."""
    if not _HEX.fullmatch(sha256):
        raise ValueError("a SHA-256 is written with 64 hex digits")
    write_private(folder / f"{name}{SUFFIX}", _line(name, sha256))


def read(folder: Path, name: ArchiveName) -> str | None:
    """Give the checksum kept of an archive; None if there is none.

    Raises: ChecksumRefused.
    """
    path = folder / f"{name}{SUFFIX}"
    if not path.exists() and not path.is_symlink():
        return None
    try:
        content = files.read(path)
    except (files.UnsafeFile, OSError) as error:
        raise ChecksumRefused(str(error)) from None
    sha256 = content[:64].decode("ascii", "replace")
    if not _HEX.fullmatch(sha256) or content != _line(name, sha256):
        raise ChecksumRefused(f"{path} is not the line that sha256sum writes for {name}")
    return sha256


def remove(folder: Path, name: ArchiveName) -> None:
    """Forget an archive's checksum, if one is kept. Raises OSError."""
    (folder / f"{name}{SUFFIX}").unlink(missing_ok=True)
    sync_folder(folder)


def _line(name: ArchiveName, sha256: str) -> bytes:
    return f"{sha256}  {name}\n".encode()
