"""The tracker: sent once whatever dies, followed to the end, and believed only of its own host."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb

from common.errors import SolwardError
from controlplane.links.dispatch import NoReceipt, NotDelivered
from controlplane.mev import figures
from controlplane.mev import tracker as tracker_module
from controlplane.mev.chain import BLOCKHASH_LIVES
from controlplane.mev.choice import Choice, Standing
from controlplane.mev.lifecycle import MARGIN_BLOCKS
from controlplane.mev.tips import Floor
from controlplane.mev.tracker import ACTION
from tests.peers.chain import ChainPeer
from tests.support.bundle_world import HOST, World, running, told
from tests.support.bundles import tipping

FAILED = {"value": {"summary": {"failed": {"error": "x"}}}}


async def test_one_that_the_start_finds_too_is_sent_once_and_keeps_what_is_known(make: Callable[[], World]) -> None:
    world = make()
    # Submitted before the tracker has read what an earlier life left, which this then seems to be.
    bundle = await world.submit()
    async with running(world):
        sent = await world.until(bundle, pb.BUNDLE_STATE_SENT)
        assert len(world.agent.orders) == 1
        assert sent.tries == 1


async def test_a_bundle_is_sent_once_and_followed_until_it_is_final(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        bundle = await world.submit(strategy="arb", profit_lamports=90_000)
        assert (bundle.state, bundle.tip_lamports) == (pb.BUNDLE_STATE_SENDING, 10_000)
        assert bundle.last_valid_block_height == world.chain.height + BLOCKHASH_LIVES
        sent = await world.until(bundle, pb.BUNDLE_STATE_SENT)
        assert (sent.region, sent.tries) == ("ny", 1)
        (order,) = world.agent.orders
        action = link_pb2.ActionRequest.FromString(order.request).bundle
        assert (order.action, order.host_uid, order.operation) == (ACTION, HOST, bundle.name)
        assert (action.bundle, action.tip_lamports) == (bundle.name.partition("/")[2], 10_000)
        world.tracker.take(HOST, [told(bundle, "accepted", slot="69", validator="v")])
        world.chain.land(*bundle.signatures, slot=70)
        await world.until(bundle, pb.BUNDLE_STATE_LANDED)
        assert (await world.bundles.budget()).reserved_lamports == 10_000
        world.chain.land(*bundle.signatures, slot=70, final=True)
        ended = await world.until(bundle, pb.BUNDLE_STATE_FINALIZED)
        assert ([event.kind for event in ended.events], ended.slot) == (["sent", "accepted"], 70)
        assert ended.HasField("end_time")
        assert (await world.bundles.budget()).spent_lamports == 10_000
        assert [one.name for one in world.ended] == [bundle.name]


async def test_the_same_transactions_or_request_are_the_same_bundle(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        raw, request_id = tipping(), "0" * 8 + "-0000-0000-0000-" + "0" * 12
        first = await world.submit(raw, request_id=request_id)
        await world.until(first, pb.BUNDLE_STATE_SENT)
        assert (await world.submit(raw)).name == first.name
        # Another bundle under the same request pays nothing.
        assert (await world.submit(tipping(), request_id=request_id)).name == first.name
        assert len(world.agent.orders) == 1


async def test_a_control_plane_that_dies_sends_the_same_bundle_again(make: Callable[[], World]) -> None:
    first = make()
    first.agent.answer = NoReceipt
    async with running(first):
        bundle = await first.submit()
        async with asyncio.timeout(5):
            while not first.agent.orders:
                await asyncio.sleep(0.01)
    assert (await first.stored(bundle)).state == pb.BUNDLE_STATE_SENDING
    async with running(make()) as second:
        await second.until(bundle, pb.BUNDLE_STATE_SENT)
        before, after = first.agent.orders[0], second.agent.orders[0]
        assert (before.operation, before.step) == (after.operation, after.step)
        old, new = (link_pb2.ActionRequest.FromString(one.request).bundle for one in (before, after))
        assert old.transactions == new.transactions


async def test_a_host_that_is_away_after_a_restart_tells_nothing_of_what_was_sent(
    make: Callable[[], World],
) -> None:
    first = make()
    first.agent.answer = NoReceipt
    async with running(first):
        bundle = await first.submit()
        async with asyncio.timeout(5):
            while not first.agent.orders:
                await asyncio.sleep(0.01)
    second = make()
    second.agent.answer = NotDelivered
    async with running(second):
        async with asyncio.timeout(5):
            while not second.agent.orders:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        # Its tip may be paid yet: it stays reserved until the chain tells.
        assert (await second.stored(bundle)).state == pb.BUNDLE_STATE_SENDING
        assert (await second.bundles.budget()).reserved_lamports == 10_000
        second.chain.land(*bundle.signatures, final=True)
        await second.until(bundle, pb.BUNDLE_STATE_FINALIZED)


async def test_what_an_earlier_life_left_is_sent_when_its_agent_is_back(make: Callable[[], World]) -> None:
    first = make()
    # Stored, and the control plane died before it was sent; it is to be sent once, whatever comes.
    bundle = await first.submit(max_sends=1)
    second = make()
    answer, second.agent.answer = second.agent.answer, NotDelivered
    async with running(second):
        async with asyncio.timeout(10):
            while len(second.agent.orders) < 2:
                await asyncio.sleep(0.01)
        second.agent.answer = answer
        sent = await second.until(bundle, pb.BUNDLE_STATE_SENT)
        # By the same step each time, which the agent's journal knows: nothing is sent twice.
        assert {order.step for order in second.agent.orders} == {"send"}
        assert sent.sends == 1


async def test_for_a_host_that_is_away_nothing_is_stored_nor_reserved(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        world.online = False
        with pytest.raises(SolwardError) as caught:
            await world.submit()
        assert caught.value.reason == "HOST_OFFLINE"
        assert await world.bundles.page(None, "", None, 10) == []
        assert (await world.bundles.budget()).reserved_lamports == 0


async def test_what_has_just_failed_is_taken_anew_at_once(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        answer, world.agent.answer, world.agent.refusal = world.agent.answer, {}, "RATE_LIMITED"
        transaction = tipping()
        bundle = await world.submit(transaction)
        async with asyncio.timeout(10):
            while not world.ended:
                await asyncio.sleep(0)
        world.agent.answer, world.agent.refusal = answer, ""
        # The store may not know of the end yet.
        assert (await world.submit(transaction)).state == pb.BUNDLE_STATE_SENDING
        await world.until(bundle, pb.BUNDLE_STATE_SENT)
        assert len(world.agent.orders) == 2


async def test_an_end_that_cannot_be_noted_holds_up_no_other(make: Callable[[], World]) -> None:
    async with running(make()) as world:

        def broken(_: pb.Bundle) -> None:
            raise ValueError("nobody foresaw this")

        world.tracker._ended = broken
        bundles = [await world.submit() for _ in range(3)]
        world.chain.land(*(name for one in bundles for name in one.signatures), final=True)
        for one in bundles:
            await world.until(one, pb.BUNDLE_STATE_FINALIZED)


async def test_what_never_reached_a_block_engine_has_failed_and_pays_nothing(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        world.agent.answer = NotDelivered
        away = await world.until(await world.submit(), pb.BUNDLE_STATE_FAILED)
        assert away.reason == "HOST_OFFLINE"
        world.agent.answer, world.agent.refusal = {}, "RATE_LIMITED"
        refused = await world.until(await world.submit(), pb.BUNDLE_STATE_FAILED)
        assert refused.reason == "RATE_LIMITED"
        budget = await world.bundles.budget()
        assert (budget.reserved_lamports, budget.spent_lamports) == (0, 0)


async def test_without_a_landing_it_expires_with_what_was_told_of_it(make: Callable[[], World]) -> None:
    outbid = figures.ENDED.labels("sol-1", "expired", "OUTBID_LOCALLY")
    before = outbid._value.get()
    async with running(make()) as world:
        bundle = await world.submit()
        await world.until(bundle, pb.BUNDLE_STATE_SENT)
        world.tracker.take(HOST, [told(bundle, "state_auction_bid_rejected", bid_lamports="9000")])
        await world.until(bundle, pb.BUNDLE_STATE_REJECTED)
        world.chain.height += BLOCKHASH_LIVES + MARGIN_BLOCKS + 1
        ended = await world.until(bundle, pb.BUNDLE_STATE_EXPIRED)
        assert (ended.reason, ended.simulated_bid_lamports) == ("OUTBID_LOCALLY", 9_000)
        assert outbid._value.get() == before + 1
        assert (await world.bundles.budget()).reserved_lamports == 0


async def test_a_host_is_believed_of_its_own_bundles_only(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        bundle = await world.submit()
        await world.until(bundle, pb.BUNDLE_STATE_SENT)
        world.tracker.take("b" * 32, [told(bundle, "processed", slot="70")])
        other = pb.Bundle(name=f"bundles/{'0' * 64}")
        world.tracker.take(
            HOST, [told(other, "processed"), told(bundle, "processed", slot="7e9", bid_lamports="x" * 99)]
        )
        await asyncio.sleep(0.4)
        found = await world.stored(bundle)
        assert [(event.kind, event.slot) for event in found.events] == [("sent", 0), ("processed", 0)]


async def test_without_a_chain_it_is_unknown_in_the_end_and_its_tip_counts(
    make: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(make()) as world:
        bundle = await world.submit()
        await world.until(bundle, pb.BUNDLE_STATE_SENT)
        world.chain.down = True
        monkeypatch.setattr(tracker_module, "UNKNOWN_S", 0.5)
        ended = await world.until(bundle, pb.BUNDLE_STATE_UNKNOWN)
        assert ended.reason == "CHAIN_UNREACHABLE"
        assert (await world.bundles.budget()).spent_lamports == 10_000


async def test_watchers_see_each_change_at_once_and_a_slow_one_holds_nobody_up(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        watch = world.bus.watch(world.bus.newest)
        first = asyncio.create_task(anext(watch))
        await asyncio.sleep(0)
        bundle = await world.submit()
        assert (await first).state == pb.BUNDLE_STATE_SENT
        for number in range(5_000):
            world.tracker.take(HOST, [told(bundle, "accepted", slot=str(number))])
        newest = await anext(watch)
        assert newest.state == pb.BUNDLE_STATE_ACCEPTED
        await watch.aclose()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda chain: chain.dead.add("1" * 32), "BLOCKHASH_DEAD"),
        (lambda chain: setattr(chain, "down", True), "CHAIN_UNREACHABLE"),
        (
            lambda chain: setattr(chain, "simulation", {"value": {"summary": {"failed": {"error": "x"}}}}),
            "SIMULATION_FAILED",
        ),
    ],
)
async def test_what_cannot_land_is_not_sent(
    make: Callable[[], World], spoil: Callable[[ChainPeer], Any], reason: str
) -> None:
    async with running(make()) as world:
        spoil(world.chain)
        with pytest.raises(SolwardError) as refused:
            await world.submit()
        assert refused.value.reason == reason
        assert not world.agent.orders


async def test_the_budget_holds_and_says_what_is_left(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        with pytest.raises(SolwardError, match="one bundle may tip 100,000"):
            await world.submit(tipping(100_001))
        for _ in range(10):
            await world.submit(tipping(100_000))
        with pytest.raises(SolwardError, match="0 of today's 1,000,000 are left") as refused:
            await world.submit(tipping(1_000))
        assert refused.value.reason == "BUDGET_EXHAUSTED"
        assert world.findings == ["jito.budget_exhausted"] * 2
        await world.bundles.set_budget(0, 0, "user:ann")
        with pytest.raises(SolwardError, match="no budget is set"):
            await world.submit()


async def test_a_dry_run_is_checked_and_leaves_nothing(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        world.chain.simulation = {"value": {"summary": "succeeded"}}
        bundle = await world.submit(validate_only=True)
        assert bundle.state == pb.BUNDLE_STATE_CHECKED
        assert await world.bundles.find(bundle.name.partition("/")[2]) is None
        assert "simulateBundle" in world.chain.asked
        assert not world.agent.orders


async def test_what_the_agent_would_refuse_is_refused_before_anything_is_stored(make: Callable[[], World]) -> None:
    world = make()
    world.limits = link_pb2.BundleLimits(
        allowed=True, max_tip_lamports=9_999, regions=["ny"], known_regions=["ny", "slc"]
    )
    for only_check in (False, True):
        with pytest.raises(SolwardError) as refused:
            await world.submit(validate_only=only_check)
        assert refused.value.reason == "TIP_OVER_CAP"
    assert not world.agent.orders
    assert not await world.bundles.since(0)
    # The order that is sent along is of what root allows.
    world.limits.max_tip_lamports = 10_000
    world.choices = [Choice(Standing("slc"), 0.9, ("near",)), Choice(Standing("ny"), 0.5, ("far",))]
    async with running(world):
        bundle = await world.submit()
        assert (list(bundle.region_order), list(bundle.region_reasons)) == (["ny"], ["far"])
        await world.until(bundle, pb.BUNDLE_STATE_SENT)
    sent = link_pb2.ActionRequest.FromString(world.agent.orders[0].request).bundle
    assert list(sent.region_order) == ["ny"]


async def test_the_way_of_the_region_that_it_goes_to_counts_for_its_chance(make: Callable[[], World]) -> None:
    chances = {}
    for region in ("near", "far"):
        world = make()
        world.tips.take(Floor(1_700_000_000.0, (6_000, 10_000, 36_000, 1_400_000, 10_000_000), 9_800))
        world.choices = [
            Choice(Standing("near", 2.0, leader=True, slots=0), 0.9, ("near",)),
            Choice(Standing("far", 250.0, leader=False, slots=0), 0.5, ("far",)),
        ]
        bundle = await world.submit(tipping(), region=region, profit_lamports=500_000)
        chances[region] = bundle.expected_landing
    assert chances["near"] > chances["far"] > 0


async def test_a_node_that_is_behind_releases_no_tip(make: Callable[[], World]) -> None:
    async with running(make()) as world:
        bundle = await world.submit()
        world.chain.land(*bundle.signatures, slot=70)
        await world.until(bundle, pb.BUNDLE_STATE_LANDED)
        landed = dict(world.chain.statuses)
        world.chain.statuses.clear()
        world.chain.behind = 500
        world.chain.height += 2 * BLOCKHASH_LIVES
        await asyncio.sleep(0.3)
        assert (await world.stored(bundle)).state == pb.BUNDLE_STATE_LANDED
        assert (await world.bundles.budget()).reserved_lamports == 10_000
        world.chain.statuses.update(landed)
        world.chain.behind = 0
        world.chain.land(*bundle.signatures, slot=70, final=True)
        await world.until(bundle, pb.BUNDLE_STATE_FINALIZED)


async def test_no_height_that_a_node_once_told_keeps_a_bundle_for_ever(
    make: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(make()) as world:
        before, world.chain.height = world.chain.height, 10**9
        wrong = await world.submit()
        world.chain.height = before
        await world.until(wrong, pb.BUNDLE_STATE_SENT)
        await asyncio.sleep(0.2)
        world.chain.height = before + BLOCKHASH_LIVES + MARGIN_BLOCKS + 2
        await world.until(wrong, pb.BUNDLE_STATE_EXPIRED)
        # A chain that stands still: in the end it is not known, and the tip counts as paid.
        still = await world.submit()
        await world.until(still, pb.BUNDLE_STATE_SENT)
        monkeypatch.setattr(tracker_module, "UNKNOWN_S", 0.1)
        ended = await world.until(still, pb.BUNDLE_STATE_UNKNOWN)
        assert "stands still" in ended.message
        assert (await world.bundles.budget()).spent_lamports == 10_000


async def test_an_agent_tells_of_canaries_unsigned_and_of_nothing_else(make: Callable[[], World]) -> None:
    world = make()
    world.agent.answer = NoReceipt
    async with running(world):
        bundle = await world.submit()
        await asyncio.sleep(0.1)
        refused = link_pb2.Receipt(result=link_pb2.RECEIPT_RESULT_FAILED, reason="RATE_LIMITED")
        world.tracker.received(HOST, bundle.name.partition("/")[2], refused)
        assert bundle.state == pb.BUNDLE_STATE_SENDING


async def test_what_is_only_checked_is_held_against_the_budget_too(make: Callable[[], World]) -> None:
    world = make()
    bundle = await world.submit(validate_only=True)
    assert (bundle.state, bundle.sends, bundle.max_sends) == (pb.BUNDLE_STATE_CHECKED, 0, 3)
    with pytest.raises(SolwardError) as refused:
        await world.submit(tipping(200_000), validate_only=True)
    assert refused.value.reason == "BUDGET_EXHAUSTED"


@pytest.mark.parametrize(("refusal", "step"), [("", "send"), ("RATE_LIMITED", "send-2")])
async def test_what_no_block_engine_took_may_be_submitted_anew(
    make: Callable[[], World], refusal: str, step: str
) -> None:
    raw, first, second = tipping(), f"{'0' * 8}-0000-0000-0000-{'1' * 12}", f"{'0' * 8}-0000-0000-0000-{'2' * 12}"
    async with running(make()) as world:
        answer, world.agent.refusal = world.agent.answer, refusal
        world.agent.answer = answer if refusal else NotDelivered
        failed = await world.until(await world.submit(raw, request_id=first), pb.BUNDLE_STATE_FAILED)
        world.agent.answer, world.agent.refusal = answer, ""
        # The same request is answered as it was.
        assert (await world.submit(raw, request_id=first)).state == pb.BUNDLE_STATE_FAILED
        assert len(world.agent.orders) == 1
        anew = await world.submit(raw, request_id=second)
        assert (anew.name, anew.state) == (failed.name, pb.BUNDLE_STATE_SENDING)
        await world.until(anew, pb.BUNDLE_STATE_SENT)
        # An agent that has refused it would tell the same of the same step.
        assert world.agent.orders[-1].step == step
        assert (await world.bundles.budget()).reserved_lamports == 10_000
