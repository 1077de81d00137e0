"""The tracker at a thousand bundles a second: each with three results, followed to its end and stored."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb

from common.clock import now_ms
from controlplane.links.dispatch import Order
from controlplane.mev.bus import BundleBus
from controlplane.mev.chain import Chain
from controlplane.mev.tracker import Tracker
from controlplane.operations.outside import OutsideView
from controlplane.store.bundles import BundleRepository
from controlplane.store.database import close_engine, migrate, open_engine
from tests.bench.rows import Row, row
from tests.peers.chain import ChainPeer, chain_peer

HOST = "a" * 32
A_SECOND, SECONDS = 1_000, 10
TOLD = ("accepted", "processed", "finalized")
LAST_S = 60.0


class Nobody:
    """Stands where the way to agents is: bundles here are sent already."""

    async def carry_out(self, order: Order, tell: Callable[[str], None]) -> tuple[None, link_pb2.Receipt]:
        """Never called."""
        raise AssertionError(order)


async def run() -> list[Row]:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="solward-bench-") as folder:
        engine = open_engine(f"sqlite+aiosqlite:///{Path(folder) / 'state.db'}")
        await migrate(engine)
        bundles = BundleRepository(engine)
        try:
            async with chain_peer() as chain, OutsideView(chain.url) as outside:
                return await _measure(bundles, chain, outside)
        finally:
            await close_engine(engine)


async def _measure(bundles: BundleRepository, chain: ChainPeer, outside: OutsideView) -> list[Row]:
    await bundles.set_budget(10**12, 0, "user:bench")
    made = [_bundle(number) for number in range(A_SECOND * SECONDS)]
    for one in made:
        await bundles.add(one, HOST, [], None)
    ended: list[str] = []

    def count(one: pb.Bundle) -> None:
        ended.append(one.name)

    tracker = Tracker(bundles, Chain(outside), Nobody(), BundleBus(), count, lambda _: None)  # type: ignore[arg-type]
    process, task = psutil.Process(), asyncio.create_task(tracker.run())
    await asyncio.sleep(1.0)
    resident, began, used = process.memory_info().rss, time.monotonic(), time.process_time()
    for second in range(SECONDS):
        for one in made[second * A_SECOND : (second + 1) * A_SECOND]:
            chain.land(*one.signatures, slot=70, final=True)
            tracker.take(HOST, [_event(one, kind) for kind in TOLD])
        await asyncio.sleep(max(0.0, began + second + 1 - time.monotonic()))
    cpu = (time.process_time() - used) / (time.monotonic() - began)
    while len(ended) < len(made) and time.monotonic() - began < LAST_S:
        await asyncio.sleep(0.1)
    grown = (process.memory_info().rss - resident) / 1e6
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    kept = [one for _, one in await bundles.page(None, "", None, len(made) + 1)]
    lost = sum(one.state != pb.BUNDLE_STATE_FINALIZED or len(one.events) != len(TOLD) for one in kept)
    detail = f"{A_SECOND:,} bundles/s for {SECONDS} s, three results each, stored in SQLite, the chain asked about all"
    return [
        row("tracker_lost_results", lost + len(made) - len(kept), "", "<= 0", detail),
        row("tracker_cpu_cores", cpu, "cores", "<= 1", "the chain's peer in the same process included"),
        row("tracker_rss_growth_mb", grown, "MB", "<= 200", f"{len(made):,} bundles followed"),
    ]


def _bundle(number: int) -> pb.Bundle:
    one = pb.Bundle(
        name=f"bundles/{number:064x}", host="hosts/sol-1", state=pb.BUNDLE_STATE_SENT, tip_lamports=1_000,
        signatures=[f"{number:064x}"], last_valid_block_height=10**9,
    )  # fmt: skip
    one.create_time.FromMilliseconds(now_ms())
    return one


def _event(one: pb.Bundle, kind: str) -> link_pb2.Event:
    told = {"bundle": one.name.partition("/")[2], "region": "ny", "outcome": kind, "slot": "70"}
    return link_pb2.Event(kind="jito.bundle", unix_ms=now_ms(), attributes=told)
