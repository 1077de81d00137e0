"""`jito.submit` through the executor: under a permit, within root's limits, and never a second bundle."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.hosts.v1 import link_pb2

from agent.actions.executor import Executor
from agent.allowlist import Allowlist, Bundles
from agent.journal import Journal
from common.permits import open_receipt
from tests.peers.block_engine import Peer, block_engine
from tests.support.bundles import tipping
from tests.unit.agent.fakes import FakeSystemd, make_identity
from tests.unit.agent.jito.stand import Stand, action, bundle_command, make_engine, standing

KEY = Ed25519PrivateKey.generate()
IDENTITY = make_identity(KEY)
DONE, FAILED, REFUSED = (
    link_pb2.RECEIPT_RESULT_DONE, link_pb2.RECEIPT_RESULT_FAILED, link_pb2.RECEIPT_RESULT_REFUSED,
)  # fmt: skip


class Rig:
    def __init__(self, folder: Path, stand: Stand, allowed: Allowlist, worker: ThreadPoolExecutor) -> None:
        self.stand, self.journal = stand, Journal(folder)
        self.executor = Executor(
            FakeSystemd(), self.journal, allowed, lambda: IDENTITY, worker, lambda: None, engine=stand.engine
        )

    async def do(self, wanted: link_pb2.BundleAction) -> link_pb2.Receipt:
        signed = await self.executor.carry_out(bundle_command(KEY, wanted), lambda _: None)
        assert signed
        receipt = open_receipt(signed, IDENTITY.key.public_key())
        assert receipt
        return receipt


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    allowed = Allowlist({}, bundles=Bundles(20_000, ("ny",)))
    async with block_engine("ny") as peer, standing(peer) as stand:
        with ThreadPoolExecutor(1) as worker:
            made = Rig(tmp_path, stand, allowed, worker)
            yield made
            made.journal.close()


async def test_a_bundle_is_sent_once_however_often_it_is_told(rig: Rig) -> None:
    wanted = action(rig.stand.bundle())
    receipts = await asyncio.gather(*(rig.do(wanted) for _ in range(3)))
    assert receipts[0].result == DONE
    assert receipts[0] == receipts[1] == receipts[2]
    assert len(rig.stand.peer["ny"].region.received) == 1


async def test_root_decides_what_may_be_sent(rig: Rig) -> None:
    raw = rig.stand.bundle(tip=20_001)
    lied, over, wrong = action(raw, tip=1), action(rig.stand.bundle(), tip=20_001), action(rig.stand.bundle())
    wrong.bundle = "ab" * 32
    broken = action(rig.stand.bundle())
    broken.transactions[0] += b"x"
    cases = [
        (lied, "TIP_OVER_CAP"), (over, "TIP_OVER_CAP"), (wrong, "BUNDLE_ID_WRONG"), (broken, "BUNDLE_INVALID"),
        (action(rig.stand.bundle(), "slc"), "REGION_NOT_ALLOWED"),
    ]  # fmt: skip
    for wanted, reason in cases:
        receipt = await rig.do(wanted)
        assert (receipt.result, receipt.reason) == (REFUSED, reason)
    assert rig.stand.peer["ny"].region.received == []


async def test_without_bundles_on_the_allowlist_none_is_sent(tmp_path: Path) -> None:
    async with block_engine("ny") as peer:
        with ThreadPoolExecutor(1) as worker:
            rig = Rig(tmp_path, Stand(peer, make_engine(peer)), Allowlist({}), worker)
            receipt = await rig.do(action([tipping()]))
            rig.journal.close()
        assert (receipt.result, receipt.reason) == (REFUSED, "NOT_ON_ALLOWLIST")
        assert peer["ny"].region.received == []


async def live(folder: Path, peer: Peer, wanted: link_pb2.BundleAction) -> Process:
    told = {
        "key": KEY.private_bytes_raw().hex(), "url": peer["ny"].url, "json_rpc": peer["ny"].json_rpc,
        "command": bundle_command(KEY, wanted).SerializeToString().hex(),
    }  # fmt: skip
    argv = [sys.executable, "-m", "tests.unit.agent.jito.life", str(folder)]
    process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE)
    assert process.stdin
    process.stdin.write(json.dumps(told).encode())
    process.stdin.close()
    return process


async def receipt_of(process: Process) -> link_pb2.Receipt:
    out, _ = await process.communicate()
    line = next(line for line in out.decode().splitlines() if line.startswith("receipt "))
    return link_pb2.Receipt.FromString(bytes.fromhex(line.split()[1]))


@pytest.mark.parametrize("landed", [True, False], ids=["it has landed meanwhile", "it waits for its auction"])
async def test_killed_before_the_acknowledgement_it_sends_the_same_again(tmp_path: Path, landed: bool) -> None:
    async with block_engine("ny") as peer:
        region = peer["ny"].region
        region.faults.hold_acks, region.faults.hold_auctions = True, not landed
        raw = [tipping(10_000, blockhash=peer.world.blockhash()) for _ in range(2)]
        wanted = action(raw, within_s=60.0)
        process = await live(tmp_path, peer, wanted)
        async with asyncio.timeout(20):
            while not region.received or (landed and not peer.world.landed):
                await asyncio.sleep(0.01)
        process.kill()
        await process.communicate()

        region.faults.hold_acks = False
        receipt = await receipt_of(await live(tmp_path, peer, wanted))
        assert receipt.result == DONE
        assert receipt.reason == ("ALREADY_PROCESSED" if landed else "")
        region.faults.hold_auctions = False
        async with asyncio.timeout(10):
            while not peer.world.landed:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        # Whatever came, came with these transactions, and each has moved lamports once.
        assert all(transactions == raw for _, transactions in region.received)
        assert set(peer.world.executed.values()) == {1}
        assert peer.world.tips == 20_000
        # Told a third time, the receipt is the one that is kept.
        again = await receipt_of(await live(tmp_path, peer, wanted))
        assert again == receipt


async def test_killed_and_back_after_the_blockhash_is_dead_nothing_is_sent(tmp_path: Path) -> None:
    async with block_engine("ny") as peer:
        region = peer["ny"].region
        region.faults.hold_acks = region.faults.shadow_drop = True
        wanted = action([tipping(blockhash=peer.world.blockhash())], within_s=4.0)
        process = await live(tmp_path, peer, wanted)
        async with asyncio.timeout(20):
            while not region.received:
                await asyncio.sleep(0.01)
        process.kill()
        await process.communicate()
        await asyncio.sleep(4.0)
        receipt = await receipt_of(await live(tmp_path, peer, wanted))
        assert (receipt.result, receipt.reason) == (FAILED, "SEND_UNKNOWN")
        assert len(region.received) == 1


async def test_killed_and_refused_after_it_is_not_said_that_no_region_has_it(tmp_path: Path) -> None:
    async with block_engine("ny") as peer:
        region = peer["ny"].region
        region.faults.hold_acks = region.faults.hold_auctions = True
        wanted = action([tipping(blockhash=peer.world.blockhash())], within_s=60.0)
        process = await live(tmp_path, peer, wanted)
        async with asyncio.timeout(20):
            while not region.received:
                await asyncio.sleep(0.01)
        process.kill()
        await process.communicate()
        region.faults.refuse = "bundle contains an expired blockhash"
        receipt = await receipt_of(await live(tmp_path, peer, wanted))
        assert (receipt.result, receipt.reason) == (FAILED, "SEND_UNKNOWN")
        assert receipt.figures["last"] == "BLOCKHASH_EXPIRED"
