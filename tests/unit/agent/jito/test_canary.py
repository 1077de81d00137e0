"""Canaries: what goes out, what holds them back, and what is told of them."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solders.transaction import VersionedTransaction

from agent.host.node_rpc import NodeRpc, RpcError
from agent.jito.canary import Canary, Habits, Note, Skipped
from agent.jito.payment import BASE_FEE, pay
from agent.jito.purse import Purse, PurseError
from agent.jito.transactions import TIP_ACCOUNTS, read_bundle
from agent.probes.base import Series
from agent.probes.jito import JitoProbe, as_event, as_note
from common import base58
from controlplane.mev import transactions
from tests.peers.block_engine import Peer, block_engine
from tests.peers.block_engine.world import RENT_OF_NOTHING
from tests.unit.agent.jito.stand import Stand, standing
from tests.unit.agent.probes.test_jito import Kept

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PAYER = base58.encode(KEY.public_key().public_bytes_raw())
COST = 1_000 + BASE_FEE


class Nest:
    """A canary before a block engine; `notes` are what it told."""

    def __init__(self, stand: Stand, folder: Path, daily: int = 10**6, **habits: Any) -> None:
        self.stand, self.notes = stand, list[Note]()
        peer, regions = stand.peer, tuple(stand.peer.regions)
        self.purse = Purse(folder / "canary.json", COST, daily)
        self.worker = ThreadPoolExecutor(1)
        self.node = NodeRpc(f"{next(iter(peer.regions.values())).json_rpc}/rpc")
        wanted = Habits(**{"key": KEY, "cluster": "mainnet", "period_s": 600.0, "tip_lamports": 1_000,
                           "regions": regions} | habits)  # fmt: skip
        self.canary = Canary(stand.engine, self.node, wanted, self.purse, self.worker)

    async def once(self) -> list[Note]:
        begun = len(self.notes)
        await self.canary.once(self.notes.append)
        return self.notes[begun:]


@asynccontextmanager
async def nest(
    folder: Path, *regions: str, daily: int = 10**6, engine: dict[str, Any] | None = None, **habits: Any
) -> AsyncIterator[tuple[Nest, Peer]]:
    async with block_engine(*regions) as peer, standing(peer, **(engine or {})) as stand:
        made = Nest(stand, folder, daily, **habits)
        try:
            yield made, peer
        finally:
            made.node.close()
            made.worker.shutdown()


def test_what_is_signed_is_a_transfer_to_itself_and_a_tip() -> None:
    account = next(iter(TIP_ACCOUNTS["mainnet"]))
    made = pay(KEY, account, 1_500, bytes(range(32, 64)))
    parsed = VersionedTransaction.from_bytes(made.raw)
    assert all(parsed.verify_with_results())
    read = transactions.read_bundle([made.raw], "mainnet")
    assert (read.signatures, read.tip_lamports, read.fee_lamports) == ((made.signature,), 1_500, BASE_FEE)
    assert made.cost == 6_500
    assert read.uid == read_bundle([made.raw]).ident
    moves = [(bytes(one.data)[4:], list(one.accounts)) for one in parsed.message.instructions]
    assert moves == [((1).to_bytes(8, "little"), [0, 0]), ((1_500).to_bytes(8, "little"), [0, 1])]
    with pytest.raises(ValueError, match="another's account"):
        pay(KEY, KEY.public_key().public_bytes_raw(), 1_000, bytes(32))


async def test_one_goes_out_lands_and_is_told_of_as_the_agents_own(tmp_path: Path) -> None:
    async with nest(tmp_path, "ny", "slc") as (made, peer):
        sending, after = await made.once()
        assert (sending.outcome, after.outcome, sending.region) == ("sending", "acknowledged", "ny")
        assert sending.bundle == after.bundle == read_bundle(peer["ny"].region.received[0][1]).ident
        assert (sending.figures["tip_lamports"], sending.figures["fee_lamports"]) == ("1000", "5000")
        assert after.figures["stream"] == "up"
        await made.stand.until(lambda: "finalized" in made.stand.outcomes(sending.bundle))
        results = [one for one in made.stand.results if one.bundle == sending.bundle]
        assert all(one.canary and as_event(one).attributes["canary"] == "1" for one in results)
        # The next one goes to the next region, by what is on disk.
        assert (await made.once())[0].region == "slc"
        assert (await made.once())[0].region == "ny"
        assert made.purse.read().lamports == 3 * COST == 3 * 6_000
        # A bundle that was asked for is no canary.
        raw = made.stand.bundle()
        await made.stand.submit(raw)
        ident = read_bundle(raw).ident
        await made.stand.until(lambda: "finalized" in made.stand.outcomes(ident))
        assert not any(one.canary for one in made.stand.results if one.bundle == ident)


async def test_nothing_is_sent_that_could_not_be_counted(tmp_path: Path) -> None:
    async with nest(tmp_path, daily=COST) as (made, peer):
        await made.once()
        with pytest.raises(PurseError, match="the day would cost"):
            await made.once()
        (tmp_path / "canary.json").write_text("{")
        with pytest.raises(PurseError, match="remove the file"):
            await made.once()
        assert len(peer["ny"].region.received) == 1


async def test_it_is_counted_before_it_is_sent(tmp_path: Path) -> None:
    async with nest(tmp_path) as (made, _):
        seen = []
        real = made.stand.engine.send

        async def watched(*args: Any, **kwargs: Any) -> Any:
            seen.append((made.purse.read().lamports, [one.outcome for one in made.notes]))
            return await real(*args, **kwargs)

        made.stand.engine.send = watched  # type: ignore[method-assign]
        await made.once()
        assert seen == [(COST, ["sending"])]


async def test_an_account_that_cannot_pay_is_named(tmp_path: Path) -> None:
    async with nest(tmp_path) as (made, peer):
        peer.world.balances[PAYER] = COST + RENT_OF_NOTHING - 1
        with pytest.raises(Skipped, match=f"{PAYER} has .* and needs 896,880") as refused:
            await made.once()
        assert refused.value.reason == "BALANCE_TOO_LOW"
        peer.world.balances[PAYER] += 1
        assert len(await made.once()) == 2


async def test_tip_accounts_of_another_cluster_are_not_paid(tmp_path: Path) -> None:
    async with nest(tmp_path) as (made, peer):
        peer["ny"].faults.wrong_tip_accounts = True
        with pytest.raises(Skipped, match="no tip account that is known of mainnet"):
            await made.once()
        assert not peer["ny"].region.received
        assert made.purse.read().lamports == 0


async def test_a_dry_run_sends_and_spends_nothing(tmp_path: Path) -> None:
    async with nest(tmp_path, dry_run=True) as (made, peer):
        assert await made.once() == []
        assert made.canary.take_counts() == {("ny", "simulated"): 1}
        peer.world.simulation_error = {"InstructionError": [0, "Custom"]}
        with pytest.raises(Skipped, match="InstructionError"):
            await made.once()
        assert not peer["ny"].region.received
        assert not (tmp_path / "canary.json").exists()


async def test_a_refusal_is_told_and_what_may_have_arrived_is_left_to_the_chain(tmp_path: Path) -> None:
    async with nest(tmp_path) as (made, peer):
        peer["ny"].faults.refuse = "bundle contains an expired blockhash"
        _, after = await made.once()
        assert (after.outcome, after.figures["reason"]) == ("failed", "BLOCKHASH_EXPIRED")
        peer["ny"].faults.refuse, peer["ny"].faults.lost_acks = "", 1
        _, after = await made.once()
        assert (after.outcome, after.figures["reason"]) == ("failed", "SEND_UNKNOWN")
        # It is sent once, and never again.
        assert len(peer["ny"].region.received) == 1
        event = as_note(after)
        assert (event.kind, event.attributes["reason"], event.attributes["outcome"]) == (
            "jito.canary", "SEND_UNKNOWN", "failed",
        )  # fmt: skip


async def test_a_region_that_is_left_alone_loses_its_turn(tmp_path: Path) -> None:
    async with nest(tmp_path, "ny", "slc") as (made, _):
        breakers = {name: region.breaker for name, region in made.stand.engine.regions.items()}
        for _ in range(3):
            breakers["ny"].failed()
        assert (await made.once())[0].region == "slc"
        for _ in range(3):
            breakers["slc"].failed()
        with pytest.raises(Skipped) as refused:
            await made.once()
        assert refused.value.reason == "REGIONS_LEFT_ALONE"


async def test_a_region_that_refuses_loses_its_turn_only(tmp_path: Path) -> None:
    async with nest(tmp_path, "ny", "slc") as (made, peer):
        peer["ny"].faults.wrong_tip_accounts = True
        with pytest.raises(Skipped):
            await made.once()
        assert (await made.once())[0].region == "slc"
        with pytest.raises(Skipped):
            await made.once()
        assert (await made.once())[0].region == "slc"


async def test_a_node_that_does_not_answer_costs_nothing(tmp_path: Path) -> None:
    async with nest(tmp_path) as (made, peer):
        gone = Canary(made.stand.engine, NodeRpc("http://127.0.0.1:1"), made.canary._habits, made.purse, made.worker)
        with pytest.raises(RpcError):
            await gone.once(made.notes.append)
        assert not peer["ny"].region.received
        assert not made.notes


async def test_the_next_life_keeps_the_period(tmp_path: Path) -> None:
    async with nest(tmp_path, period_s=600.0) as (made, peer):
        kept = Kept()
        for _ in range(2):
            probe = JitoProbe(made.stand.engine, {}, canary=made.canary)
            task = asyncio.create_task(probe.run(kept))
            await made.stand.until(lambda: peer["ny"].region.received)
            await asyncio.sleep(0.3)
            probe.tell(kept)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert len(peer["ny"].region.received) == 1
        assert kept.values[Series.of("jito_canary_spent_lamports")] == COST
        assert kept.counts[Series.counting("jito_canary_sends", region="ny", outcome="acknowledged")] == 1
        outcomes = [one.attributes["outcome"] for one in kept.events if one.kind == "jito.canary"]
        assert outcomes == ["sending", "acknowledged"]


async def test_an_obstacle_is_counted_and_tried_again_later(tmp_path: Path) -> None:
    async with nest(tmp_path, period_s=0.2) as (made, peer):
        peer.world.balances[PAYER] = 0
        task = asyncio.create_task(made.canary.run(made.notes.append))
        counts: dict[tuple[str, str], int] = {}
        begun = time.monotonic()
        while counts.get(("ny", "balance_too_low"), 0) < 2:
            assert time.monotonic() - begun < 10
            await asyncio.sleep(0.05)
            for name, times in made.canary.take_counts().items():
                counts[name] = counts.get(name, 0) + times
        del peer.world.balances[PAYER]
        await made.stand.until(lambda: peer["ny"].region.received)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_first_waits_until_its_results_can_be_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with nest(tmp_path, engine={"streams": False}) as (made, peer):
        task = asyncio.create_task(made.canary.run(made.notes.append))
        await asyncio.sleep(0.5)
        assert not peer["ny"].region.received
        made.stand.engine.streams["ny"].opened.set()
        await made.stand.until(lambda: peer["ny"].region.received)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    # Where nothing is ever heard it goes out all the same.
    monkeypatch.setattr("agent.jito.canary.LISTENING_S", 0.2)
    (other := tmp_path / "other").mkdir()
    async with nest(other, engine={"streams": False}) as (made, peer):
        task = asyncio.create_task(made.canary.run(made.notes.append))
        await made.stand.until(lambda: peer["ny"].region.received)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
