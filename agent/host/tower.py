"""The tower: what a node remembers of its votes, in a file that it signs (facts: agave 2.2)."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common import base58
from common.files import write_private

MAX_BYTES = 1 << 20
KEEP_COPIES = 5
# u32 variant, 64 bytes of signature, u64 length; then the data, which begins with the node's key.
_VARIANT, _HEAD = 1, 4 + 64 + 8


class TowerFile(NamedTuple):
    """A tower as it lies on disk."""

    path: Path
    age_ms: int
    signed: bool


def find_tower(folder: Path, identity: str) -> TowerFile | None:
    """Find the tower of an identity in a ledger or tower folder, and check whose signature it bears.

    Raises: OSError when it is there but cannot be read.
    """
    path = folder / f"tower-1_9-{identity}.bin"
    try:
        content, written = _read(path)
    except FileNotFoundError:
        return None
    return TowerFile(path, max(0, round((time.time() - written) * 1000)), is_signed_by(content, identity))


def is_signed_by(content: bytes, identity: str) -> bool:
    """Whether a tower's bytes are whole and signed by an identity (base58), and are that identity's own."""
    if len(content) < _HEAD or int.from_bytes(content[:4], "little") != _VARIANT:
        return False
    signature, data = content[4:68], content[_HEAD:]
    if int.from_bytes(content[68:76], "little") != len(data):
        return False
    try:
        key = base58.decode_key(identity)
        Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except (ValueError, InvalidSignature):
        return False
    return data.startswith(key)


def copy_aside(tower: Path, folder: Path) -> Path:
    """Copy a tower into the agent's own folder, durably, and keep only the newest copies.

    Raises: OSError; nothing is left half-written under a final name.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    content, _ = _read(tower)
    target = folder / f"{tower.stem}-{time.time_ns() // 1_000_000}.bin"
    write_private(target, content)
    for old in sorted(folder.glob(f"{tower.stem}-*.bin"))[:-KEEP_COPIES]:
        old.unlink(missing_ok=True)
    return target


def _read(path: Path) -> tuple[bytes, float]:
    # A link is not followed: the folder is the validator's, and what it points at need not be.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise OSError(f"{path} is over {MAX_BYTES} bytes, which no tower is")
        return content, os.fstat(file.fileno()).st_mtime
