"""The few forms of the Protocol Buffers wire that remote write needs (protobuf.dev/programming-guides/encoding)."""

import struct

_TABLE = [bytes([low]) for low in range(128)]


def varint(number: int) -> bytes:
    """Encode a number that is not negative."""
    if number < 128:
        return _TABLE[number]
    parts = bytearray()
    while number >= 128:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def zigzag(number: int) -> bytes:
    """Encode a number that may be negative (sint32, sint64)."""
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)


def key(field: int, wire: int) -> bytes:
    """Encode what stands before a value: 0 varint, 1 eight bytes, 2 a length and so many bytes."""
    return varint(field << 3 | wire)


def block(field: int, content: bytes) -> bytes:
    """Encode text, a message or packed numbers as a field."""
    return key(field, 2) + varint(len(content)) + content


def number(field: int, value: int) -> bytes:
    """Encode a number as a field; zero is left out."""
    return key(field, 0) + varint(value) if value else b""


def double(field: int, value: float) -> bytes:
    """Encode a double as a field."""
    return key(field, 1) + struct.pack("<d", value)
