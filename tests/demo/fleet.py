"""The demo's fleet: a control plane and three hosts that differ a little."""

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.peers.fixtures import validator_peer
from tests.support.cluster import Cluster, cluster

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


@asynccontextmanager
async def demo_fleet() -> AsyncIterator[Cluster]:
    """Run the control plane, and a node outside the fleet, in a folder that is removed at the end.

    Hosts are added by the tour.
    """
    with tempfile.TemporaryDirectory(prefix="solward-demo-") as folder:
        async with (
            validator_peer(genesis=GENESIS) as outside,
            cluster(Path(folder), solana_rpc_url=outside.rpc_url, gates={"free_gigabytes": 1}) as fleet,
        ):
            yield fleet
