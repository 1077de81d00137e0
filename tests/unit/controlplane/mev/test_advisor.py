"""The advisor: what it says of tips, and that it learns from what is known and from nothing else."""

import math

import numpy as np
import pytest

from controlplane.mev.advisor import MOST_AWAITED, Advisor, Opportunity, Outcome
from controlplane.mev.tips import LEAST_TIP, Floor

FLOOR = Floor(0.0, (6_001, 10_000, 36_196, 1_447_905, 10_007_999), 9_836)
GOOD = Opportunity(profit=2_000_000, strategy="backrun", fees=15_000, transactions=3)


def test_the_best_tip_comes_with_its_worth_its_interval_and_reasons() -> None:
    advice = Advisor().expected_value(GOOD, FLOOR)
    best = advice.best
    assert best is not None
    assert LEAST_TIP <= best.tip < advice.break_even == 1_985_000
    assert 0 < best.landing_low < best.landing < best.landing_high < 1
    assert best.value == math.floor(best.landing * (1_985_000 - best.tip))
    assert 0 < best.value_low < best.value < best.value_high
    assert advice.asked is None
    text = "\n".join(advice.reasons)
    for words in ("rivals expected above", "no tip buys a chance above", "learnt from 0 outcomes"):
        assert words in text


def test_a_tip_that_is_asked_about_is_judged_beside_it() -> None:
    advisor = Advisor()
    best = advisor.expected_value(GOOD, FLOOR).best
    assert best is not None
    for tip in (LEAST_TIP, 50_000, 1_900_000):
        asked = advisor.expected_value(Opportunity(2_000_000, "backrun", 15_000, tip, transactions=3), FLOOR).asked
        assert asked is not None
        assert asked.tip == tip
        assert asked.value_low <= asked.value <= asked.value_high
    dear = advisor.expected_value(Opportunity(2_000_000, tip=3_000_000), FLOOR)
    assert dear.asked is not None
    assert dear.asked.value < 0
    assert "a tip of 3000000 lamports is above what profit less fees and margin allows, 2000000" in dear.reasons
    small = advisor.expected_value(Opportunity(2_000_000, tip=999, failure_cost=7), FLOOR).asked
    assert small is not None
    assert (small.landing, small.value) == (0, -7)


def test_no_advice_exceeds_cap_budget_or_profit() -> None:
    random, advisor = np.random.default_rng(3), Advisor(margin=1_000)
    for _ in range(2_000):
        profit, cap = int(np.exp(random.uniform(0, 20))), int(np.exp(random.uniform(0, 18)))
        budget = int(np.exp(random.uniform(0, 18)))
        best = advisor.expected_value(Opportunity(profit, fees=5_000, cap=cap), FLOOR, budget).best
        if best is not None:
            assert LEAST_TIP <= best.tip <= min(cap, budget, profit - 6_000)
            assert best.value >= 0
            advisor.learn(Outcome(Opportunity(profit, fees=5_000), FLOOR, best.tip, bool(random.random() < 0.3)))


def test_nothing_is_learnt_from_what_is_not_known() -> None:
    advisor = Advisor()
    before = advisor.save()
    assert not advisor.learn(Outcome(GOOD, FLOOR, 50_000, None))
    assert not advisor.learn(Outcome(GOOD, FLOOR, 0, landed=False))
    assert advisor.save() == before


def test_a_bundle_is_learnt_from_once_it_has_ended() -> None:
    advisor, other = Advisor(), Advisor()
    chance = advisor.sent("ab", GOOD, FLOOR, 50_000)
    assert 0 < chance < 1
    assert advisor.ended("ab", landed=True)
    assert not advisor.ended("ab", landed=True)
    assert not advisor.ended("never sent", landed=True)
    other.learn(Outcome(GOOD, FLOOR, 50_000, landed=True))
    assert advisor.save() == other.save()
    advisor.sent("cd", GOOD, FLOOR, 50_000)
    assert not advisor.ended("cd", None)
    assert advisor.sent("ef", GOOD, FLOOR, 0) == 0
    assert not advisor.ended("ef", landed=False)
    assert advisor.learnt == 1


def test_of_bundles_that_never_end_the_oldest_are_forgotten() -> None:
    advisor = Advisor()
    for at in range(MOST_AWAITED + 1):
        advisor._awaited[str(at)] = (GOOD, FLOOR, 50_000)
        if at >= MOST_AWAITED - 1:
            advisor.sent(f"new {at}", GOOD, FLOOR, 50_000)
    assert len(advisor._awaited) <= MOST_AWAITED + 1
    assert not advisor.ended("0", landed=True)
    assert advisor.ended(f"new {MOST_AWAITED}", landed=True)


def test_what_was_learnt_is_taken_up_again() -> None:
    advisor, other = Advisor(), Advisor()
    for at in range(50):
        advisor.learn(Outcome(GOOD, FLOOR, 50_000, at % 3 == 0))
    other.load(advisor.save())
    assert other.expected_value(GOOD, FLOOR) == advisor.expected_value(GOOD, FLOOR)
    with pytest.raises(ValueError, match="model: "):
        other.load(b"{}")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"profit": 0}, "profit: an amount above 0"),
        ({"fees": -1}, "fees: no amount below 0"),
        ({"cap": -1}, "cap: no amount below 0"),
        ({"transactions": 6}, "transactions: 1 to 5"),
        ({"rtt_ms": math.nan}, "rtt_ms: a finite number, or None"),
    ],
)
def test_what_is_no_opportunity_is_refused_by_field(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Opportunity(**({"profit": 1_000} | wrong))  # type: ignore[arg-type]
