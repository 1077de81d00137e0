"""What a block engine refuses before any auction, in its own words."""

import base64
import binascii
from typing import NamedTuple

import grpc
from solders.transaction import SanitizeError, VersionedTransaction

from controlplane.mev.transactions import (
    BASE_FEE,
    LEAST_TIP,
    MOST_BYTES,
    MOST_TRANSACTIONS,
    TIP_ACCOUNTS,
    Read,
    _read,
    bundle_id,
)  # fmt: skip
from tests.peers.block_engine.world import World

PARAMS, INTERNAL, LIMITED = -32602, -32603, -32097
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
MOST_LOCKS = 64
assert BASE_FEE == 5_000


class Refused(Exception):
    """A call that is refused, as both wires say it."""

    def __init__(
        self, message: str, code: int = PARAMS, status: int = 400,
        grpc_code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT, *, wait_ms: int | None = None,
        nameless: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.message, self.code, self.status, self.grpc_code = message, code, status, grpc_code
        self.wait_ms, self.nameless = wait_ms, nameless


class Judged(NamedTuple):
    """A bundle that may bid; `locks` are the accounts that it writes, without tip accounts."""

    ident: str
    signatures: list[str]
    tip: int
    units: int
    locks: frozenset[str]


def decode(texts: list[str], encoding: str) -> list[bytes]:
    """Decode transactions as JSON-RPC carries them."""
    found = []
    for place, text in enumerate(texts):
        try:
            found.append(base64.b64decode(text, validate=True) if encoding == "base64" else _base58(text))
        except (ValueError, binascii.Error):
            raise Refused(f"transaction #{place} could not be decoded") from None
    return found


def judge(transactions: list[bytes], world: World, accounts: frozenset[str] = TIP_ACCOUNTS["mainnet"]) -> Judged:
    """Judge a bundle; raises Refused."""
    if len(transactions) > MOST_TRANSACTIONS:
        raise Refused("bundle exceeds max transaction length: exceeded maximum number of transactions, 5")
    parsed = [_parse(place, raw) for place, raw in enumerate(transactions)]
    signatures = [str(one.signatures[0]) for one in parsed]
    if not parsed or len(set(signatures)) < len(signatures):
        raise Refused("bundles must not contain any duplicate transactions and every transaction must be signed")
    if any(len(one.message.account_keys) > MOST_LOCKS for one in parsed):
        raise Refused("transaction has too many account locks", INTERNAL, 500, grpc.StatusCode.INTERNAL)
    if any(one in world.landed for one in signatures):
        raise Refused("bundle contains an already processed transaction")
    if not all(world.valid(one.message.recent_blockhash) for one in parsed):
        raise Refused("bundle contains an expired blockhash")
    read: list[Read] = [_read(place, raw, "mainnet") for place, raw in enumerate(transactions)]
    tip = sum(one.tip_lamports for one in read)
    locks = {str(key) for one in parsed for place, key in enumerate(one.message.account_keys) if _writes(one, place)}
    if not locks & accounts or tip < LEAST_TIP:
        raise Refused("Bundles must write lock at least one tip account to be eligible for the auction.")
    units = sum(one.compute_units for one in read)
    return Judged(bundle_id(signatures), signatures, tip, units, frozenset(locks - accounts))


def _parse(place: int, raw: bytes) -> VersionedTransaction:
    try:
        if len(raw) > MOST_BYTES:
            raise ValueError("too long")
        found = VersionedTransaction.from_bytes(raw)
        found.sanitize()
    except (ValueError, SanitizeError):
        raise Refused(f"transaction #{place} could not be decoded") from None
    if not all(found.verify_with_results()):
        # An unsigned one has a signature of zeros, which is written as ones.
        raise Refused(f"transaction {found.signatures[0]} is invalid")
    return found


def _writes(transaction: VersionedTransaction, place: int) -> bool:
    header, keys = transaction.message.header, len(transaction.message.account_keys)
    if place < header.num_required_signatures:
        return place < header.num_required_signatures - header.num_readonly_signed_accounts
    return place < keys - header.num_readonly_unsigned_accounts


def _base58(text: str) -> bytes:
    number = 0
    for char in text:
        number = number * 58 + _ALPHABET.index(char)
    return bytes(len(text) - len(text.lstrip("1"))) + number.to_bytes((number.bit_length() + 7) // 8, "big")
