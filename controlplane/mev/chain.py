"""The chain, asked about bundles: which transactions are in it, and how long a blockhash lives."""

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc

from common.errors import SolwardError
from controlplane.mev.lifecycle import Status
from controlplane.operations.outside import OutsideTrouble, OutsideUnset, OutsideView

# Signatures of one getSignatureStatuses (Solana's JSON-RPC).
MOST_SIGNATURES = 256
# A blockhash can be used for so many blocks.
BLOCKHASH_LIVES = 150
# Of one, while blocks follow each other as they should.
BLOCK_S = 0.4
_SHAPE = "the outside RPC answers in another shape than is known"


class Life(NamedTuple):
    """How long a blockhash can be used: at most until this height, which is about so many seconds away."""

    last_valid_block_height: int
    seconds: float


class Height(NamedTuple):
    """How far the chain has come: the slot and the block height of its newest confirmed block."""

    slot: int
    block_height: int


class Statuses(NamedTuple):
    """How transactions stand, None for one that is not there, as the node knew it that had come to this slot."""

    slot: int
    values: list[Status | None]


class Chain:
    """Asks.

    Args:
        outside: a Solana RPC node.
    """

    def __init__(self, outside: OutsideView) -> None:
        self._outside = outside

    async def statuses(self, signatures: Sequence[str]) -> Statuses:
        """Give how transactions stand; raises OutsideTrouble."""
        found: list[Status | None] = []
        slots: list[int] = []
        for begin in range(0, len(signatures), MOST_SIGNATURES):
            asked = list(signatures[begin : begin + MOST_SIGNATURES])
            answer = await self._outside.call("getSignatureStatuses", asked, {"searchTransactionHistory": True})
            try:
                values = answer["value"]
                if len(values) != len(asked):
                    raise OutsideTrouble(_SHAPE)
                found += [_status(value) for value in values]
                slots.append(_number(answer["context"]["slot"]))
            except (KeyError, TypeError, ValueError):
                raise OutsideTrouble(_SHAPE) from None
        return Statuses(min(slots, default=0), found)

    async def height(self) -> Height:
        """Give how far the chain has come; raises OutsideTrouble."""
        answer = await self._outside.call("getEpochInfo", {"commitment": "confirmed"})
        try:
            return Height(_number(answer["absoluteSlot"]), _number(answer["blockHeight"]))
        except (KeyError, TypeError):
            raise OutsideTrouble(_SHAPE) from None

    async def life(self, blockhashes: Sequence[str]) -> Life | None:
        """Give how long the blockhashes can be used together; None where one is dead. Raises OutsideTrouble.

        An RPC tells whether a hash can be used and not until when: that is within 150 blocks.
        """
        for blockhash in blockhashes:
            answer = await self._outside.call("isBlockhashValid", blockhash, {"commitment": "processed"})
            if not (isinstance(answer, dict) and answer.get("value") is True):
                return None
        return Life((await self.height()).block_height + BLOCKHASH_LIVES, BLOCKHASH_LIVES * BLOCK_S)

    async def simulate(self, transactions: Sequence[bytes]) -> str | None:
        """Simulate a bundle where the node offers it.

        Returns: why it would fail; empty where it would not; None where the node cannot say.
        """
        encoded = [base64.b64encode(raw).decode() for raw in transactions]
        nothing = [None] * len(encoded)
        accounts = {"preExecutionAccountsConfigs": nothing, "postExecutionAccountsConfigs": nothing}
        try:
            answer = await self._outside.call("simulateBundle", {"encodedTransactions": encoded}, accounts)
        except OutsideTrouble:
            # Only nodes that run Jito's own validator know it.
            return None
        return _failure(answer)


def unreachable(trouble: Exception) -> SolwardError:
    """Tell a caller that the chain cannot be asked: CHAIN_UNSET, or CHAIN_UNREACHABLE for now."""
    if isinstance(trouble, OutsideUnset):
        return SolwardError(grpc.StatusCode.FAILED_PRECONDITION, "CHAIN_UNSET", str(trouble))
    return SolwardError(grpc.StatusCode.UNAVAILABLE, "CHAIN_UNREACHABLE", str(trouble))


def _status(value: dict[str, Any] | None) -> Status | None:
    if value is None:
        return None
    final = value.get("confirmationStatus") == "finalized"
    return Status(_number(value["slot"]), value.get("err") is not None, final)


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise OutsideTrouble(_SHAPE)
    return value


def _failure(answer: Any) -> str | None:
    summary = answer.get("value", {}).get("summary") if isinstance(answer, dict) else None
    if isinstance(summary, str):
        return "" if summary.lower() == "succeeded" else summary[:512]
    if isinstance(summary, dict) and summary:
        return str(next(iter(summary.values())))[:512]
    return None
