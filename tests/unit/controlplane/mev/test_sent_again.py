"""A bundle that lost an auction is sent again: the same transactions, by a step of their own, and paid once."""

import asyncio
from collections.abc import Callable

import pytest
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb

from controlplane.links.dispatch import NoReceipt, NotDelivered
from controlplane.mev import again
from tests.support.authorities import until
from tests.support.bundle_world import HOST, World, running, told

OUTBID, REJECTED = "state_auction_bid_rejected", pb.BUNDLE_STATE_REJECTED


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "FIRST_WAIT_S", 0.05)


async def lose(world: World, bundle: pb.Bundle, outcome: str = OUTBID, **more: str) -> None:
    """Let a bundle lose its auction once it is sent."""
    await world.until(bundle, pb.BUNDLE_STATE_SENT)
    world.tracker.take(HOST, [told(bundle, outcome, **more)])


async def until_orders(world: World, count: int) -> list[link_pb2.BundleAction]:
    async with asyncio.timeout(10):
        while len(world.agent.orders) < count:
            await asyncio.sleep(0.02)
    return [link_pb2.ActionRequest.FromString(one.request).bundle for one in world.agent.orders]


async def test_it_is_sent_again_and_lands_and_its_tip_is_spent_once(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        bundle = await world.submit()
        assert (bundle.sends, bundle.max_sends) == (1, again.DEFAULT_SENDS)
        await lose(world, bundle, bid_lamports="9000")
        first, second = await until_orders(world, 2)
        assert [one.step for one in world.agent.orders] == ["send", "send-2"]
        assert (first.again, second.again) == (False, True)
        assert first.transactions == second.transactions
        await until(lambda: bundle.state == pb.BUNDLE_STATE_SENT)
        # Why it has not landed yet stays.
        assert (bundle.sends, bundle.tries, bundle.reason) == (2, 2, "OUTBID_LOCALLY")
        world.chain.land(*bundle.signatures, slot=70, final=True)
        ended = await world.until(bundle, pb.BUNDLE_STATE_FINALIZED)
        assert (ended.reason, len(world.ended)) == ("", 1)
        assert (await world.bundles.budget()).spent_lamports == 10_000
        assert len(world.agent.orders) == 2


async def test_it_is_sent_no_more_often_than_it_may_be(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        once, twice = await world.submit(max_sends=1), await world.submit(max_sends=2)
        await lose(world, once)
        await lose(world, twice)
        await until_orders(world, 3)
        world.tracker.take(HOST, [told(twice, OUTBID, bid_lamports="1")])
        await asyncio.sleep(0.5)
        orders = await until_orders(world, 3)
        assert [one.bundle for one in orders if one.again] == [twice.name.partition("/")[2]]
        assert len(orders) == 3


async def test_what_a_simulation_refused_is_not_sent_again(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        bundle = await world.submit()
        await lose(world, bundle, "simulation_failure")
        await asyncio.sleep(0.5)
        assert len(world.agent.orders) == 1


async def test_what_landed_meanwhile_is_not_sent_again(
    make: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "FIRST_WAIT_S", 0.4)
    async with running(make()) as world:
        bundle = await world.submit()
        await lose(world, bundle)
        world.chain.land(*bundle.signatures, slot=70)
        await world.until(bundle, pb.BUNDLE_STATE_LANDED)
        await asyncio.sleep(0.8)
        assert len(world.agent.orders) == 1


async def test_a_host_that_is_away_gets_it_when_it_is_back(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        bundle = await world.submit()
        await world.until(bundle, pb.BUNDLE_STATE_SENT)
        answer, world.agent.answer = world.agent.answer, NotDelivered
        await lose(world, bundle)
        await until_orders(world, 2)
        # What did not leave the house was no send.
        await until(lambda: (bundle.state, bundle.sends, bundle.reason) == (REJECTED, 1, "OUTBID_LOCALLY"))
        world.agent.answer = answer
        await until(lambda: (bundle.state, bundle.sends) == (pb.BUNDLE_STATE_SENT, 2))
        assert world.agent.orders[-1].step == "send-2"


async def test_what_a_region_may_have_is_sent_again_and_one_that_was_forwarded_stays_so(
    make: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "SILENT_S", 0.05)
    async with running(make()) as world:
        answer, world.agent.refusal = world.agent.answer, "SEND_UNKNOWN"
        bundle = await world.submit()
        await until_orders(world, 2)
        # It is refused the second time, while an earlier send has won an auction.
        world.tracker.take(HOST, [told(bundle, "accepted")])
        world.agent.refusal = "RATE_LIMITED"
        await until_orders(world, 3)
        await until(lambda: bundle.state == pb.BUNDLE_STATE_ACCEPTED)
        assert (bundle.sends, world.agent.answer) == (3, answer)


async def test_each_send_goes_where_it_was_asked_for_and_else_where_it_is_best(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        anywhere, there = await world.submit(), await world.submit(region="slc")
        for one in (anywhere, there):
            await lose(world, one)
        orders = await until_orders(world, 4)
        # "ny" has acknowledged all of them.
        assert {one.region for one in orders if one.bundle == anywhere.name.partition("/")[2]} == {""}
        assert {one.region for one in orders if one.bundle == there.name.partition("/")[2]} == {"slc"}


async def test_the_next_control_plane_sends_again_what_the_last_did_not_or_may_have(make: Callable[[], World]) -> None:
    first = make()
    async with running(first):
        bundle = await first.submit()
        await first.until(bundle, pb.BUNDLE_STATE_SENT)
        # It dies in the middle of the second send.
        first.agent.answer = NoReceipt
        await lose(first, bundle)
        await until_orders(first, 2)
    second = make()
    async with running(second):
        await until_orders(second, 1)
        # By the same step: an agent that has done it tells what came of it, and does nothing.
        assert second.agent.orders[0].step == "send-2"
        await second.until(bundle, pb.BUNDLE_STATE_SENT)
        await lose(second, bundle, bid_lamports="1")
    third = make()
    async with running(third):
        await until_orders(third, 1)
        assert third.agent.orders[0].step == "send-3"
