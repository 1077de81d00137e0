"""The circuit breaker: closed, open, half-open, and longer away each time."""

import pytest

from common.breaker import Breaker, BreakerOpen, breakers


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Clock, failures: int = 3) -> Breaker:
    breaker = Breaker("a peer", failures=failures, first_s=10, longest_s=60, now=clock)
    for _ in range(failures):
        breaker.before()
        breaker.failed()
    return breaker


def test_it_opens_at_the_number_of_failures_in_a_row() -> None:
    breaker = Breaker("a peer", failures=2)
    for outcome in (breaker.failed, breaker.succeeded, breaker.failed):
        breaker.before()
        outcome()
    assert breaker.state == "closed"
    breaker.failed()
    assert breaker.state == "open"
    with pytest.raises(BreakerOpen, match="a peer failed too often") as refused:
        breaker.before()
    assert 0 < refused.value.retry_s <= 1.2


def test_half_open_lets_one_call_pass_and_success_closes_it() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 13
    assert breaker.state == "half-open"
    breaker.before()
    with pytest.raises(BreakerOpen):
        breaker.before()
    breaker.succeeded()
    assert breaker.state == "closed"
    breaker.before()


def test_one_call_that_never_ends_does_not_shut_it_for_ever() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += 13
    breaker.before()
    clock.now += 11
    breaker.before()
    breaker.succeeded()
    assert breaker.state == "closed"


def test_each_failure_of_the_one_call_keeps_it_open_for_longer_up_to_a_bound() -> None:
    clock = Clock()
    breaker = broken(clock)
    waits = []
    for _ in range(6):
        begun = clock.now
        while breaker.state == "open":
            clock.now += 0.5
        waits.append(clock.now - begun)
        breaker.before()
        breaker.failed()
    for wait, wanted in zip(waits, (10, 20, 40, 60, 60, 60), strict=True):
        assert 0.8 * wanted <= wait <= 1.2 * wanted + 0.5


def test_breakers_that_were_used_are_listed_with_how_they_stand() -> None:
    clock = Clock()
    idle, failing = Breaker("never asked"), broken(clock)
    failing.name = "zz a failing peer"
    listed = [one for one in breakers() if one in (idle, failing)]
    assert [(one.name, one.state, one.failures) for one in listed] == [("zz a failing peer", "open", 3)]
    assert 7 < failing.retry_s < 13
    clock.now += 20
    assert (failing.state, failing.retry_s) == ("half-open", 0.0)
