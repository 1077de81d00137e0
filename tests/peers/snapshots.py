"""Snapshot archives of the shape that the validator writes (agave snapshots/src/archive.rs), small, and with faults."""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import lz4.frame
from backports import zstd

from common.base58 import encode

SLOT = 300_000_000
END = bytes(1024)


class Member(NamedTuple):
    """A member of a tar: its name, content and type flag."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE


def hash_of(text: str) -> str:
    """Give a hash as it stands in a name: 32 bytes in base58."""
    return encode(hashlib.sha256(text.encode()).digest())


def name(slot: int = SLOT, base: int | None = None, codec: str = "zst", checksum: str | None = None) -> str:
    """Write an archive's name."""
    start = "snapshot" if base is None else f"incremental-snapshot-{base}"
    return f"{start}-{slot}-{checksum or hash_of(f'{base} {slot}')}.tar.{codec}"


def state(slot: int = SLOT) -> list[Member]:
    """Give the members before the accounts, in the order of the validator."""
    return [
        Member("version", b"1.2.0"),
        Member("snapshots/", kind=tarfile.DIRTYPE),
        Member("snapshots/status_cache", b"\1" * 700),
        Member(f"snapshots/{slot}/", kind=tarfile.DIRTYPE),
        Member(f"snapshots/{slot}/{slot}", os.urandom(3000)),
    ]


def accounts(slot: int = SLOT, count: int = 8, size: int = 4096) -> list[Member]:
    """Give files of accounts of the slots up to one."""
    return [
        Member(f"accounts/{slot - number}.{number + 7}", os.urandom(size // 2) + bytes(size - size // 2))
        for number in range(count)
    ]


def header(member: Member) -> bytes:
    """Write a member's header as the tar crate's new_gnu() does."""
    info = tarfile.TarInfo(member.name)
    info.size, info.type, info.mode = len(member.content), member.kind, 0o644
    return info.tobuf(tarfile.GNU_FORMAT)


def tar(members: Iterable[Member], end: bytes = END) -> bytes:
    """Put members together."""
    out = io.BytesIO()
    for member in members:
        out.write(header(member))
        out.write(member.content + bytes(-len(member.content) % 512))
    out.write(end)
    return out.getvalue()


def compress(raw: bytes, codec: str = "zst") -> bytes:
    """Compress as the validator does: level 1; the zstd frame has no checksum."""
    return zstd.compress(raw, 1) if codec == "zst" else lz4.frame.compress(raw, content_checksum=True)


def content(slot: int = SLOT, codec: str = "zst", members: Sequence[Member] | None = None) -> bytes:
    """Give a whole archive's bytes."""
    return compress(tar(members if members is not None else [*state(slot), *accounts(slot)]), codec)


def write(
    folder: Path, slot: int = SLOT, base: int | None = None, codec: str = "zst", raw: bytes | None = None
) -> Path:
    """Write an archive into a folder; its bytes are a good archive's unless given."""
    path = folder / name(slot, base, codec)
    path.write_bytes(content(slot, codec) if raw is None else raw)
    return path


def bomb(decoded_bytes: int, file_bytes: int = 0, codec: str = "zst", slot: int = SLOT) -> Iterable[bytes]:
    """Give an archive piece by piece that decodes to zeros within a file of accounts.

    Args:
        decoded_bytes: about what it decodes to.
        file_bytes: it is filled up to about this with a frame that decodes to nothing.
        codec: zst or lz4.
        slot: its slot.
    """
    info = tarfile.TarInfo(f"accounts/{slot}.1")
    info.size = decoded_bytes
    yield compress(tar(state(slot), end=b"") + info.tobuf(tarfile.GNU_FORMAT), codec)
    if file_bytes:
        yield (0x184D2A50).to_bytes(4, "little") + file_bytes.to_bytes(4, "little") + os.urandom(file_bytes)
    part = compress(bytes(64 << 20), codec)
    for _ in range(0, decoded_bytes, 64 << 20):
        yield part
    yield compress(bytes(-decoded_bytes % 512) + END, codec)
