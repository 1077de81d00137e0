"""Headers of tar members: ustar, GNU and pax, as far as a snapshot archive may have them."""

import re
from typing import NamedTuple

from agent.snapshots.report import Fault, Reason

BLOCK = 512
REGULAR, OLD_REGULAR, DIRECTORY, SPARSE = b"0", b"\0", b"5", b"S"
LONG_NAME, PAX = b"L", b"x"
_USTAR = b"ustar\0"
_OCTAL = re.compile(rb" *([0-7]{1,22})[ \0]*|[ \0]*")
_MAX_SIZE = (1 << 63) - 1


class Header(NamedTuple):
    """What a header says.

    Attributes:
        name: the member's name, raw.
        kind: the type flag.
        size: bytes of content that follow.
    """

    name: bytes
    kind: bytes
    size: int


def parse(block: bytes) -> Header:
    """Read a header of 512 bytes; raises Fault."""
    # The sum is taken with its own field read as spaces.
    if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise Fault(Reason.ARCHIVE_CORRUPT, "a tar header has a wrong checksum")
    name = _text(block[:100])
    # GNU puts other things in the prefix' place.
    if block[257:263] == _USTAR and (prefix := _text(block[345:500])):
        name = prefix + b"/" + name
    return Header(name, block[156:157], _number(block[124:136]))


def pax(content: bytes) -> dict[str, str]:
    """Read the records of a pax header; raises Fault."""
    records = {}
    at = 0
    while at < len(content):
        length, space, _ = content[at : at + 21].partition(b" ")
        end = at + int(length) if space and length.isdigit() else 0
        key, equals, value = content[at + len(length) + 1 : end].partition(b"=")
        if not at < end <= len(content) or not equals or value[-1:] != b"\n":
            raise Fault(Reason.ARCHIVE_CORRUPT, "a pax header has a record that none is")
        records[key.decode(errors="replace")] = value[:-1].decode(errors="replace")
        at = end
    return records


def size_of(text: str) -> int:
    """Read a size of a pax header; raises Fault."""
    if not re.fullmatch("[0-9]{1,18}", text):
        raise Fault(Reason.ARCHIVE_CORRUPT, "a pax header has a size that is no number")
    return int(text)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    # Beyond 8 GiB a size is written in base 256, marked by the highest bit.
    if field[0] == 0x80:
        number = int.from_bytes(field[1:], "big")
    elif match := _OCTAL.fullmatch(field):
        number = int(match[1] or b"0", 8)
    else:
        number = -1
    if not 0 <= number <= _MAX_SIZE:
        raise Fault(Reason.ARCHIVE_CORRUPT, "a tar header has a number that is none")
    return number
