"""Signed transactions for tests."""

from collections.abc import Sequence

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

TIP_ACCOUNT = "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5"
TESTNET_TIP_ACCOUNT = "9n3d1K5YD2vECAbRFhFFGYNNjiXtHXJWn9F31t89vsAV"


def pay(payer: Keypair, to: str, lamports: int) -> Instruction:
    """Transfer lamports."""
    params = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=Pubkey.from_string(to), lamports=lamports)
    return transfer(params)


def signed(payer: Keypair, instructions: Sequence[Instruction], blockhash: Hash | None = None) -> bytes:
    """Sign a transaction, as on the wire."""
    message = MessageV0.try_compile(payer.pubkey(), list(instructions), [], blockhash or Hash.default())
    return bytes(VersionedTransaction(message, [payer]))


def tipping(
    tip: int = 10_000, *, payer: Keypair | None = None, to: str = TIP_ACCOUNT, blockhash: Hash | None = None,
    units: int = 0, price: int = 0,
) -> bytes:  # fmt: skip
    """Make a transaction that tips, with a compute budget where one is given."""
    payer = payer or Keypair()
    budget = [set_compute_unit_limit(units)] if units else []
    budget += [set_compute_unit_price(price)] if price else []
    return signed(payer, [*budget, pay(payer, to, tip)], blockhash)
