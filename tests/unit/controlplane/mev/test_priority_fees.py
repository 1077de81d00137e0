"""Advice on priority fees says what it rests on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.mev.priority_fees import MOST_UNITS, UNITS, advise, cost


def answer(*prices: int) -> list[dict[str, int]]:
    return [{"slot": 100 + place, "prioritizationFee": price} for place, price in enumerate(prices)]


def test_levels_are_percentiles_of_the_least_prices() -> None:
    advice = advise(answer(*[0] * 50, *range(1_000, 101_000, 1_000)), 50_000)
    assert (advice.slots, advice.free_share) == (150, pytest.approx(1 / 3))
    assert [(one.name, one.micro_lamports) for one in advice.levels] == [
        ("low", 0), ("medium", 25_000), ("high", 63_000), ("very_high", 93_000),
    ]  # fmt: skip
    assert advice.levels[1].lamports == cost(25_000, 50_000) == 1_250
    assert cost(1, 1) == 1


def test_nothing_told_is_no_advice_and_units_have_their_default() -> None:
    assert advise([], 0) == ([], 0, 0.0)
    assert advise(answer(1_000_000), 0).levels[0].lamports == UNITS
    assert advise(answer(1_000_000), 10**9).levels[0].lamports == MOST_UNITS


@pytest.mark.parametrize("told", [None, {}, "x", [1], [{}], answer(-1), [{"prioritizationFee": True}], answer(2**63)])
def test_another_shape_is_refused(told: Any) -> None:
    with pytest.raises(ValueError, match=r"not a list of slots|without its prioritizationFee"):
        advise(told, 0)


@given(st.lists(st.integers(0, 2**40), max_size=200), st.integers(0, 2_000_000))
def test_more_sure_is_never_cheaper(prices: list[int], units: int) -> None:
    levels = advise(answer(*prices), units).levels
    assert [one.micro_lamports for one in levels] == sorted(one.micro_lamports for one in levels)
    assert all(one.micro_lamports in prices for one in levels)
