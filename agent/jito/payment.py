"""The one transaction that the agent signs itself: a lamport to its own key, and a tip.

Solana's wire format, legacy: a count of signatures, the signatures, and the message that they sign, which is a header,
the keys, a blockhash and the instructions. Counts below 128 are one byte.
"""

import struct
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common import base58

# Of one signature (Solana's fee rule).
BASE_FEE = 5_000
_SYSTEM, _TRANSFER = bytes(32), 2
# Signatures, of them of accounts that are only read, and keys without one that are only read: the program's.
_HEADER = bytes((1, 0, 1))
_PAYER, _TIPPED, _PROGRAM = 0, 1, 2


class Payment(NamedTuple):
    """A signed transaction as on the wire, its signature (base58), and what it costs if it lands, in lamports."""

    raw: bytes
    signature: str
    cost: int


def pay(key: Ed25519PrivateKey, tip_account: bytes, tip_lamports: int, blockhash: bytes) -> Payment:
    """Sign a transaction that moves one lamport from a key to itself, and tips.

    Args:
        key: who pays.
        tip_account: whom it tips, 32 bytes.
        tip_lamports: how much.
        blockhash: the one it is made on, 32 bytes.

    Raises: ValueError for a payer who would tip himself, or keys of another size.
    """
    payer = key.public_key().public_bytes_raw()
    if len(tip_account) != 32 or len(blockhash) != 32 or tip_account in (payer, _SYSTEM):
        raise ValueError("a tip needs another's account and a blockhash, 32 bytes each")
    keys = b"".join((payer, tip_account, _SYSTEM))
    moves = _move(_PAYER, 1) + _move(_TIPPED, tip_lamports)
    message = _HEADER + bytes((3,)) + keys + blockhash + bytes((2,)) + moves
    signature = key.sign(message)
    return Payment(bytes((1,)) + signature + message, base58.encode(signature), tip_lamports + BASE_FEE)


def _move(to: int, lamports: int) -> bytes:
    data = struct.pack("<IQ", _TRANSFER, lamports)
    return bytes((_PROGRAM, 2, _PAYER, to, len(data))) + data
