"""Bundles are stored once, and never promise more than the budget, whoever asks at the same time."""

import asyncio
import random
from typing import Any

import pytest
from solward.jito.v1 import jito_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.bundles import BundleRepository, OverBudget

HOST = "a" * 32
LANDED, FINALIZED, EXPIRED = pb.BUNDLE_STATE_LANDED, pb.BUNDLE_STATE_FINALIZED, pb.BUNDLE_STATE_EXPIRED


@pytest.fixture
def everywhere(engines: list[AsyncEngine]) -> list[BundleRepository]:
    return [BundleRepository(engine) for engine in engines]


def bundle(number: int, tip: int = 10_000, state: pb.BundleState = pb.BUNDLE_STATE_SENDING, **more: Any) -> pb.Bundle:
    return pb.Bundle(name=f"bundles/{number:064x}", tip_lamports=tip, state=state, **more)


async def add(store: BundleRepository, one: pb.Bundle, request: str | None = None) -> pb.Bundle | None:
    known = await store.add(one, HOST, [b"signed"], request)
    return known.bundle if known else None


async def test_nothing_is_sent_where_no_budget_is_set(everywhere: list[BundleRepository]) -> None:
    store = everywhere[0]
    assert (await store.budget()).daily_lamports == 0
    with pytest.raises(OverBudget) as refused:
        await add(store, bundle(1))
    assert refused.value.budget.daily_lamports == 0
    assert await store.find(f"{1:064x}") is None
    # What is only checked promises nothing.
    assert await add(store, bundle(1, state=pb.BUNDLE_STATE_CHECKED)) is None


async def test_a_race_of_several_control_planes_never_promises_more_than_the_day_has(
    everywhere: list[BundleRepository],
) -> None:
    await everywhere[0].set_budget(100_000, 0, "user:ann")

    async def one(number: int) -> bool:
        try:
            return await add(everywhere[number % len(everywhere)], bundle(number, 30_000)) is None
        except OverBudget:
            return False

    assert sum(await asyncio.gather(*map(one, range(12)))) == 3
    budget = await everywhere[1].budget()
    assert (budget.reserved_lamports, budget.spent_lamports, budget.updater) == (90_000, 0, "user:ann")
    assert len(await everywhere[2].unfinished()) == 3


async def test_the_same_bundle_or_request_is_one_bundle(everywhere: list[BundleRepository]) -> None:
    store, other = everywhere[:2]
    await store.set_budget(100_000, 0, "user:ann")
    assert await add(store, bundle(1), "user:ann r1") is None
    again = await add(other, bundle(1, 99_999, strategy="other"), "user:bob r9")
    assert again is not None
    assert (again.tip_lamports, again.strategy) == (10_000, "")
    by_request = await add(other, bundle(2), "user:ann r1")
    assert by_request is not None
    assert by_request.name == bundle(1).name
    assert (await store.budget()).reserved_lamports == 10_000


@pytest.mark.parametrize(
    ("state", "reserved", "spent"),
    [
        (pb.BUNDLE_STATE_ACCEPTED, 10_000, 0),
        (pb.BUNDLE_STATE_LANDED, 10_000, 0),
        (pb.BUNDLE_STATE_FINALIZED, 0, 10_000),
        (pb.BUNDLE_STATE_PARTIAL, 0, 10_000),
        (pb.BUNDLE_STATE_UNKNOWN, 0, 10_000),
        (pb.BUNDLE_STATE_EXPIRED, 0, 0),
        (pb.BUNDLE_STATE_FAILED, 0, 0),
    ],
)
async def test_a_tip_counts_until_it_is_known_not_to_be_paid(
    everywhere: list[BundleRepository], state: pb.BundleState, reserved: int, spent: int
) -> None:
    store = everywhere[0]
    await store.set_budget(100_000, 0, "user:ann")
    await add(store, bundle(1))
    await store.save([bundle(1, state=state)])
    budget = await store.budget()
    assert (budget.reserved_lamports, budget.spent_lamports) == (reserved, spent)
    kept = await store.find(f"{1:064x}")
    assert kept is not None
    assert kept.transactions == ([] if not reserved else [b"signed"])


async def test_one_bundle_may_not_tip_more_than_it_may(everywhere: list[BundleRepository]) -> None:
    store = everywhere[0]
    await store.set_budget(100_000, 20_000, "user:ann")
    with pytest.raises(OverBudget):
        await add(store, bundle(1, 20_001))
    assert await add(store, bundle(2, 20_000)) is None


async def test_pages_are_the_newest_first_and_of_some_hosts(everywhere: list[BundleRepository]) -> None:
    store = everywhere[0]
    await store.set_budget(10**9, 0, "user:ann")
    for number in range(5):
        await store.add(bundle(number, strategy="arb" if number % 2 else ""), HOST, [], None)
    await store.add(bundle(9), "b" * 32, [], None)
    first = await store.page([HOST], "", None, 3)
    rest = await store.page([HOST], "", first[-1][0], 3)
    names = [one.name for _, one in first + rest]
    assert sorted(names) == [bundle(number).name for number in range(5)]
    assert len(names) == len(set(names))
    assert len(await store.page(None, "", None, 99)) == 6
    assert {one.strategy for _, one in await store.page(None, "arb", None, 99)} == {"arb"}
    assert await store.page([], "", None, 99) == []
    assert len(await store.since(0)) == 6


