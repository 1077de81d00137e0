"""A Solana RPC that knows a few transactions: what is in it, and what of it is rooted, is set by the test.

Answers have the shapes of Solana's JSON-RPC (getSignatureStatuses, getEpochInfo, isBlockhashValid,
getRecentPrioritizationFees); simulateBundle is there only where a test says what it tells, as on nodes of Jito's own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from solders.signature import Signature


@dataclass
class ChainPeer:
    """The chain, as it stands.

    Attributes:
        statuses: by signature.
        dead: blockhashes that cannot be used any more.
        down: every call fails.
        behind: slots that the node that tells statuses is behind the one that tells the height.
        simulation: what simulateBundle tells; None: the node does not know it.
    """

    height: int = 1_000
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    fees: list[dict[str, int]] = field(default_factory=list)
    down: bool = False
    behind: int = 0
    simulation: Any = None
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def land(self, *signatures: str, slot: int = 70, err: Any = None, final: bool = False) -> None:
        """Put transactions into a block."""
        for signature in signatures:
            self.statuses[signature] = {
                "slot": slot, "confirmations": None if final else 1, "err": err,
                "confirmationStatus": "finalized" if final else "confirmed",
            }  # fmt: skip

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one call."""
        if self.down:
            return web.Response(status=503)
        asked = await request.json()
        self.asked.append(asked["method"])
        try:
            found = self._result(asked["method"], asked["params"])
        except ValueError:
            wrong = {"code": -32602, "message": "Invalid param: WrongSize"}
            return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "error": wrong})
        reply = {"result": found} if found is not None else {"error": {"code": -32601, "message": "Method not found"}}
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], **reply})

    def _result(self, method: str, params: list[Any]) -> Any:
        context = {"slot": self.height + 10}
        if method == "getEpochInfo":
            return {"absoluteSlot": self.height + 10, "blockHeight": self.height}
        if method == "isBlockhashValid":
            return {"context": context, "value": params[0] not in self.dead}
        if method == "getSignatureStatuses":
            for one in params[0]:
                # For one that is none a node refuses the whole question (agave, rpc: verify_signature).
                Signature.from_string(one)
            behind = {"slot": context["slot"] - self.behind}
            return {"context": behind, "value": [self.statuses.get(one) for one in params[0]]}
        if method == "getRecentPrioritizationFees":
            return self.fees
        if method == "simulateBundle":
            return self.simulation
        return None


@asynccontextmanager
async def chain_peer() -> AsyncIterator[ChainPeer]:
    """Serve a chain on a free port."""
    made = ChainPeer()
    app = web.Application()
    app.router.add_post("/", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()
