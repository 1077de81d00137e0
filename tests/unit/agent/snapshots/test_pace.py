"""A reading goes as fast as it may, tells how far it is, and stops when it is told to."""

import pytest

from agent.snapshots.pace import BURST_S, NAP_S, Pace, Stopped


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


def test_the_limit_holds_over_any_time() -> None:
    clock = Clock()
    pace = Pace(1000, clock=clock, sleep=clock.sleep)
    pace.begin(10_000)
    for _ in range(10):
        pace.step(1000)
    assert clock.now == pytest.approx(110, abs=BURST_S)
    assert max(clock.naps) <= NAP_S


def test_a_stall_is_not_followed_by_a_flood() -> None:
    clock = Clock()
    pace = Pace(1000, clock=clock, sleep=clock.sleep)
    pace.begin(10_000)
    clock.now += 60
    began = clock.now
    for _ in range(20):
        pace.step(100)
    assert clock.now - began == pytest.approx(2 - BURST_S)


def test_without_a_limit_nothing_waits() -> None:
    clock = Clock()
    pace = Pace(clock=clock, sleep=clock.sleep)
    pace.begin(1 << 40)
    pace.step(1 << 40)
    assert not clock.naps


def test_it_tells_about_once_a_second() -> None:
    clock = Clock()
    told: list[tuple[int, int]] = []
    pace = Pace(1000, lambda done, total: told.append((done, total)), clock=clock, sleep=clock.sleep)
    pace.begin(5000)
    for _ in range(50):
        pace.step(100)
    assert 4 <= len(told) <= 5
    assert told[0][1] == 5000
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_it_stops_even_while_it_waits() -> None:
    clock = Clock()
    pace = Pace(1, stop=lambda: clock.now > 101, clock=clock, sleep=clock.sleep)
    pace.begin(5000)
    with pytest.raises(Stopped):
        pace.step(5000)
    assert clock.now < 102


def test_it_stops_before_it_begins() -> None:
    with pytest.raises(Stopped):
        Pace(stop=lambda: True).begin(5)


def test_a_limit_is_no_less_than_nothing() -> None:
    with pytest.raises(ValueError, match="limit"):
        Pace(-1)
