"""Those after the same profit: bids that follow the market or do not, and that pass up and down together."""

import numpy as np
import pytest

from controlplane.mev.landing.features import Context, Known, known
from controlplane.mev.landing.hunters import STATE_EACH, STATE_ONCE, Hunters
from controlplane.mev.tips import LEAST_TIP, Floor

PROFIT = 2_000_000
TIPS = np.geomspace(LEAST_TIP, PROFIT, 64)


def _told(times: float = 1.0) -> Known:
    """Give what is known where the market pays so many times what is usual."""
    tips = sorted(int(times * tip) for tip in (6_001, 10_000, 36_196, 144_790, 1_000_799))
    return known(Context("backrun", PROFIT), Floor(0.0, tuple(tips), 9_836))  # type: ignore[arg-type]


def _taught(follows: float, outcomes: int = 1_500, noise: float = 1e-4, dearer: float = 1.0) -> Hunters:
    """Teach of a market whose price is a fifth of the profit where it pays what is usual, in its second half dearer."""
    random, hunters = np.random.default_rng(3), Hunters(2e-5, noise)
    for at in range(outcomes):
        times = float(np.exp(random.normal(0, 1.2)))
        price = 0.2 * PROFIT * times**follows * (dearer if at >= outcomes // 2 else 1.0)
        tip = float(np.exp(random.uniform(np.log(0.02), 0))) * PROFIT
        hunters.learn(1, _told(times), tip, 0.95, bool(random.random() < (0.95 if tip > price else 0.0)))
    return hunters


def _price(hunters: Hunters, told: Known) -> float:
    """Give the tip that beats them every second time, as a share of the profit."""
    return float(np.interp(0.5, hunters.none_above(1, told, TIPS)[0], TIPS)) / PROFIT


def test_bids_that_follow_the_market_are_expected_to_rise_with_it() -> None:
    hunters = _taught(0.6)
    assert _price(hunters, _told(3.0)) == pytest.approx(0.2 * 3**0.6, rel=0.25)
    assert _price(hunters, _told(1 / 3)) == pytest.approx(0.2 / 3**0.6, rel=0.25)


def test_bids_of_the_profit_alone_are_expected_to_stay() -> None:
    hunters = _taught(0.0)
    for times in (1 / 3, 1.0, 3.0):
        assert _price(hunters, _told(times)) == pytest.approx(0.2, rel=0.2)


def test_of_one_strategy_it_is_learnt_how_the_bids_of_all_have_shifted() -> None:
    hunters, other = _taught(0.0, noise=4e-3, dearer=1.8), _taught(0.0, noise=4e-3)
    assert _price(hunters, _told()) > 1.4 * _price(other, _told())
    never_seen, before = (one.none_above(2, _told(), np.array([0.2 * PROFIT]))[0] for one in (hunters, other))
    assert never_seen < before


def test_chances_never_fall_with_the_tip_and_are_chances() -> None:
    for hunters in (Hunters(2e-2, 4e-3), _taught(0.6, 200), _taught(0.0, 200, 4e-3)):
        for times in (1e-6, 0.1, 1.0, 10.0, 1e6):
            mean, variance = hunters.none_above(1, _told(times), TIPS)
            assert np.all(np.diff(mean) >= -1e-12)
            assert np.all((mean >= 0) & (mean <= 1 + 1e-12))
            assert np.all((variance >= 0) & (variance <= 0.25 + 1e-12))


def test_what_was_learnt_is_the_same_once_restored() -> None:
    hunters, other = _taught(0.6, 100), Hunters(2e-5, 1e-4)
    state = hunters.state(2)
    assert len(state) == STATE_ONCE + 2 * STATE_EACH
    other.restore(2, state)
    for one, two in zip(hunters.none_above(1, _told(2.0), TIPS), other.none_above(1, _told(2.0), TIPS), strict=True):
        assert np.array_equal(one, two)


@pytest.mark.parametrize("place", [0, STATE_ONCE, -1])
def test_numbers_that_are_none_of_its_own_are_refused_and_change_nothing(place: int) -> None:
    hunters = Hunters(2e-5, 1e-4)
    before, state = hunters.state(2), _taught(0.6, 20).state(2)
    state[place] = -1.0
    with pytest.raises(ValueError, match="no model has"):
        hunters.restore(2, state)
    assert np.array_equal(hunters.state(2), before)
