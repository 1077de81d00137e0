"""Base58, as Solana writes public keys and hashes."""

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {char: value for value, char in enumerate(_ALPHABET)}
KEY_BYTES = 32


def encode(raw: bytes) -> str:
    """Write bytes in base58."""
    number, digits = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + digits


def decode_key(text: str) -> bytes:
    """Read a public key (32 bytes); raise ValueError for anything else."""
    number = 0
    if not 32 <= len(text) <= 44:
        raise ValueError("a public key has 32 to 44 base58 characters")
    for char in text:
        if char not in _VALUES:
            raise ValueError(f"{char!r} is not a base58 character")
        number = number * 58 + _VALUES[char]
    zeros = len(text) - len(text.lstrip("1"))
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if zeros + len(raw) != KEY_BYTES:
        raise ValueError("a public key has 32 bytes")
    return bytes(zeros) + raw
