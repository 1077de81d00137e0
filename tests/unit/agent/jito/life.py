"""One life of an agent that sends a bundle, as a process that can be killed: `life.py FOLDER`, a command on stdin.

Standard input holds, as JSON, the region's URLs, the public permit key and the command; the receipt goes to stdout.
"""

import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.hosts.v1 import link_pb2

from agent.actions.executor import Executor
from agent.allowlist import Allowlist, Bundles
from agent.jito.engine import Engine, Wishes
from agent.jito.region import Place
from agent.journal import Journal
from tests.unit.agent.fakes import FakeSystemd, make_identity


async def live(folder: Path, told: dict[str, str]) -> None:
    """Carry the command out."""
    identity = make_identity(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(told["key"])))
    engine = Engine(Wishes({"ny": Place(told["url"], told["json_rpc"])}, per_second=100.0, send_s=2.0))
    allowed = Allowlist({}, bundles=Bundles(10**9))
    with ThreadPoolExecutor(1) as worker:
        executor = Executor(
            FakeSystemd(), Journal(folder), allowed, lambda: identity, worker, lambda: None, engine=engine
        )
        command = link_pb2.Command.FromString(bytes.fromhex(told["command"]))
        signed = await executor.carry_out(command, lambda _: None)
        assert signed
        print("receipt", signed.receipt.hex(), flush=True)
    for region in engine.regions.values():
        await region.close()


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), json.loads(sys.stdin.read())))
