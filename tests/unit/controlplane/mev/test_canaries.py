"""Canaries that agents tell of: taken in once, believed of their own host alone, and judged by the chain."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from solders.transaction import VersionedTransaction
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.mev import canaries as canaries_module
from controlplane.mev import figures
from controlplane.mev.canaries import Canaries, read_canary
from controlplane.mev.lifecycle import MARGIN_BLOCKS
from controlplane.mev.transactions import bundle_id
from controlplane.store.bundles import Stored
from tests.support.bundle_world import HOST, World, running, told
from tests.support.bundles import tipping

SIGNATURE = "3bC2M9fiACSjkTXZDgeNAuQ4ScTsdKGwR42ytFdhUvikqTmBheUxfsR1fDVsM5ADCMMspuwGkdm1uKbU246x5aE3"
UID = bundle_id([SIGNATURE])


@pytest.fixture
async def world(make: Callable[[], World]) -> AsyncIterator[tuple[World, Canaries]]:
    made = make()
    async with running(made):
        yield made, Canaries(made.bundles, made.tracker)


def sending(**changed: str) -> link_pb2.Event:
    attributes = {
        "bundle": UID, "outcome": "sending", "region": "ny", "signature": SIGNATURE, "tip_lamports": "1000",
        "fee_lamports": "5000", "last_valid_block_height": "1150",
    } | changed  # fmt: skip
    return link_pb2.Event(kind="jito.canary", unix_ms=now_ms(), attributes=attributes)


def after(outcome: str, **figures: str) -> link_pb2.Event:
    attributes = {"bundle": UID, "outcome": outcome, "region": "ny"} | figures
    return link_pb2.Event(kind="jito.canary", unix_ms=now_ms(), attributes=attributes)


async def test_one_that_lands_is_told_by_the_chain(world: tuple[World, Canaries]) -> None:
    made, canaries = world
    await canaries.take(HOST, "sol-1", [sending(), after("acknowledged", tries="1", stream="up")])
    canary = made.tracker.current(UID)
    assert canary
    assert (canary.state, canary.observed, canary.canary) == (pb.BUNDLE_STATE_SENT, True, True)
    assert (canary.host, canary.requester, canary.tip_lamports) == ("hosts/sol-1", "hosts/sol-1", 1_000)
    made.tracker.take(HOST, [told(canary, "accepted", canary="1")])
    assert canary.state == pb.BUNDLE_STATE_ACCEPTED
    before = figures.CANARY_ENDED.labels("ny", "finalized")._value.get()
    made.chain.land(SIGNATURE, final=True)
    ended = await made.until(canary, pb.BUNDLE_STATE_FINALIZED)
    assert ended.slot == 70
    assert figures.CANARY_ENDED.labels("ny", "finalized")._value.get() == before + 1
    # No command was sent for it, and no budget pays.
    assert not made.agent.orders
    assert (await made.bundles.budget()).spent_lamports == 0
    # The batch comes again: what has ended stays so.
    await canaries.take(HOST, "sol-1", [sending()])
    assert made.tracker.current(UID) is None
    assert (await made.stored(canary)).state == pb.BUNDLE_STATE_FINALIZED


async def test_one_that_dies_is_not_called_landed_whatever_was_said(world: tuple[World, Canaries]) -> None:
    made, canaries = world
    await canaries.take(HOST, "sol-1", [sending(), after("failed", reason="SEND_UNKNOWN")])
    canary = made.tracker.current(UID)
    assert canary
    made.tracker.take(HOST, [told(canary, "processed", slot="5")])
    assert canary.state == pb.BUNDLE_STATE_LANDED
    made.chain.height = 1_150 + MARGIN_BLOCKS + 1
    assert (await made.until(canary, pb.BUNDLE_STATE_EXPIRED)).reason == "NOT_FINALIZED"


async def test_one_that_no_engine_took_has_failed(world: tuple[World, Canaries]) -> None:
    made, canaries = world
    await canaries.take(HOST, "sol-1", [sending(), after("failed", reason="RATE_LIMITED", message="later")])
    found = await made.bundles.find(UID)
    assert found
    assert (await made.until(found.bundle, pb.BUNDLE_STATE_FAILED)).reason == "RATE_LIMITED"


async def test_another_host_is_not_believed(world: tuple[World, Canaries]) -> None:
    made, canaries = world
    await canaries.take(HOST, "sol-1", [sending()])
    await canaries.take("b" * 32, "sol-2", [sending(), after("failed", reason="RATE_LIMITED")])
    canary = made.tracker.current(UID)
    assert canary
    assert (canary.host, canary.state) == ("hosts/sol-1", pb.BUNDLE_STATE_SENDING)


@pytest.mark.parametrize("changed", [
    {"signature": "1" * 70}, {"signature": ""}, {"bundle": "0" * 64}, {"region": "NY "}, {"region": ""},
    {"last_valid_block_height": "soon"}, {"last_valid_block_height": ""},
])  # fmt: skip
def test_what_does_not_hold_together_is_refused(changed: dict[str, str]) -> None:
    assert read_canary(sending(), "sol-1")
    assert read_canary(sending(**changed), "sol-1") is None


async def test_a_host_that_tells_of_canaries_without_end_is_held(
    world: tuple[World, Canaries], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, canaries = world
    monkeypatch.setattr(canaries_module, "MOST_A_MINUTE", 0)
    before = figures.CANARY_REFUSED.labels("sol-1")._value.get()
    await canaries.take(HOST, "sol-1", [sending()])
    assert figures.CANARY_REFUSED.labels("sol-1")._value.get() == before + 1
    assert await made.bundles.find(UID) is None


async def test_canaries_are_listed_apart(world: tuple[World, Canaries], tmp_path: Path) -> None:
    made, canaries = world
    await canaries.take(HOST, "sol-1", [sending()])
    ours = await made.submit()
    assert [one.name for _, one in await made.bundles.page(None, "", None, 9)] == [ours.name]
    assert [one.canary for _, one in await made.bundles.page(None, "", None, 9, canaries=True)] == [True]
    assert [one.name for one in await made.bundles.since(0)] == [ours.name]


async def test_who_has_it_signed_is_believed_before_an_agent_that_says_it_is_its_own(make: Callable[[], World]) -> None:
    made = make()
    transaction = tipping()
    signature = str(VersionedTransaction.from_bytes(transaction).signatures[0])
    async with running(made):
        canaries = Canaries(made.bundles, made.tracker)
        claim = sending(signature=signature, bundle=bundle_id([signature]))
        await canaries.take("b" * 32, "evil", [claim])
        bundle = await made.submit(transaction)
        assert (bundle.canary, bundle.host) == (False, "hosts/sol-1")
        await made.until(bundle, pb.BUNDLE_STATE_SENT)
        assert len(made.agent.orders) == 1
        # What the other says of it is believed no more.
        await canaries.take("b" * 32, "evil", [claim, after("failed", reason="X", bundle=bundle_id([signature]))])
        assert (await made.stored(bundle)).host == "hosts/sol-1"
        made.chain.land(signature, final=True)
        await made.until(bundle, pb.BUNDLE_STATE_FINALIZED)


async def test_a_bundle_of_a_host_out_of_reach_is_not_told_of_nor_replaced(make: Callable[[], World]) -> None:
    made = make()
    transaction = tipping()
    async with running(made):
        bundle = await made.submit(transaction)
        made.seen = {"hosts/sol-2"}
        for more in ({}, {"validate_only": True}):
            with pytest.raises(SolwardError) as caught:
                await made.submit(transaction, **more)
            assert caught.value.reason == "BUNDLE_EXISTS"
            assert "sol-1" not in caught.value.message
        assert len(await made.bundles.page(None, "", None, 10)) == 1
        assert (await made.stored(bundle)).requester == bundle.requester


async def test_what_a_node_refuses_of_canaries_keeps_nobody_from_being_told(make: Callable[[], World]) -> None:
    made = make()
    async with running(made):
        canaries = Canaries(made.bundles, made.tracker)
        # Of the right look, and of no 64 bytes: a node would refuse every signature that is asked for with it.
        short = "2" * 70
        await canaries.take(HOST, "sol-1", [sending(signature=short, bundle=bundle_id([short]))])
        assert made.tracker.current(bundle_id([short])) is None
        bundle = await made.submit()
        await made.until(bundle, pb.BUNDLE_STATE_SENT)
        # Whatever else one may hold that the node will not have.
        wrong = pb.Bundle(name="bundles/" + "e" * 64, host="hosts/sol-1", canary=True, signatures=[short])
        wrong.create_time.FromMilliseconds(now_ms())
        wrong.state = pb.BUNDLE_STATE_SENT
        wrong.last_valid_block_height = 10**9
        made.tracker.follow(Stored(wrong, HOST, []))
        made.chain.land(*bundle.signatures, final=True)
        await made.until(bundle, pb.BUNDLE_STATE_FINALIZED)
