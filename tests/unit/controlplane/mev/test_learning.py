"""What is learnt of bundles outlives a restart, and unknown ones teach nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from solward.jito.v1 import jito_pb2 as pb

from controlplane.mev import learning as module
from controlplane.mev.choice import Standing
from controlplane.mev.learning import Learning
from controlplane.mev.tip_feed import TipFeed
from controlplane.mev.tips import Floor
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.models import ModelRepository
from tests.support.authorities import until

FLOOR = Floor(1_700_000_000.0, (6_000, 10_000, 36_000, 1_400_000, 10_000_000), 9_800)
UNSET = pb.Budget()


@pytest.fixture
async def models(tmp_path: Path) -> AsyncIterator[ModelRepository]:
    """A store in a file."""
    engine = open_engine(f"sqlite+aiosqlite:///{tmp_path / 'state.db'}")
    await migrate(engine)
    yield ModelRepository(engine)
    await close_engine(engine)


def feed() -> TipFeed:
    made = TipFeed("", 10, lambda _: None)
    made.take(FLOOR)
    return made


def bundle(number: int, state: pb.BundleState = pb.BUNDLE_STATE_SENDING) -> pb.Bundle:
    return pb.Bundle(
        name=f"bundles/{number:064x}", profit_lamports=500_000, tip_lamports=40_000, strategy="arb", state=state,
        signatures=["s"],
    )  # fmt: skip


def teach(learning: Learning, *states: pb.BundleState) -> None:
    for number, state in enumerate(states):
        learning.sent(bundle(number))
        learning.ended(bundle(number, state))


def ask(learning: Learning, budget: pb.Budget = UNSET) -> pb.ExpectedValue:
    found = learning.expected_value(pb.GetExpectedValueRequest(profit_lamports=500_000, tip_lamports=40_000), budget)
    assert found is not None
    return found


def test_each_bundle_is_sent_with_a_chance_and_only_what_is_known_teaches(models: ModelRepository) -> None:
    learning = Learning(feed(), models)
    one = bundle(1)
    learning.sent(one)
    assert 0 < one.expected_landing < 1
    teach(learning, pb.BUNDLE_STATE_UNKNOWN, pb.BUNDLE_STATE_FAILED, pb.BUNDLE_STATE_PARTIAL)
    assert ask(learning).learnt == 0
    teach(learning, *[pb.BUNDLE_STATE_EXPIRED] * 30)
    worse = ask(learning)
    assert worse.learnt == 30
    assert worse.asked.landing < one.expected_landing


def test_a_budget_bounds_what_is_advised_and_what_is_unset_is_said(models: ModelRepository) -> None:
    learning = Learning(feed(), models)
    assert "no budget is set: nothing is sent" in ask(learning).reasons
    bounded = ask(learning, pb.Budget(daily_lamports=100_000, spent_lamports=80_000, bundle_lamports=50_000))
    assert bounded.best.tip_lamports <= 20_000
    nobody = Learning(TipFeed("", 10, lambda _: None), models)
    assert nobody.expected_value(pb.GetExpectedValueRequest(profit_lamports=5), UNSET) is None


def test_a_chance_is_that_of_one_send(models: ModelRepository) -> None:
    learning = Learning(feed(), models)
    for number in range(40):
        one = bundle(number, pb.BUNDLE_STATE_FINALIZED)
        one.sends = 2
        learning.sent(one)
        learning.ended(one)
    assert ask(learning).learnt == 40
    assert ask(learning).asked.landing < 0.5
    # One that is not sent after all is not waited for.
    learning.sent(bundle(41))
    learning.forget(bundle(41))
    learning.ended(bundle(41, pb.BUNDLE_STATE_EXPIRED))
    assert ask(learning).learnt == 40


def test_what_is_known_of_the_way_is_learnt_from_and_asked_by(models: ModelRepository) -> None:
    learning = Learning(feed(), models)
    here, elsewhere = Standing("ny", 3.0, leader=True, slots=1), Standing("slc", 40.0, leader=False, slots=1)
    for number in range(200):
        way, state = (here, pb.BUNDLE_STATE_FINALIZED) if number % 2 else (elsewhere, pb.BUNDLE_STATE_EXPIRED)
        learning.sent(bundle(number), way)
        learning.ended(bundle(number, state))

    def chance(way: Standing | None) -> float:
        request = pb.GetExpectedValueRequest(profit_lamports=500_000, tip_lamports=40_000, strategy="arb")
        found = learning.expected_value(request, UNSET, way)
        assert found is not None
        return found.asked.landing

    assert chance(here) > chance(elsewhere) + 0.2
    # Too late to arrive within the turn.
    assert chance(here._replace(rtt_ms=900.0, slots=-3)) < chance(here) - 0.2


async def live(models: ModelRepository, states: list[pb.BundleState]) -> int:
    """Live from a start to a stop, and see some bundles end; gives how many were learnt from in all."""
    learning = Learning(feed(), models)
    task = asyncio.create_task(learning.run())
    await asyncio.sleep(0.1)
    teach(learning, *states)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return ask(learning).learnt


async def test_what_was_learnt_is_taken_up_again_and_what_cannot_be_read_is_begun_anew(models: ModelRepository) -> None:
    assert await live(models, [pb.BUNDLE_STATE_FINALIZED] * 5) == 5
    assert await live(models, [pb.BUNDLE_STATE_EXPIRED]) == 6
    assert await live(models, []) == 6
    assert await models.put("landing", b"no model", 2)
    assert await live(models, [pb.BUNDLE_STATE_EXPIRED]) == 1
    assert await live(models, []) == 1


async def test_a_control_plane_that_was_replaced_takes_up_what_its_successor_learnt(
    models: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.05)
    old = Learning(feed(), models)
    task = asyncio.create_task(old.run())
    await asyncio.sleep(0.02)
    assert await live(models, [pb.BUNDLE_STATE_FINALIZED] * 7) == 7
    teach(old, pb.BUNDLE_STATE_EXPIRED)
    await until(lambda: ask(old).learnt == 7)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await live(models, []) == 7


async def test_a_store_that_is_away_is_asked_again(models: ModelRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await live(models, [pb.BUNDLE_STATE_FINALIZED] * 3) == 3
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.01)
    away = AsyncMock(side_effect=OSError("no store"))
    monkeypatch.setattr(ModelRepository, "get", away)
    learning = Learning(feed(), models)
    task = asyncio.create_task(learning.run())
    await until(lambda: away.await_count > 1)
    monkeypatch.undo()
    await until(lambda: ask(learning).learnt == 3)
    with monkeypatch.context() as broken:
        broken.setattr(ModelRepository, "put", away)
        before = away.await_count
        teach(learning, pb.BUNDLE_STATE_EXPIRED)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert away.await_count > before
