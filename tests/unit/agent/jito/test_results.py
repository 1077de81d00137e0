"""The results stream: what is ours is told once it comes, and nothing else is."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jito import bundle_pb2
from solders.keypair import Keypair

from agent.jito.results import MOST_REMEMBERED, REMEMBERED_S, Sent, read_result
from agent.jito.transactions import read_bundle
from tests.peers.block_engine import block_engine
from tests.unit.agent.jito.stand import Stand, standing

R = bundle_pb2.Rejected


async def in_one_auction(stand: Stand, *bundles: list[bytes]) -> None:
    faults = stand.peer["ny"].faults
    faults.hold_auctions = True
    await asyncio.gather(*map(stand.submit, bundles))
    faults.hold_auctions = False


async def test_every_kind_of_rejection_is_told_with_its_bid_and_words() -> None:
    async with block_engine("ny") as peer, standing(peer) as stand:
        payer = Keypair()
        low, high = stand.bundle(tip=1_000, payer=payer), stand.bundle(tip=50_000, payer=payer)
        await in_one_auction(stand, low, high)
        lost = read_bundle(low).ident
        await stand.until(lambda: stand.outcomes(lost))
        assert stand.outcomes(lost) == ["state_auction_bid_rejected"]
        assert [one.bid_lamports for one in stand.results if one.bundle == lost] == [1_000]

        # One of them fits, two do not.
        peer["ny"].region.batch_units = 4_000
        low, high = stand.bundle(tip=1_000), stand.bundle(tip=50_000)
        await in_one_auction(stand, low, high)
        lost = read_bundle(low).ident
        await stand.until(lambda: stand.outcomes(lost))
        assert stand.outcomes(lost) == ["winning_batch_bid_rejected"]

        faults = peer["ny"].faults
        for name, outcome in (
            ("simulation_failure", "simulation_failure"), ("internal_error", "internal_error"),
            ("dropped", "dropped_bundle"),
        ):  # fmt: skip
            setattr(faults, name, "these words")
            raw = stand.bundle()
            await stand.submit(raw)
            ident = read_bundle(raw).ident
            await stand.until(lambda ident=ident: stand.outcomes(ident))
            assert stand.outcomes(ident) == [outcome]
            assert [one.message[-11:] for one in stand.results if one.bundle == ident] == ["these words"]
            setattr(faults, name, "")


@pytest.mark.parametrize("reason", [
    (bundle_pb2.BlockhashExpired, "dropped_blockhash_expired"),
    (bundle_pb2.PartiallyProcessed, "dropped_partially_processed"),
    (bundle_pb2.NotFinalized, "dropped_not_finalized"),
])  # fmt: skip
async def test_a_bundle_that_is_accepted_and_dropped(reason: tuple[int, str]) -> None:
    async with block_engine("ny") as peer, standing(peer) as stand:
        peer["ny"].faults.dropped_after = reason[0]
        raw = stand.bundle(count=2)
        await stand.submit(raw)
        ident = read_bundle(raw).ident
        await stand.until(lambda: len(stand.outcomes(ident)) == 2)
        assert stand.outcomes(ident) == ["accepted", reason[1]]


async def test_results_of_others_are_counted_and_dropped() -> None:
    async with block_engine("ny") as peer, standing(peer) as stand:
        peer["ny"].faults.foreign = 3
        raw = stand.bundle()
        await stand.submit(raw)
        ident = read_bundle(raw).ident
        await stand.until(lambda: "finalized" in stand.outcomes(ident))
        assert {one.bundle for one in stand.results} == {ident}
        assert stand.engine.take_counts().foreign["ny"] >= 3
        assert stand.engine.take_counts().foreign["ny"] <= 3


async def test_results_that_come_twice_or_late_are_told_as_they_come() -> None:
    async with block_engine("ny") as peer, standing(peer) as stand:
        peer["ny"].faults.duplicates = 1
        raw = stand.bundle()
        await stand.submit(raw)
        ident = read_bundle(raw).ident
        await stand.until(lambda: len(stand.outcomes(ident)) == 6)
        assert stand.outcomes(ident)[:2] == ["accepted", "accepted"]
        peer["ny"].faults.duplicates, peer["ny"].faults.late_s = 0, 0.7
        raw = stand.bundle()
        await stand.submit(raw)
        ident = read_bundle(raw).ident
        await asyncio.sleep(0.4)
        assert stand.outcomes(ident) == []
        await stand.until(lambda: stand.outcomes(ident))


async def test_a_stream_that_falls_silent_is_opened_again_on_a_fresh_channel() -> None:
    async with block_engine("ny") as peer, standing(peer, silent_s=0.5) as stand:
        # Without bundles of ours silence is what is to be expected.
        await asyncio.sleep(1.2)
        assert stand.engine.streams["ny"].reopened == 0
        peer["ny"].faults.silent = True
        channel = stand.engine.regions["ny"].channel.channel
        await stand.submit(stand.bundle())
        await stand.until(lambda: stand.engine.streams["ny"].reopened)
        assert stand.engine.regions["ny"].channel.channel is not channel
        peer["ny"].faults.silent = False
        await stand.until(lambda: stand.engine.streams["ny"].up)
        raw = stand.bundle()
        await stand.submit(raw)
        await stand.until(lambda: "processed" in stand.outcomes(read_bundle(raw).ident))


async def test_a_region_that_comes_back_has_its_stream_again() -> None:
    async with block_engine("ny") as peer, standing(peer) as stand:
        await peer["ny"].down()
        await stand.until(lambda: not stand.engine.streams["ny"].up)
        await peer["ny"].up()
        await stand.until(lambda: stand.engine.streams["ny"].up, 20.0)
        assert len(peer["ny"].region.listeners) == 1


async def test_a_second_stream_is_not_forced_upon_an_engine_that_has_one() -> None:
    async with block_engine("ny") as peer:
        peer["ny"].faults.most_streams = 0
        async with standing(peer, streams=False) as stand:
            task = asyncio.create_task(stand.engine.streams["ny"].run())
            await stand.until(lambda: stand.engine.streams["ny"].reopened)
            assert not stand.engine.streams["ny"].up
            # It waits for seconds, and not for milliseconds as after a broken connection.
            await asyncio.sleep(2.0)
            assert stand.engine.streams["ny"].reopened == 1
            # Bundles are not slowed down for it.
            assert stand.engine.regions["ny"].limited == 0
            assert (await stand.submit(stand.bundle())).figures["stream"] == "down"
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_an_outcome_that_is_not_known_is_no_result() -> None:
    assert read_result(bundle_pb2.BundleResult(bundle_id="ab"), "ny", 1) is None
    assert read_result(bundle_pb2.BundleResult(bundle_id="ab", rejected=R()), "ny", 1) is None
    # An empty Dropped means what 0 means.
    told = read_result(bundle_pb2.BundleResult(bundle_id="ab", dropped=bundle_pb2.Dropped()), "ny", 1)
    assert told
    assert told.outcome == "dropped_blockhash_expired"


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 400)), max_size=80))
async def test_ids_are_remembered_for_their_time_and_no_longer(steps: list[tuple[int, float]]) -> None:
    clock = [0.0]
    sent, when = Sent(now=lambda: clock[0]), {}
    for number, seconds in steps:
        clock[0] += seconds
        await sent.add(str(number))
        when[str(number)] = clock[0]
        for ident, at in when.items():
            assert (ident in sent) == (at + REMEMBERED_S > clock[0])
    assert "never" not in sent


async def test_ids_are_bounded() -> None:
    sent = Sent(now=lambda: 0.0)
    for number in range(MOST_REMEMBERED + 5):
        await sent.add(str(number))
    assert ("4" in sent, "5" in sent) == (False, True)
