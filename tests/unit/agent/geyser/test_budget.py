"""What looking at a sink may cost: a budget of queries and seconds in any minute."""

from hypothesis import given
from hypothesis import strategies as st

from agent.geyser.settings import BudgetSettings
from agent.geyser.sinks.base import Budget, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def spend(budget: Budget, clock: Clock, seconds: float) -> None:
    with budget.query():
        clock.now += seconds


def test_queries_and_seconds_count_for_a_minute() -> None:
    clock = Clock()
    budget = Budget(BudgetSettings(queries_per_minute=10, seconds_per_minute=5.0), clock)
    for _ in range(9):
        spend(budget, clock, 0.1)
    assert budget.wait_s() == 0
    spend(budget, clock, 0.1)
    assert budget.wait_s() > 59
    clock.now += 61
    assert budget.wait_s() == 0
    spend(budget, clock, 6)
    assert budget.wait_s() == 60


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0.001, 5)), max_size=60))
def test_whoever_waits_as_told_may_go_on_and_is_never_over_by_more_than_one_look(
    looks: list[tuple[float, float]],
) -> None:
    clock = Clock()
    wanted = BudgetSettings(queries_per_minute=10, seconds_per_minute=5.0)
    budget = Budget(wanted, clock)
    ended: list[float] = []
    for pause, took in looks:
        clock.now += pause
        wait = budget.wait_s()
        clock.now += wait + 1e-6 if wait else 0
        assert budget.wait_s() == 0
        spend(budget, clock, took)
        ended.append(clock.now)
        assert sum(one > clock.now - 60 for one in ended) <= wanted.queries_per_minute


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_a_counter_is_told_by_how_much_it_grew_and_never_by_less_than_nothing(counts: list[int]) -> None:
    rate, before = Rate(), None
    for second, count in enumerate(counts):
        more = rate.more("c", count, second)
        if before is None or count < before:
            assert more is None
        else:
            assert more
            assert (more.amount, more.rate) == (count - before, count - before)
        before = count
