"""Canaries that agents tell of: taken in once, believed of their own host alone, and judged by the chain."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb

from common.clock import now_ms
from controlplane.mev import canaries as canaries_module
from controlplane.mev import figures
from controlplane.mev.canaries import Canaries, read_canary
from controlplane.mev.lifecycle import MARGIN_BLOCKS
from controlplane.mev.transactions import bundle_id
from tests.support.bundle_world import HOST, World, running, told

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
