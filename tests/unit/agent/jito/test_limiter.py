"""The limiter: never over the limit, and a wait that is asked for is kept."""

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.jito import limiter as module
from agent.jito.limiter import LONGEST_HINT_S, LONGEST_PAUSE_S, Gate, Limiter

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0, 3)),
        st.tuples(st.just("limited"), st.one_of(st.none(), st.floats(0, 700))),
        st.tuples(st.just("answered"), st.none()),
    ),
    max_size=60,
)


@given(st.floats(0.1, 100), STEPS)
def test_calls_are_spaced_and_hints_are_kept(per_second: float, steps: list[tuple[str, float | None]]) -> None:
    clock = [0.0]
    limiter = Limiter(per_second, lambda: clock[0])
    last, not_before = -1e9, 0.0
    for what, value in steps:
        if what == "pass":
            clock[0] += value or 0.0
            clock[0] += limiter.wait_s
            assert clock[0] - last >= 1 / per_second - 1e-6
            assert clock[0] >= not_before - 1e-6
            limiter.take()
            last = clock[0]
        elif what == "limited":
            pause = limiter.limited(value)
            assert pause <= max(LONGEST_PAUSE_S, LONGEST_HINT_S)
            assert value is None or pause >= min(value, LONGEST_HINT_S)
            not_before = max(not_before, clock[0] + pause)
        else:
            limiter.answered()


@given(st.integers(1, 40))
def test_each_refusal_in_a_row_makes_the_wait_longer_up_to_two_minutes(times: int) -> None:
    limiter = Limiter(1.0, lambda: 0.0)
    pauses = [limiter.limited(None) for _ in range(times)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == min(LONGEST_PAUSE_S, 2.0 ** (times - 1))
    limiter.answered()
    assert limiter.limited(None) == 1.0


async def test_who_is_not_urgent_passes_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.3)
    gate = Gate(Limiter(per_second=100))
    calm = asyncio.create_task(gate.enter())

    async def press() -> None:
        while True:
            await gate.enter(urgent=True)

    pressing = [asyncio.create_task(press()) for _ in range(3)]
    try:
        async with asyncio.timeout(5):
            assert await calm >= 0.0
    finally:
        for one in pressing:
            one.cancel()
        await asyncio.gather(*pressing, return_exceptions=True)


async def test_the_urgent_go_first_and_each_in_its_turn() -> None:
    gate, order = Gate(Limiter(20.0)), []

    async def go(name: str, *, urgent: bool) -> None:
        await gate.enter(urgent=urgent)
        order.append((name, time.monotonic()))

    await gate.enter()
    calm = [asyncio.create_task(go(f"calm {turn}", urgent=False)) for turn in range(2)]
    await asyncio.sleep(0)
    urgent = [asyncio.create_task(go(f"urgent {turn}", urgent=True)) for turn in range(2)]
    await asyncio.gather(*calm, *urgent)
    assert [name for name, _ in order] == ["urgent 0", "urgent 1", "calm 0", "calm 1"]
    times = [at for _, at in order]
    assert all(later - earlier >= 1 / 20 for earlier, later in pairwise(times))


async def test_who_gives_up_waiting_does_not_take_a_turn() -> None:
    gate = Gate(Limiter(5.0))
    await gate.enter()
    given_up = asyncio.create_task(gate.enter(urgent=True))
    await asyncio.sleep(0.01)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert await gate.enter() < 0.3
