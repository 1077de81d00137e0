"""What is learnt of bundles outlives a restart, and unknown ones teach nothing."""

import asyncio
from pathlib import Path

import pytest
from solward.jito.v1 import jito_pb2 as pb

from controlplane.mev import learning as module
from controlplane.mev.learning import Learning
from controlplane.mev.tip_feed import TipFeed
from controlplane.mev.tips import Floor

FLOOR = Floor(1_700_000_000.0, (6_000, 10_000, 36_000, 1_400_000, 10_000_000), 9_800)
UNSET = pb.Budget()


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


def test_each_bundle_is_sent_with_a_chance_and_only_what_is_known_teaches(tmp_path: Path) -> None:
    learning = Learning(feed(), tmp_path / "landing.model")
    one = bundle(1)
    learning.sent(one)
    assert 0 < one.expected_landing < 1
    teach(learning, pb.BUNDLE_STATE_UNKNOWN, pb.BUNDLE_STATE_FAILED, pb.BUNDLE_STATE_PARTIAL)
    assert ask(learning).learnt == 0
    teach(learning, *[pb.BUNDLE_STATE_EXPIRED] * 30)
    worse = ask(learning)
    assert worse.learnt == 30
    assert worse.asked.landing < one.expected_landing


def test_a_budget_bounds_what_is_advised_and_what_is_unset_is_said(tmp_path: Path) -> None:
    learning = Learning(feed(), tmp_path / "landing.model")
    assert "no budget is set: nothing is sent" in ask(learning).reasons
    bounded = ask(learning, pb.Budget(daily_lamports=100_000, spent_lamports=80_000, bundle_lamports=50_000))
    assert bounded.best.tip_lamports <= 20_000
    nobody = Learning(TipFeed("", 10, lambda _: None), tmp_path / "x")
    assert nobody.expected_value(pb.GetExpectedValueRequest(profit_lamports=5), UNSET) is None


async def test_what_was_learnt_is_taken_up_again_and_a_broken_file_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.05)
    path = tmp_path / "landing.model"

    async def live(states: list[pb.BundleState]) -> int:
        learning = Learning(feed(), path)
        task = asyncio.create_task(learning.run())
        await asyncio.sleep(0.02)
        teach(learning, *states)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return ask(learning).learnt

    assert await live([pb.BUNDLE_STATE_FINALIZED] * 5) == 5
    assert path.stat().st_mode & 0o777 == 0o600
    assert await live([pb.BUNDLE_STATE_EXPIRED]) == 6
    path.write_bytes(b"no model")
    assert await live([]) == 0