async def test_only_what_has_ended_and_is_old_is_let_go(everywhere: list[BundleRepository]) -> None:
    store = everywhere[0]
    await store.set_budget(100_000, 0, "user:ann")
    for number in range(3):
        await add(store, bundle(number))
    await store.save([bundle(1, state=pb.BUNDLE_STATE_EXPIRED), bundle(2, state=pb.BUNDLE_STATE_FINALIZED)])
    assert await store.prune(0) == 0
    assert await store.prune(2**53) == 2
    assert [one.bundle.name for one in await store.unfinished()] == [bundle(0).name]


async def test_canaries_are_stored_once_and_no_budget_pays(everywhere: list[BundleRepository]) -> None:
    await everywhere[0].set_budget(10_000, 0, "user:ann")
    canary = bundle(7, 9_000, canary=True)
    found = await asyncio.gather(*(store.adopt(canary, HOST) for store in everywhere))
    assert sorted(found) == [False] * (len(everywhere) - 1) + [True]
    store = everywhere[0]
    assert (await store.budget()).reserved_lamports == 0
    assert [one.bundle.name for one in await store.unfinished()] == [canary.name]
    assert await add(store, bundle(8, 10_000)) is None
    assert [one.name for _, one in await store.page(None, "", None, 9)] == [bundle(8).name]
    assert [one.name for _, one in await store.page([HOST], "", None, 9, canaries=True)] == [canary.name]
    assert [one.name for one in await store.since(0)] == [bundle(8).name]


async def test_sums_are_those_of_the_bundles_one_by_one(
    everywhere: list[BundleRepository], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = everywhere[0]
    await store.set_budget(10**12, 0, "user:ann")
    draw, made, asked = random.Random(7), list[pb.Bundle](), list[int]()
    states = (LANDED, FINALIZED, EXPIRED, pb.BUNDLE_STATE_UNKNOWN, pb.BUNDLE_STATE_FAILED)
    monkeypatch.setattr("controlplane.store.bundles.now_ms", lambda: asked[-1])
    for number in range(60):
        asked.append(1_000_000 + number * 700)
        strategy = draw.choice(("arb", "liq", ""))
        one = bundle(number, draw.randrange(1_000, 10**10), strategy=strategy, profit_lamports=10**12, fee_lamports=7)
        assert await add(store, one) is None
        one.state = draw.choice(states)
        if one.state == EXPIRED:
            one.reason = draw.choice(("OUTBID_LOCALLY", "OUTBID_GLOBALLY", "SIMULATION_FAILED"))
            one.simulated_bid_lamports = draw.randrange(0, 10**10)
        await store.save([one])
        made.append(one)
    since = asked[5]
    counted = list(zip(asked, made, strict=True))[5:]
    for row in await everywhere[1].sums(since):
        mine = [one for _, one in counted if (one.strategy, one.state) == (row.strategy, row.state)]
        assert row.bundles == len(mine) > 0
        assert (row.tips, row.profit, row.fees) == (
            sum(one.tip_lamports for one in mine), 10**12 * len(mine), 7 * len(mine),
        )  # fmt: skip
    assert sum(row.bundles for row in await store.sums(since)) == 55
    over: dict[str, int] = {}
    for at, one in counted:
        bids = [
            other.simulated_bid_lamports for when, other in counted
            if other.strategy == one.strategy and other.reason.startswith("OUTBID") and abs(when - at) <= 2_000
        ]  # fmt: skip
        if one.state in (LANDED, FINALIZED) and any(bids) and one.tip_lamports > max(bids):
            over[one.strategy] = over.get(one.strategy, 0) + one.tip_lamports - max(bids)
    assert over
    assert await everywhere[2].overpaid(since, 2_000) == over


async def test_what_is_said_to_be_earned_overflows_no_sum(everywhere: list[BundleRepository]) -> None:
    store = everywhere[0]
    for number in range(3):
        one = bundle(number, 1_000, pb.BUNDLE_STATE_EXPIRED, profit_lamports=2**62, fee_lamports=2**62)
        assert await add(store, one) is None
    (row,) = await store.sums(0)
    assert (row.bundles, row.tips, row.profit, row.fees) == (3, 3_000, 10**18, 10**18)


async def test_nothing_sent_sums_up_to_nothing(everywhere: list[BundleRepository]) -> None:
    assert await everywhere[0].sums(0) == []
    assert await everywhere[0].overpaid(0, 2_000) == {}
    await everywhere[0].adopt(bundle(1, 5_000, FINALIZED, canary=True), HOST)
    assert await everywhere[0].sums(0) == []
