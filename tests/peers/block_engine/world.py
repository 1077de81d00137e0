"""The chain that bundles land on: slots, blockhashes that die, and signatures that are taken once."""

import hashlib
import time
from typing import Any

from solders.hash import Hash

FIRST_SLOT = 300_000_000
SKIPPED = 20_000_000
HASH_BLOCKS = 150
FINAL_SLOTS = 32
# What an account without data must hold on mainnet, in lamports.
RENT_OF_NOTHING = 890_880


class World:
    """The chain.

    Args:
        slot_s: seconds of a slot.
        final_slots: slots until one is rooted.
    """

    def __init__(self, slot_s: float = 0.4, final_slots: int = FINAL_SLOTS) -> None:
        self.slot_s, self.final_slots = slot_s, final_slots
        self._begun = time.monotonic()
        self._ahead = 0
        self.landed: dict[str, int] = {}
        # How often a transaction changed balances: a double tip would be a 2.
        self.executed: dict[str, int] = {}
        self.tips: int = 0
        # What accounts hold, in lamports; those that are not named hold a SOL. Nothing is taken from them.
        self.balances: dict[str, int] = {}
        # Why simulations fail; None: they do not.
        self.simulation_error: Any = None

    @property
    def slot(self) -> int:
        return FIRST_SLOT + self._ahead + int((time.monotonic() - self._begun) / self.slot_s)

    @property
    def height(self) -> int:
        return self.slot - SKIPPED

    def advance(self, slots: int) -> None:
        """Let slots pass at once."""
        self._ahead += slots

    def blockhash(self, back: int = 0) -> Hash:
        """Give the newest blockhash, or one that is so many blocks old."""
        return _hash(self.height - back)

    def valid(self, blockhash: Hash) -> bool:
        height = self.height
        return any(_hash(one) == blockhash for one in range(height, height - HASH_BLOCKS, -1))

    def land(self, signatures: list[str], slot: int, tip: int) -> None:
        for signature in signatures:
            self.landed[signature] = slot
            self.executed[signature] = self.executed.get(signature, 0) + 1
        self.tips += tip

    def answer(self, method: str, params: list[Any]) -> Any:
        """Answer a call of Solana's JSON-RPC; None for a method that is not served."""
        context = {"slot": self.slot}
        if method == "getSlot":
            return self.slot
        if method == "getBlockHeight":
            return self.height
        if method == "isBlockhashValid":
            return {"context": context, "value": self.valid(Hash.from_string(params[0]))}
        if method == "getEpochInfo":
            return {"absoluteSlot": self.slot, "blockHeight": self.height}
        if method == "getLatestBlockhash":
            value = {"blockhash": str(self.blockhash()), "lastValidBlockHeight": self.height + HASH_BLOCKS}
            return {"context": context, "value": value}
        if method == "getSignatureStatuses":
            return {"context": context, "value": [self.status(one) for one in params[0]]}
        if method == "getBalance":
            return {"context": context, "value": self.balances.get(params[0], 10**9)}
        if method == "getMinimumBalanceForRentExemption":
            return RENT_OF_NOTHING
        if method == "simulateTransaction":
            return {"context": context, "value": {"err": self.simulation_error, "logs": [], "unitsConsumed": 300}}
        return None

    def status(self, signature: str) -> dict[str, Any] | None:
        slot = self.landed.get(signature)
        if slot is None:
            return None
        final = self.slot - slot >= self.final_slots
        return {
            "slot": slot, "confirmations": None if final else self.slot - slot, "err": None, "status": {"Ok": None},
            "confirmationStatus": "finalized" if final else "processed",
        }  # fmt: skip


def _hash(height: int) -> Hash:
    return Hash(hashlib.sha256(f"block {height}".encode()).digest())
