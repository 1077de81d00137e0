"""Signed transactions as a searcher hands them in: read, and held against what the block engine demands.

Demands and limits are those of Jito's documentation of low-latency transaction sending (bundles) and of Solana's wire
format: five transactions of 1,232 bytes, each signed, none twice, and a tip of 1,000 lamports at the least to one of
eight accounts, which must be named by the transaction itself and not by a look-up table.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import grpc
from solders.instruction import CompiledInstruction
from solders.message import MessageHeader
from solders.transaction import SanitizeError, VersionedTransaction

from common.errors import SolwardError

MOST_TRANSACTIONS = 5
MOST_BYTES = 1232
# The most is what a budget can be at the most.
LEAST_TIP, MOST_TIP = 1_000, 10**15
BASE_FEE = 5_000
# Without a limit of its own a transaction reserves so many units for each instruction, and fewer for one of a program
# that is built in (SIMD-0170).
UNITS_OF_INSTRUCTION, UNITS_OF_BUILTIN, MOST_UNITS = 200_000, 3_000, 1_400_000
# Nobody means to pay more, in lamports (1,000 SOL): a price of compute units that was mistaken for lamports.
MOST_FEE = 1_000 * 10**9
_SYSTEM = "11111111111111111111111111111111"
_COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
_BUILTINS = frozenset((
    _SYSTEM, _COMPUTE_BUDGET,
    "BPFLoader1111111111111111111111111111111111", "BPFLoader2111111111111111111111111111111111",
    "BPFLoaderUpgradeab1e11111111111111111111111", "LoaderV411111111111111111111111111111111111",
    "Vote111111111111111111111111111111111111111", "KeccakSecp256k11111111111111111111111111111",
    "Ed25519SigVerify111111111111111111111111111",
))  # fmt: skip
_TRANSFER, _UNIT_LIMIT, _UNIT_PRICE = 2, 2, 3
# Program-derived addresses of T1pyyaTNZsKv2WcRAB8oVnk93mLJw2XzjtVYqCsaHqt, seeds TIP_ACCOUNT_0 to 7.
TIP_ACCOUNTS = {
    "mainnet": frozenset((
        "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5", "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
        "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY", "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
        "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh", "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
        "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL", "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
    )),
    # Of DCN82qDxJAQuSqHhv2BJuAgi41SPeKZB5ioBCTMNDrCC.
    "testnet": frozenset((
        "9n3d1K5YD2vECAbRFhFFGYNNjiXtHXJWn9F31t89vsAV", "aTtUk2DHgLhKZRDjePq6eiHRKC1XXFMBiSUfQ2JNDbN",
        "B1mrQSpdeMU9gCvkJ6VsXVVoYjRGkNA7TtjMyqxrhecH", "9ttgPBBhRYFuQccdR1DSnb7hydsWANoDsV3P9kaGMCEh",
        "4xgEmT58RwTNsF5xm2RMYCnR1EVukdK8a1i2qFjnJFu3", "EoW3SUQap7ZeynXQ2QJ847aerhxbPVr843uMeTfc9dxM",
        "E2eSqe33tuhAHKTrwky5uEjaVqnb2T9ns6nHHUrN8588", "ARTtviJkLLt6cHGQDydfo1Wyk6M4VGZdKZ2ZhdnJL336",
    )),
}  # fmt: skip
_ANY_TIP_ACCOUNT = frozenset().union(*TIP_ACCOUNTS.values())


class Read(NamedTuple):
    """What one transaction says.

    Attributes:
        signature: its first, base58.
        blockhash: the one it is made on, base58.
        payer: who pays its fee, base58.
        tip_lamports: plain transfers to tip accounts by its own instructions.
        names_tip_account: whether it writes a tip account.
        foreign_tip: it tips an account of this other cluster.
        compute_units: its limit.
        fee_lamports: base fee and priority fee.
    """

    signature: str
    blockhash: str
    payer: str
    tip_lamports: int
    names_tip_account: bool
    foreign_tip: str
    compute_units: int
    fee_lamports: int


class Bundle(NamedTuple):
    """What a whole bundle says; `uid` is the id that the block engine will give it.

    `own` are the places of the transactions whose fees are paid by who pays the tip.
    """

    uid: str
    signatures: tuple[str, ...]
    blockhashes: tuple[str, ...]
    tip_lamports: int
    compute_units: int
    fee_lamports: int
    own: tuple[int, ...]


def read_bundle(transactions: Sequence[bytes], cluster: str) -> Bundle:
    """Read a bundle, and refuse what no block engine would take.

    Args:
        transactions: as on the wire.
        cluster: "mainnet" or "testnet".

    Raises: SolwardError BUNDLE_INVALID, which names the transaction and what would be right.
    """
    if not 1 <= len(transactions) <= MOST_TRANSACTIONS:
        raise _refused("transactions", f"must be 1 to {MOST_TRANSACTIONS} transactions, and are {len(transactions)}")
    read = [_read(place, raw, cluster) for place, raw in enumerate(transactions)]
    signatures = tuple(one.signature for one in read)
    for place, signature in enumerate(signatures):
        if signature in signatures[:place]:
            raise _refused(f"transactions[{place}]", "is the same as an earlier one: each may be there once")
    foreign = next((one.foreign_tip for one in read if one.foreign_tip), "")
    tip = sum(one.tip_lamports for one in read)
    if not tip and foreign:
        raise _refused("transactions", f"tip an account of {foreign}: this is {cluster}")
    if not any(one.names_tip_account for one in read):
        raise _refused("transactions", "must write a tip account, by its own key and not through a look-up table")
    if tip > MOST_TIP:
        raise _refused("transactions", f"must not tip over {MOST_TIP:,} lamports, and would tip {tip:,}")
    if tip < LEAST_TIP:
        words = f"must tip {LEAST_TIP} lamports at the least, by a plain transfer to a tip account, and tip {tip}"
        raise _refused("transactions", words)
    fee = sum(one.fee_lamports for one in read)
    if fee > MOST_FEE:
        raise _refused("transactions", f"must not pay over {MOST_FEE:,} lamports of fees, and would pay {fee:,}")
    payers = {one.payer for one in read if one.tip_lamports}
    return Bundle(
        bundle_id(signatures), signatures, tuple(dict.fromkeys(one.blockhash for one in read)), tip,
        sum(one.compute_units for one in read), fee,
        tuple(place for place, one in enumerate(read) if one.payer in payers),
    )  # fmt: skip


def bundle_id(signatures: Sequence[str]) -> str:
    """Give the id of a bundle by its transactions' first signatures, base58.

    The block engine's own rule (jito-solana, bundle/src/lib.rs): SHA-256 over them, joined by commas.
    """
    return hashlib.sha256(",".join(signatures).encode()).hexdigest()


def _read(place: int, raw: bytes, cluster: str) -> Read:
    field = f"transactions[{place}]"
    if len(raw) > MOST_BYTES:
        raise _refused(field, f"must be {MOST_BYTES} bytes at the most, and is {len(raw)}")
    try:
        transaction = VersionedTransaction.from_bytes(raw)
        transaction.sanitize()
        signed = transaction.verify_with_results()
    except (ValueError, SanitizeError) as error:
        form = "send its bytes, in JSON and in files as base64, not base58"
        raise _refused(field, f"is no transaction as on the wire ({type(error).__name__}): {form}") from None
    if bytes(transaction) != raw:
        raise _refused(field, "has bytes behind its end")
    if not all(signed):
        raise _refused(field, f"is not signed: signature {signed.index(False)} does not hold")
    message = transaction.message
    keys = [str(key) for key in message.account_keys]
    own, tips, foreign = TIP_ACCOUNTS[cluster], 0, ""
    units, price = None, 0
    for instruction in message.instructions:
        program = keys[instruction.program_id_index] if instruction.program_id_index < len(keys) else ""
        to, lamports = _transfer(instruction, program, keys)
        if not to and any(keys[index] in _ANY_TIP_ACCOUNT for index in instruction.accounts if index < len(keys)):
            words = "may pay a tip account by a plain transfer alone: of anything else it cannot be told how much"
            raise _refused(field, words)
        tips += lamports if to in own else 0
        foreign = next((name for name, accounts in TIP_ACCOUNTS.items() if name != cluster and to in accounts), foreign)
        units, price = _budget(instruction, program, units, price)
    if units is None:
        built_in = sum(keys[one.program_id_index] in _BUILTINS for one in message.instructions)
        units = UNITS_OF_BUILTIN * built_in + UNITS_OF_INSTRUCTION * (len(message.instructions) - built_in)
    units = min(units, MOST_UNITS)
    fee = BASE_FEE * message.header.num_required_signatures + -(-units * price // 1_000_000)
    named = any(key in own and _writes(message.header, len(keys), index) for index, key in enumerate(keys))
    return Read(
        str(transaction.signatures[0]), str(message.recent_blockhash), keys[0], tips, named, foreign, units, fee
    )


def _writes(header: MessageHeader, keys: int, index: int) -> bool:
    """Say whether a transaction may write the account of a key: readonly ones are last, of signers and of the rest."""
    signers = header.num_required_signatures
    if index < signers:
        return index < signers - header.num_readonly_signed_accounts
    return index < keys - header.num_readonly_unsigned_accounts


def _transfer(instruction: CompiledInstruction, program: str, keys: list[str]) -> tuple[str, int]:
    """Give whom a transfer of the system program pays, and how much; nobody where it is none."""
    data, accounts = bytes(instruction.data), instruction.accounts
    if program != _SYSTEM or len(data) != 12 or int.from_bytes(data[:4], "little") != _TRANSFER or len(accounts) < 2:
        return "", 0
    index = accounts[1]
    return (keys[index], int.from_bytes(data[4:], "little")) if index < len(keys) else ("", 0)


def _budget(instruction: CompiledInstruction, program: str, units: int | None, price: int) -> tuple[int | None, int]:
    data = bytes(instruction.data)
    if program == _COMPUTE_BUDGET and data:
        if data[0] == _UNIT_LIMIT and len(data) == 5:
            return int.from_bytes(data[1:], "little"), price
        if data[0] == _UNIT_PRICE and len(data) == 9:
            return units, int.from_bytes(data[1:], "little")
    return units, price


def _refused(field: str, why: str) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.INVALID_ARGUMENT, "BUNDLE_INVALID", f"{field} {why}", {"field": field}, ((field, why),)
    )
