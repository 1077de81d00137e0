"""One control plane's part in bundles, with a peer for the chain and a stand-in for the way to the agent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.links.dispatch import Order
from controlplane.mev import tracker as tracker_module
from controlplane.mev.bus import BundleBus
from controlplane.mev.chain import Chain
from controlplane.mev.choice import Choice
from controlplane.mev.learning import Learning
from controlplane.mev.submit import Submitter
from controlplane.mev.tip_feed import TipFeed
from controlplane.mev.tracker import Tracker
from controlplane.operations.outside import OutsideView
from controlplane.store.bundles import BundleRepository
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.hosts import HostRow
from controlplane.store.models import ModelRepository
from tests.peers.chain import ChainPeer, chain_peer
from tests.support.bundles import tipping

HOST = "a" * 32
Receipt = dict[str, Any] | type[Exception]


class Agent:
    """Stands where the way to the agent is: keeps orders, and answers each by what it was told to."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.answer: Receipt = {"region": "ny", "tries": "1", "via": "grpc", "ack_unix_ms": "1700000000000"}
        self.refusal = ""

    async def carry_out(self, order: Order, _: Callable[[str], None]) -> tuple[None, link_pb2.Receipt]:
        self.orders.append(order)
        if isinstance(self.answer, type):
            raise self.answer
        result = link_pb2.RECEIPT_RESULT_REFUSED if self.refusal else link_pb2.RECEIPT_RESULT_DONE
        return None, link_pb2.Receipt(result=result, reason=self.refusal, figures=self.answer)


class World:
    """One control plane's part in bundles, on a store that outlives it."""

    def __init__(self, engine: AsyncEngine, chain: ChainPeer, outside: OutsideView) -> None:
        self.bundles, self.chain = BundleRepository(engine), chain
        self.agent, self.bus, self.ended = Agent(), BundleBus(), []
        self.findings: list[str] = []
        self.counted: list[pb.Bundle] = []
        self.choices: list[Choice] = []
        self.online = True
        self.seen = {"hosts/sol-1"}
        self.limits: link_pb2.BundleLimits | None = None
        self.tips = TipFeed("", 10, lambda _: None)
        learning = Learning(self.tips, ModelRepository(engine))
        self.tracker = Tracker(
            self.bundles, Chain(outside), self.agent, self.bus, self.ended.append, self.counted.append
        )
        self.submitter = Submitter(
            "mainnet", self.bundles, Chain(outside), self.tracker, learning, self._tell,
            lambda _: self.online, lambda _: self.limits, lambda _: self.choices,
        )  # fmt: skip

    def _tell(self, _: str, event: link_pb2.Event) -> None:
        self.findings.append(event.kind)

    async def submit(self, *transactions: bytes, **more: Any) -> pb.Bundle:
        row = HostRow(**dict.fromkeys(HostRow._fields) | {"uid": HOST, "name": "sol-1"})
        request = pb.SubmitBundleRequest(transactions=transactions or (tipping(),), **more)
        return await self.submitter.submit(request, row, "service:bot", lambda host: host in self.seen)

    async def stored(self, bundle: pb.Bundle) -> pb.Bundle:
        found = await self.bundles.find(bundle.name.partition("/")[2])
        assert found is not None
        return found.bundle

    async def until(self, bundle: pb.Bundle, *states: pb.BundleState) -> pb.Bundle:
        async with asyncio.timeout(10):
            while (found := await self.stored(bundle)).state not in states:
                await asyncio.sleep(0.02)
            return found


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    task = asyncio.create_task(world.tracker.run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], World]]:
    """Make control planes that live one after the other."""
    monkeypatch.setattr(tracker_module, "LOOK_SECONDS", 0.05)
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'state.db'}")
    await migrate(engine)
    await BundleRepository(engine).set_budget(1_000_000, 100_000, "user:ann")
    async with chain_peer() as chain, OutsideView(chain.url) as outside:
        yield lambda: World(engine, chain, outside)
    await close_engine(engine)


def told(bundle: pb.Bundle, outcome: str, **more: str) -> link_pb2.Event:
    attributes = {"bundle": bundle.name.partition("/")[2], "region": "ny", "outcome": outcome} | more
    return link_pb2.Event(kind="jito.bundle", unix_ms=1_700_000_000_500, attributes=attributes)
