"""Canaries: small bundles of the agent's own, so that it is known whether a region lands any while nobody sends.

One at a time and in one region at a time, in turn. What it may cost is put aside on disk before it is sent, and it is
sent once: what became of it the chain tells.
"""

import asyncio
import base64
import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.host.node_rpc import NodeRpc, RpcError
from agent.jito.engine import Engine
from agent.jito.payment import Payment, pay
from agent.jito.purse import Purse, PurseError
from agent.jito.transactions import TIP_ACCOUNTS, bundle_id
from agent.jito.verdicts import SendFailed, of_grpc
from common import base58
from common.clock import now_ms

log = structlog.get_logger(__name__)

# After one that could not be sent.
AGAIN_S = 60.0
# For so long the first of a life waits for the results streams.
LISTENING_S = 30.0
_AT = {"commitment": "confirmed"}
Found = TypeVar("Found")


class Skipped(Exception):
    """No canary goes out now; `reason` is stable."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Habits:
    """How canaries are sent.

    Attributes:
        key: who pays.
        cluster: whose tip accounts are known: "mainnet" or "testnet".
        period_s: seconds between two.
        tip_lamports: what one tips.
        regions: where they go, in turn.
        dry_run: they are signed and simulated, and none is sent.
    """

    key: Ed25519PrivateKey
    cluster: str
    period_s: float
    tip_lamports: int
    regions: Sequence[str]
    dry_run: bool = False


@dataclass
class Note:
    """What is told of a canary.

    Attributes:
        outcome: "sending" before it goes, then "acknowledged" or "failed"; "simulated" in a dry run.
        bundle: its id.
        region: where it goes.
        figures: what else there is to say, as text.
    """

    outcome: str
    bundle: str
    region: str
    figures: dict[str, str] = field(default_factory=dict)
    unix_ms: int = field(default_factory=now_ms)


class Canary:
    """Sends them.

    Args:
        engine: the block engine.
        node: the RPC of the node beside the agent: blockhash, balance, simulation.
        purse: what they may cost.
        worker: waits for the disk.
    """

    def __init__(self, engine: Engine, node: NodeRpc, habits: Habits, purse: Purse, worker: Executor) -> None:
        self._engine = engine
        self._node = node
        self._habits = habits
        self._purse = purse
        self._worker = worker
        self._payer = base58.encode(habits.key.public_key().public_bytes_raw())
        self._counts: Counter[tuple[str, str]] = Counter()
        self._region = ""
        self.spent_lamports = 0

    def take_counts(self) -> Counter[tuple[str, str]]:
        """Give what became of canaries since the last call, by region and outcome."""
        taken, self._counts = self._counts, Counter()
        return taken

    async def run(self, tell: Callable[[Note], None]) -> None:
        """Send one each period until cancelled.

        Args:
            tell: takes what there is to say, the first before the canary goes.
        """
        await self._listening()
        while True:
            wait_s = self._habits.period_s
            try:
                self.spent_lamports = await self._disk(self._purse.today)
                if (wait_s := await self._disk(lambda: self._purse.wait_s(self._habits.period_s))) <= 0:
                    await self.once(tell)
                    wait_s = self._habits.period_s
            except (Skipped, PurseError) as skipped:
                self._skip(skipped.reason, str(skipped))
                wait_s = min(AGAIN_S, self._habits.period_s)
            except RpcError as error:
                self._skip(error.reason, f"the node: {error.message}")
                wait_s = min(AGAIN_S, self._habits.period_s)
            except Exception:
                log.exception("a canary failed unexpectedly")
                self._skip("INTERNAL", "")
            await asyncio.sleep(wait_s)

    async def _listening(self) -> None:
        """Wait until results can be heard, or are late: a canary of which nothing could be heard says less."""
        opened = [self._engine.streams[name].opened for name in self._habits.regions]
        with suppress(TimeoutError):
            async with asyncio.timeout(LISTENING_S):
                for stream in opened:
                    await stream.wait()

    async def once(self, tell: Callable[[Note], None]) -> None:
        """Send one, or simulate it.

        Raises: Skipped, PurseError, RpcError; nothing was sent then.
        """
        spent = await self._disk(self._purse.read)
        self._region = region = self._next(self._region or spent.region)
        account = await self._tip_account(region)
        blockhash, last_height = await self._blockhash()
        made = pay(self._habits.key, account, self._habits.tip_lamports, blockhash)
        await self._afford(made.cost)
        note = Note("sending", bundle_id([made.signature]), region, {
            "signature": made.signature, "tip_lamports": str(self._habits.tip_lamports),
            "fee_lamports": str(made.cost - self._habits.tip_lamports), "last_valid_block_height": str(last_height),
        })  # fmt: skip
        if self._habits.dry_run:
            await self._simulate(made, note)
            return
        self.spent_lamports = (await self._disk(lambda: self._purse.put_aside(made.cost, region))).lamports
        tell(note)
        tell(await self._send(made, note))

    def _next(self, last: str) -> str:
        """Give the region whose turn it is, of those that are not left alone."""
        names = list(self._habits.regions)
        place = names.index(last) + 1 if last in names else 0
        for name in names[place:] + names[:place]:
            if self._engine.regions[name].breaker.state != "open":
                return name
        raise Skipped("REGIONS_LEFT_ALONE", "no region answers")

    async def _tip_account(self, region: str) -> bytes:
        try:
            listed = await self._engine.regions[region].tip_accounts()
        except grpc.aio.AioRpcError as error:
            verdict = of_grpc(error)
            raise Skipped(verdict.reason, verdict.message) from None
        known = {base58.encode(one): one for one in TIP_ACCOUNTS[self._habits.cluster]}
        both = [known[name] for name in listed if name in known]
        if not both:
            # Of another cluster, or of somebody else: neither is paid.
            words = f"{region} lists no tip account that is known of {self._habits.cluster}"
            raise Skipped("TIP_ACCOUNTS_UNKNOWN", words)
        return random.choice(both)  # noqa: S311

    async def _blockhash(self) -> tuple[bytes, int]:
        answer = await self._node.call("getLatestBlockhash", _AT)
        try:
            value = answer["value"]
            return base58.decode_key(value["blockhash"]), _count(value["lastValidBlockHeight"])
        except (KeyError, TypeError, ValueError):
            raise RpcError("RPC_GARBLED", "getLatestBlockhash: an answer of another shape") from None

    async def _afford(self, cost: int) -> None:
        """Refuse what the account cannot pay, and what would leave it with less than the chain lets stand."""
        least = _count(await self._node.call("getMinimumBalanceForRentExemption", 0, _AT))
        answer = await self._node.call("getBalance", self._payer, _AT)
        balance = _count(answer.get("value") if isinstance(answer, dict) else None)
        if balance - cost < least:
            words = f"{self._payer} has {balance:,} lamports, and needs {cost + least:,}: transfer some to it"
            raise Skipped("BALANCE_TOO_LOW", words)

    async def _simulate(self, made: Payment, note: Note) -> None:
        encoded = base64.b64encode(made.raw).decode()
        options: dict[str, Any] = {"encoding": "base64", "sigVerify": True, **_AT}
        answer = await self._node.call("simulateTransaction", encoded, options)
        value = answer.get("value") if isinstance(answer, dict) else None
        if not isinstance(value, dict):
            raise RpcError("RPC_GARBLED", "simulateTransaction: an answer of another shape")
        if value.get("err") is not None:
            raise Skipped("SIMULATION_FAILED", str(value["err"])[:300])
        self._counts[note.region, "simulated"] += 1
        log.info("a canary would be sent; this is a dry run", region=note.region, bundle=note.bundle, **note.figures)

    async def _send(self, made: Payment, note: Note) -> Note:
        figures = {"via": "grpc", "tries": "1"}

        def begun() -> None:
            figures["stream"] = "up" if self._engine.streams[note.region].up else "down"

        try:
            ack = await self._engine.send(
                note.region, note.bundle, [made.raw], "grpc", begun, canary=True, urgent=False
            )
        except SendFailed as failed:
            verdict = failed.verdict
            reason = verdict.reason if verdict.received == "no" else "SEND_UNKNOWN"
            self._counts[note.region, reason.lower()] += 1
            log.warning("a canary was not acknowledged", region=note.region, reason=reason, why=verdict.message)
            return Note("failed", note.bundle, note.region, figures | {"reason": reason, "message": verdict.message})
        self._counts[note.region, "acknowledged"] += 1
        return Note("acknowledged", note.bundle, note.region, figures | {"ack_unix_ms": str(ack.unix_ms)})

    def _skip(self, reason: str, why: str) -> None:
        self._counts[self._region, reason.lower()] += 1
        log.warning("no canary is sent", reason=reason, why=why)

    async def _disk(self, work: Callable[[], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise RpcError("RPC_GARBLED", "a number of another shape")
    return value
