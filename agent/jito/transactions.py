"""What the agent must know of a signed transaction: its first signature, and what it tips by its own instructions.

Read by hand, since a library for it would outweigh the rest of the agent. Solana's wire format: a count of signatures,
the signatures, and a message (legacy, or version 0 behind a byte of 0x80).
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from common import base58

MOST_TRANSACTIONS, MOST_BYTES = 5, 1232
_SIGNATURE, _KEY = 64, 32
_SYSTEM, _TRANSFER, _TRANSFER_BYTES = bytes(_KEY), 2, 12
# Program-derived addresses of T1pyyaTNZsKv2WcRAB8oVnk93mLJw2XzjtVYqCsaHqt (mainnet) and of
# DCN82qDxJAQuSqHhv2BJuAgi41SPeKZB5ioBCTMNDrCC (testnet), seeds TIP_ACCOUNT_0 to 7.
_MAINNET = frozenset(map(base58.decode_key, (
    "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5", "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
    "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY", "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
    "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh", "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
    "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL", "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
)))  # fmt: skip
_TESTNET = frozenset(map(base58.decode_key, (
    "9n3d1K5YD2vECAbRFhFFGYNNjiXtHXJWn9F31t89vsAV", "aTtUk2DHgLhKZRDjePq6eiHRKC1XXFMBiSUfQ2JNDbN",
    "B1mrQSpdeMU9gCvkJ6VsXVVoYjRGkNA7TtjMyqxrhecH", "9ttgPBBhRYFuQccdR1DSnb7hydsWANoDsV3P9kaGMCEh",
    "4xgEmT58RwTNsF5xm2RMYCnR1EVukdK8a1i2qFjnJFu3", "EoW3SUQap7ZeynXQ2QJ847aerhxbPVr843uMeTfc9dxM",
    "E2eSqe33tuhAHKTrwky5uEjaVqnb2T9ns6nHHUrN8588", "ARTtviJkLLt6cHGQDydfo1Wyk6M4VGZdKZ2ZhdnJL336",
)))  # fmt: skip
TIP_ACCOUNTS = {"mainnet": _MAINNET, "testnet": _TESTNET}
_ANY_CLUSTER = _MAINNET | _TESTNET


class Read(NamedTuple):
    """What one transaction says: its first signature, base58, and what it tips in lamports."""

    signature: str
    tip_lamports: int


class Bundle(NamedTuple):
    """What a bundle says: the id that the block engine gives it, and what it tips in lamports."""

    ident: str
    tip_lamports: int


def read_bundle(transactions: Sequence[bytes]) -> Bundle:
    """Read a bundle; raises ValueError, which names the transaction and what would be right."""
    if not 1 <= len(transactions) <= MOST_TRANSACTIONS:
        raise ValueError(f"a bundle has 1 to {MOST_TRANSACTIONS} transactions, and this one {len(transactions)}")
    read = []
    for place, raw in enumerate(transactions):
        try:
            read.append(read_transaction(raw))
        except ValueError as error:
            raise ValueError(f"transactions[{place}]: {error}") from None
    return Bundle(bundle_id([one.signature for one in read]), sum(one.tip_lamports for one in read))


def bundle_id(signatures: Sequence[str]) -> str:
    """Give the id of a bundle by its transactions' first signatures, base58.

    The block engine's own rule (jito-solana, bundle/src/lib.rs): SHA-256 over them, joined by commas.
    """
    return hashlib.sha256(",".join(signatures).encode()).hexdigest()


def read_transaction(raw: bytes) -> Read:
    """Read a transaction as on the wire; raises ValueError."""
    if len(raw) > MOST_BYTES:
        raise ValueError(f"a transaction has at most {MOST_BYTES} bytes, and this one {len(raw)}")
    wire = _Wire(raw)
    signatures = [wire.take(_SIGNATURE) for _ in range(wire.count())]
    if not signatures:
        raise ValueError("it is not signed")
    tip = _tip(wire)
    if wire.left:
        raise ValueError(f"{wire.left} bytes stand behind its end")
    return Read(base58.encode(signatures[0]), tip)


def _tip(wire: "_Wire") -> int:
    version = wire.peek()
    if versioned := bool(version & 0x80):
        wire.take(1)
        if version != 0x80:
            raise ValueError(f"its version is {version & 0x7F}, and 0 is the latest that is known")
    wire.take(3)
    keys = [wire.take(_KEY) for _ in range(wire.count())]
    wire.take(_KEY)
    tip = 0
    for _ in range(wire.count()):
        program, accounts, data = wire.take(1)[0], wire.take(wire.count()), wire.take(wire.count())
        named = [keys[index] for index in accounts if index < len(keys)]
        if not _ANY_CLUSTER.isdisjoint(named):
            tip += _transferred(keys[program] if program < len(keys) else b"", keys, accounts, data)
    if versioned:
        for _ in range(wire.count()):
            wire.take(_KEY)
            wire.take(wire.count())
            wire.take(wire.count())
    return tip


def _transferred(program: bytes, keys: list[bytes], accounts: bytes, data: bytes) -> int:
    """Give what an instruction that names a tip account pays it; raises ValueError where that cannot be told."""
    plain = program == _SYSTEM and len(data) == _TRANSFER_BYTES and int.from_bytes(data[:4], "little") == _TRANSFER
    if not plain or len(accounts) < 2:
        raise ValueError(
            "it may pay a tip account by a plain transfer alone: of anything else it cannot be told how much"
        )
    to = keys[accounts[1]] if accounts[1] < len(keys) else b""
    return int.from_bytes(data[4:], "little") if to in _ANY_CLUSTER else 0


class _Wire:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._raw) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError(f"it ends {size - self.left} bytes too early")
        self._at += size
        return self._raw[self._at - size : self._at]

    def peek(self) -> int:
        if not self.left:
            raise ValueError("it ends where its message should begin")
        return self._raw[self._at]

    def count(self) -> int:
        """Read a compact number: seven bits a byte, three bytes at the most."""
        number = 0
        for place in range(3):
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << (7 * place)
            if not byte & 0x80:
                return number
        raise ValueError("one of its counts is too long")
