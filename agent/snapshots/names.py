"""Names of snapshot archives: what the validator would take for one, and nothing else."""

import re
from dataclasses import dataclass
from enum import StrEnum

from common.base58 import decode_key

MAX_BYTES = 255
MAX_SLOT = (1 << 64) - 1
_SLOT = "(0|[1-9][0-9]{0,19})"
_NAME = re.compile(
    rf"(?:incremental-snapshot-{_SLOT}|snapshot)-{_SLOT}-([1-9A-HJ-NP-Za-km-z]{{32,44}})\.(tar\.(?:zst|lz4))"
)
_RIGHT = (
    "a name is snapshot-<slot>-<hash>.tar.zst or incremental-snapshot-<base>-<slot>-<hash>.tar.zst, or .tar.lz4, "
    "with slots below 2^64 and a hash of 32 bytes in base58"
)
# What begins like this is meant to be an archive.
PREFIXES = ("snapshot-", "incremental-snapshot-")


class NameRefused(ValueError):
    """A name that no snapshot archive bears; the message says what would be right."""


class Kind(StrEnum):
    """What an archive holds: a whole state, or what changed since a full one's slot."""

    FULL = "full"
    INCREMENTAL = "incremental"


class Codec(StrEnum):
    """How an archive is compressed; the value ends its name."""

    ZSTD = "tar.zst"
    LZ4 = "tar.lz4"


@dataclass(frozen=True)
class ArchiveName:
    """The name of an archive, in its parts; str() writes it.

    Attributes:
        slot: the slot whose state the archive gives.
        hash: base58 of the checksum of the accounts lattice hash.
        codec: how it is compressed.
        base: the slot of the full archive that an incremental one stands on; None for a full one.

    Raises: NameRefused, where the parts make no name.
    """

    slot: int
    hash: str
    codec: Codec = Codec.ZSTD
    base: int | None = None

    def __post_init__(self) -> None:
        try:
            decode_key(self.hash)
        except ValueError as error:
            raise NameRefused(f"the hash of an archive's name: {error}; {_RIGHT}") from None
        if not 0 <= self.slot <= MAX_SLOT or not 0 <= (self.base or 0) <= MAX_SLOT:
            raise NameRefused(f"a slot is at most {MAX_SLOT}; {_RIGHT}")
        if self.base is not None and self.base >= self.slot:
            raise NameRefused("the slot of an incremental archive is above its base slot")

    def __str__(self) -> str:
        base = "" if self.base is None else f"incremental-snapshot-{self.base}-"
        return f"{base or 'snapshot-'}{self.slot}-{self.hash}.{self.codec}"

    @property
    def kind(self) -> Kind:
        """Full or incremental."""
        return Kind.FULL if self.base is None else Kind.INCREMENTAL


def parse(text: str) -> ArchiveName:
    """Read an archive's name; raises NameRefused."""
    match = _NAME.fullmatch(text) if len(text) <= MAX_BYTES else None
    if match is None:
        raise NameRefused(f"{text[:120]!a} is no archive's name: {_RIGHT}")
    base, slot, checksum, codec = match.groups()
    return ArchiveName(int(slot), checksum, Codec(codec), None if base is None else int(base))
