"""The demo's fleet: a control plane and three hosts that differ a little."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from tests.demo.outside import outside_rpc
from tests.peers.block_engine.peer import Peer, block_engine
from tests.peers.fixtures import validator_peer
from tests.support import pipeline
from tests.support.authorities import task
from tests.support.cluster import Cluster, cluster
from tests.support.pipeline import stores

# When the demo's cluster of Solana nodes began, so that all of them are at the same slot.
GENESIS = time.time() - 3600
# Slots between their own leader slots: far enough away for a restart at any time of a demo.
LEADER_EVERY = 100_000

# Milliseconds that each validator takes to answer, so that the live view has something to show.
HOSTS: dict[str, dict[str, Any]] = {
    "sol-1": {"latency_ms": {"getProgramAccounts": 24, "getBlock": 9, "getSlot": 1}},
    "sol-2": {"latency_ms": {"getProgramAccounts": 61, "getBlock": 17, "getSlot": 2}},
    "sol-3": {"latency_ms": {"getProgramAccounts": 35, "getBlock": 12}, "error_code": {"getBlock": -32004}},
}


class Demo(NamedTuple):
    """What the demo runs: the fleet, the block engine that it reaches, and where its pipeline leads."""

    fleet: Cluster
    engine: Peer
    stores: pipeline.Stores


@asynccontextmanager
async def demo_fleet() -> AsyncIterator[Demo]:
    """Run the control plane and what is outside of the fleet, in a folder that is removed at the end.

    Hosts are added by the tour.
    """
    with tempfile.TemporaryDirectory(prefix="solward-demo-") as name, stores(Path(name)) as kept:
        folder = Path(name)
        async with validator_peer(genesis=GENESIS) as outside, block_engine("ny", "slc", slot_s=0.4) as engine:
            bundles = engine["ny"].json_rpc
            async with (
                outside_rpc(outside.rpc_url, f"{bundles}/rpc") as rpc,
                cluster(
                    folder,
                    solana_rpc_url=rpc,
                    gates={"free_gigabytes": 1},
                    jito=_tips(bundles),
                    geyser=pipeline.SETTINGS,
                ) as fleet,
                task(_feed(fleet, kept)),
            ):
                yield Demo(fleet, engine, kept)


async def _feed(fleet: Cluster, kept: pipeline.Stores) -> None:
    while pipeline.HOST not in fleet.hosts:
        await asyncio.sleep(0.2)
    while True:
        # Its node is away while it is restarted.
        with contextlib.suppress(aiohttp.ClientError, KeyError):
            await pipeline.feed(fleet.hosts[pipeline.HOST], kept.broker)
        await asyncio.sleep(0.5)


def reached(engine: Peer) -> dict[str, Any]:
    """Give an agent's settings of a block engine."""
    regions = {name: {"url": one.url, "json_rpc": one.json_rpc} for name, one in engine.regions.items()}
    return {"regions": regions, "requests_per_second": 50, "rtt_period_seconds": 5}


def _tips(url: str) -> dict[str, str]:
    at = f"{url}/api/v1/bundles"
    return {"tip_floor_url": f"{at}/tip_floor", "tip_stream_url": f"ws{at.removeprefix('http')}/tip_stream"}
