"""A bundle on its way to a block engine: sent once, or again and the same, and told of as it is."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from solders.keypair import Keypair
from solward.hosts.v1 import link_pb2

from agent.actions.bundle import BundleAct
from agent.allowlist import Bundles
from agent.jito.transactions import read_bundle
from agent.permits import Refusal
from tests.peers.block_engine import block_engine
from tests.support.bundles import tipping
from tests.unit.agent.jito.stand import Stand, action, make_engine, standing

DONE, FAILED = link_pb2.RECEIPT_RESULT_DONE, link_pb2.RECEIPT_RESULT_FAILED


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with block_engine("ny", "slc") as peer, standing(peer) as made:
        yield made


async def test_a_bundle_lands_and_is_told_of(stand: Stand) -> None:
    transactions = stand.bundle(count=3)
    ident = read_bundle(transactions).ident
    outcome = await stand.submit(transactions, "ny")
    assert outcome.result == DONE
    figures = outcome.figures
    assert (figures["bundle"], figures["region"], figures["via"], figures["tries"]) == (ident, "ny", "grpc", "1")
    assert figures["stream"] == "up"
    assert int(figures["sent_unix_ms"]) <= int(figures["ack_unix_ms"])
    await stand.until(lambda: "finalized" in stand.outcomes(ident))
    assert stand.outcomes(ident) == ["accepted", "processed", "finalized"]
    assert set(stand.peer.world.executed.values()) == {1}


# Every word that an engine refuses with, and what the agent makes of it.
REFUSALS = [
    ("bundle contains an expired blockhash", "BLOCKHASH_EXPIRED"),
    ("invalid blockhash", "BLOCKHASH_EXPIRED"),
    ("Bundles must write lock at least one tip account to be eligible for the auction.", "NO_TIP_ACCOUNT"),
    ("bundle does not lock any of the tip PDAs", "NO_TIP_ACCOUNT"),
    ("bundle exceeds max transaction length", "TOO_MANY_TRANSACTIONS"),
    ("exceeded maximum number of transactions", "TOO_MANY_TRANSACTIONS"),
    ("bundles must not contain any duplicate transactions and every transaction must be signed",
     "DUPLICATE_OR_UNSIGNED"),
    ("transaction #0 could not be decoded", "NOT_DECODED"),
    ("transaction 1111111111111111 is invalid", "NOT_DECODED"),
    ("transaction has too many account locks", "TOO_MANY_LOCKS"),
    ("something that nobody has met yet", "BUNDLE_REFUSED"),
]  # fmt: skip


@pytest.mark.parametrize("way", ["grpc", "http"])
@pytest.mark.parametrize(("words", "reason"), REFUSALS)
async def test_what_is_refused_for_good_is_not_sent_again(stand: Stand, words: str, reason: str, way: str) -> None:
    served = stand.peer["ny"]
    served.faults.refuse = words
    if way == "http":
        # The first try, by gRPC, finds nobody behind Envoy.
        served.faults.upstream_errors = 1
    outcome = await stand.submit(stand.bundle(), "ny")
    assert outcome.result == FAILED
    assert outcome.figures["via"] == way
    assert reason in (outcome.reason, outcome.figures.get("last"))
    # After a try of which nothing is known, the chain must tell.
    assert outcome.reason == ("SEND_UNKNOWN" if way == "http" else reason)
    assert served.region.received == []


async def test_what_is_on_the_chain_already_counts_as_sent(stand: Stand) -> None:
    transactions = stand.bundle()
    await stand.submit(transactions, "ny")
    await stand.until(lambda: stand.peer.world.landed)
    again = await stand.submit(transactions, "ny")
    assert (again.result, again.reason) == (DONE, "ALREADY_PROCESSED")
    assert set(stand.peer.world.executed.values()) == {1}


async def test_no_leader_soon_is_tried_again_elsewhere(stand: Stand) -> None:
    stand.peer["ny"].faults.refuse = "Bundle Dropped, no connected leader up soon"
    stand.engine.regions["ny"].rtt_s, stand.engine.regions["slc"].rtt_s = 0.001, 0.2
    outcome = await stand.submit(stand.bundle())
    assert (outcome.result, outcome.figures["region"], outcome.figures["tries"]) == (DONE, "slc", "2")


async def test_a_lost_acknowledgement_sends_the_same_again_and_lands_once(stand: Stand) -> None:
    stand.peer["ny"].faults.lost_acks = 2
    transactions = stand.bundle(count=2)
    outcome = await stand.submit(transactions, "ny")
    assert outcome.result == DONE
    sent = [raw for _, raw in stand.peer["ny"].region.received]
    assert all(raw == transactions for raw in sent)
    await stand.until(lambda: stand.peer.world.landed)
    await asyncio.sleep(0.3)
    assert set(stand.peer.world.executed.values()) == {1}
    assert stand.peer.world.tips == 20_000


async def test_a_region_that_is_down_gives_way_to_the_next(stand: Stand) -> None:
    stand.engine.regions["ny"].rtt_s, stand.engine.regions["slc"].rtt_s = 0.001, 0.2
    await stand.peer["ny"].down()
    outcome = await stand.submit(stand.bundle())
    assert (outcome.result, outcome.figures["region"]) == (DONE, "slc")


async def test_with_every_region_down_it_is_said_that_nothing_was_sent(stand: Stand) -> None:
    for served in stand.peer.regions.values():
        await served.down()
    # Connections that were open end in the middle: the first to notice cannot say whether anything went out.
    await stand.submit(stand.bundle(), within_s=1.0)
    outcome = await stand.submit(stand.bundle(), within_s=1.5)
    assert (outcome.result, outcome.reason) == (FAILED, "REGION_UNAVAILABLE")


async def test_a_region_that_does_not_answer_is_left_for_the_next_and_the_chain_must_tell(stand: Stand) -> None:
    stand.peer["ny"].faults.stale = True
    stand.engine.regions["ny"].rtt_s, stand.engine.regions["slc"].rtt_s = 0.001, 0.2
    begun = time.monotonic()
    outcome = await stand.submit(stand.bundle())
    assert (outcome.result, outcome.figures["region"]) == (DONE, "slc")
    assert time.monotonic() - begun < 4.0
    only = await stand.submit(stand.bundle(), "ny", within_s=1.0)
    assert (only.result, only.reason) == (FAILED, "SEND_UNKNOWN")
    # Its channel was made anew, which has broken the stream and whatever else was on the old one.
    stand.peer["ny"].faults.stale = False
    await stand.until(lambda: stand.engine.streams["ny"].reopened and stand.engine.streams["ny"].up, 20.0)
    raw = stand.bundle()
    await stand.submit(raw, "ny")
    await stand.until(lambda: "processed" in stand.outcomes(read_bundle(raw).ident))


async def test_a_limit_is_waited_for_as_long_as_it_asks() -> None:
    async with block_engine("ny", per_second=2.0) as peer, standing(peer, streams=False, per_second=2.0) as stand:
        await stand.until(lambda: stand.engine.regions["ny"].rtt_s)
        peer["ny"].region.calls.clear()
        outcomes = [await stand.submit(stand.bundle(), "ny", within_s=20.0) for _ in range(4)]
        assert [one.result for one in outcomes] == [DONE] * 4
        # Of one who keeps to it nobody is ever limited.
        assert peer["ny"].region.limited == 0
        # Another program of this host took the turn.
        peer["ny"].region._callers["127.0.0.1"].free_at = time.monotonic() + 1.5
        begun = time.monotonic()
        outcome = await stand.submit(stand.bundle(), "ny", within_s=20.0)
        assert outcome.result == DONE
        assert time.monotonic() - begun > 1.2
        assert peer["ny"].region.limited == 1


async def test_a_global_limit_is_no_verdict_on_the_bundle(stand: Stand) -> None:
    stand.peer["ny"].faults.globally_limited = True
    outcome = await stand.submit(stand.bundle(), "ny", within_s=0.5)
    assert (outcome.result, outcome.reason) == (FAILED, "GLOBALLY_RATE_LIMITED")


async def test_what_cannot_be_sent_is_refused_before_it_is_begun() -> None:
    async with block_engine("ny") as peer:
        engine = make_engine(peer)
        raw = [tipping(payer=Keypair())]
        cases = [
            (None, action(raw), Bundles(1), "ENGINE_UNKNOWN"),
            (engine, action(raw, "moon"), Bundles(1), "REGION_UNKNOWN"),
            (engine, action(raw), Bundles(1, ("tokyo",)), "REGION_NOT_ALLOWED"),
            (engine, action(raw, within_s=-1), Bundles(1), "DEADLINE_PASSED"),
        ]
        for known, wanted, allowed, reason in cases:
            act = BundleAct(known, wanted, allowed)
            with pytest.raises(Refusal) as refused:
                await act.precondition(await act.look())
            assert refused.value.reason == reason
        assert peer["ny"].region.received == []


async def test_the_order_that_is_asked_for_is_kept_but_for_regions_left_alone(stand: Stand) -> None:
    engine = stand.engine
    engine.regions["ny"].rtt_s, engine.regions["slc"].rtt_s = 0.001, 0.002
    assert engine.ranked() == ["ny", "slc"]
    assert engine.ranked(order=["slc", "unknown"]) == ["slc", "ny"]
    assert engine.ranked(["ny"], ["slc"]) == ["ny"]
    wanted = action(stand.bundle())
    wanted.region_order.extend(["slc", "ny"])
    act = BundleAct(engine, wanted, Bundles(10**9))
    assert (await act.act(stand.told.append)).figures["region"] == "slc"
    for _ in range(3):
        engine.regions["slc"].breaker.failed()
    assert engine.ranked(order=["slc"]) == ["ny", "slc"]


async def test_the_next_leader_is_asked_for_of_one_region_after_the_other() -> None:
    async with block_engine("ny", "slc") as peer, standing(peer, leader_s=0.05) as stand:
        peer["ny"].faults.leader_region = peer["slc"].faults.leader_region = "slc"
        leaders = set()

        def seen() -> bool:
            if leader := stand.engine.take_counts().leader:
                leaders.add(leader.region)
            return "slc" in leaders

        await stand.until(seen)

        def asked() -> bool:
            calls = [[what for _, what in one.region.calls] for one in peer.regions.values()]
            return all("GetNextScheduledLeader" in one for one in calls)

        await stand.until(asked)
        # A region that nobody here knows is no leader's.
        peer["ny"].faults.leader_region = peer["slc"].faults.leader_region = "tokyo"
        await asyncio.sleep(0.3)
        stand.engine.take_counts()
        await asyncio.sleep(0.3)
        assert stand.engine.take_counts().leader is None


async def test_a_region_that_waits_for_its_limit_is_not_asked_for_leaders() -> None:
    async with block_engine("ny") as peer, standing(peer, leader_s=0.05) as stand:
        stand.engine.regions["ny"].gate.limiter.limited(60.0)
        await asyncio.sleep(0.2)
        begun = len(peer["ny"].region.calls)
        await asyncio.sleep(0.4)
        assert len(peer["ny"].region.calls) == begun
