"""An engine of the agent's before a block engine, and commands to send bundles."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from solward.hosts.v1 import link_pb2

from agent.actions.bundle import BundleAct
from agent.allowlist import Bundles
from agent.jito.engine import Engine, Wishes
from agent.jito.memory import Memory
from agent.jito.region import Place
from agent.jito.results import Result
from agent.jito.transactions import read_bundle
from common.clock import now_ms
from common.permits import request_sha256, sign_permit
from tests.peers.block_engine import Peer
from tests.support.bundles import tipping
from tests.unit.agent.fakes import HOST_UID


def make_engine(peer: Peer, memory: Memory | None = None, **wishes: Any) -> Engine:
    places = {name: Place(served.url, served.json_rpc) for name, served in peer.regions.items()}
    return Engine(
        Wishes(places, **({"per_second": 500.0, "send_s": 2.0, "period_s": 600.0, "leader_s": 0.0} | wishes)), memory
    )


class Stand:
    """An engine that runs; `results` are those that it told."""

    def __init__(self, peer: Peer, engine: Engine) -> None:
        self.peer, self.engine = peer, engine
        self.results: list[Result] = []
        self.told: list[str] = []
        engine.listen(self.results.append)

    def bundle(self, *, tip: int = 10_000, count: int = 1, **options: Any) -> list[bytes]:
        hash_ = self.peer.world.blockhash()
        return [tipping(tip, blockhash=hash_, **options) for _ in range(count)]

    async def submit(self, transactions: Sequence[bytes], region: str = "", within_s: float = 5.0) -> Any:
        act = BundleAct(self.engine, action(transactions, region, within_s), Bundles(10**9))
        await act.precondition(await act.look())
        return await act.act(self.told.append)

    async def until(self, what: Callable[[], object], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.01)

    def outcomes(self, ident: str) -> list[str]:
        return [one.outcome for one in self.results if one.bundle == ident]


@asynccontextmanager
async def standing(
    peer: Peer, *, streams: bool = True, engine: Engine | None = None, **wishes: Any
) -> AsyncIterator[Stand]:
    engine = engine or make_engine(peer, results=streams, **wishes)
    made = Stand(peer, engine)
    task = asyncio.create_task(engine.run())
    try:
        if streams:
            await made.until(lambda: all(one.up for one in engine.streams.values()))
            await made.until(lambda: all(one.rtt_s for one in engine.regions.values()))
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def action(
    transactions: Sequence[bytes], region: str = "", within_s: float = 5.0, tip: int = 10_000
) -> link_pb2.BundleAction:
    return link_pb2.BundleAction(
        bundle=read_bundle(transactions).ident, transactions=transactions, region=region, tip_lamports=tip,
        deadline_unix_ms=now_ms() + round(within_s * 1000),
    )  # fmt: skip


def bundle_command(key: Any, wanted: link_pb2.BundleAction, **permit: Any) -> link_pb2.Command:
    request = link_pb2.ActionRequest(bundle=wanted).SerializeToString()
    fields: dict[str, Any] = {
        "id": uuid.uuid4().hex, "host_uid": HOST_UID, "action": "jito.submit", "step": "send",
        "request_sha256": request_sha256(request), "operation": f"bundles/{wanted.bundle}",
        "not_before_unix_ms": now_ms() - 1000, "expire_unix_ms": now_ms() + 60_000,
    } | permit  # fmt: skip
    return link_pb2.Command(permit=sign_permit(key, link_pb2.Permit(**fields)), request=request)
