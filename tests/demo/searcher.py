"""The demo's searcher: finds profits, asks what to tip, sends bundles through a host, and has rivals who bid, too."""

import asyncio
import contextlib
import os
import random
import uuid

import grpc
import grpc.aio
from solders.keypair import Keypair
from solward.jito.v1 import jito_pb2 as pb

from controlplane.mev.tips import LEAST_TIP
from controlplane.store.bundles import uid_of
from ctl.client import Client
from ctl.contexts import load
from ctl.exits import Failure
from tests.peers.block_engine.peer import Peer
from tests.support.bundles import tipping
from tests.support.cluster import Cluster

HOST = "sol-3"
PERIOD_S = 2.0
DAILY_LAMPORTS = 500_000_000
# What root of the host allows a bundle.
MOST_LAMPORTS = 50_000
STRATEGIES = ("arbitrage", "liquidation")
RIVALS_SHARE = 0.6
_SERVICE = "solward.jito.v1.JitoService"


async def set_budget(fleet: Cluster) -> None:
    """Set the budget for tips, without which nothing is sent."""
    await fleet.ctl("jito", "budget", "set", str(DAILY_LAMPORTS), answers=(await fleet.code(),))


async def search(fleet: Cluster, engine: Peer) -> None:
    """Send a bundle every two seconds until cancelled."""
    await set_budget(fleet)
    os.environ["XDG_CONFIG_HOME"] = str(fleet.folder / "config")
    async with Client(load(None)) as client:
        while True:
            # Whoever tries things may stop its host, or its budget: it goes on when that is over.
            with contextlib.suppress(Failure, TimeoutError, grpc.aio.AioRpcError):
                await send_one(client, engine)
            await asyncio.sleep(PERIOD_S)


async def send_one(client: Client, engine: Peer, rivals: bool = True) -> pb.Bundle | None:
    """Find a profit, and send a bundle for it where a tip is worth it; gives the bundle."""
    # No secret: chance decides what the market of a demo offers.
    profit, strategy = round(random.lognormvariate(11.5, 0.8)), random.choice(STRATEGIES)
    asked = pb.GetExpectedValueRequest(
        profit_lamports=profit, strategy=strategy, host=f"hosts/{HOST}", cap_lamports=MOST_LAMPORTS
    )
    advice = await client.call(f"{_SERVICE}/GetExpectedValue", asked, pb.ExpectedValue)
    if not advice.HasField("best"):
        return None
    payer, blockhash = Keypair(), engine.world.blockhash()
    request = pb.SubmitBundleRequest(
        host=asked.host, strategy=strategy, profit_lamports=profit, request_id=str(uuid.uuid4()),
        transactions=[tipping(advice.best.tip_lamports, payer=payer, blockhash=blockhash)],
        # Whoever was outbid for an arbitrage finds nothing more there; a liquidation may be there for a while.
        max_sends=1 if strategy == "arbitrage" else 0,
    )  # fmt: skip
    regions = [one.region for one in engine.regions.values()]
    for region in regions:
        region.faults.hold_auctions = True
    try:
        bundle = await client.call(f"{_SERVICE}/SubmitBundle", request, pb.Bundle)
        async with asyncio.timeout(PERIOD_S):
            while not any(uid_of(bundle) in region.states for region in regions):
                await asyncio.sleep(0.02)
        if rivals and random.random() < RIVALS_SHARE:
            bid = max(LEAST_TIP, round(profit * random.uniform(0.05, 0.5)))
            rival = tipping(bid, payer=payer, blockhash=blockhash, price=1)
            for region in regions:
                await region.submit([rival])
    finally:
        for region in regions:
            region.faults.hold_auctions = False
    return bundle
