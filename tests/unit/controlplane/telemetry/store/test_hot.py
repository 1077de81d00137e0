"""The hot store against a dict: whatever comes in whatever order, rolled up or not, opened anew or not."""

import asyncio
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.telemetry.store import hot, roll
from controlplane.telemetry.store.model import Aggregation, Frame, QueryRefused, StoreDown
from controlplane.telemetry.store.settings import Retention
from tests.support.telemetry import DAY, HOUR, MIDNIGHT, World

HOURS = 4
SERIES = 3
samples = st.tuples(st.integers(0, SERIES - 1), st.integers(0, HOURS * 3600 - 1), st.integers(-1000, 1000))
actions = st.lists(
    st.lists(samples, min_size=1, max_size=30) | st.sampled_from(["maintain", "tomorrow", "reopen"]),
    min_size=1,
    max_size=12,
)


def expected(held: dict[tuple[int, int], float], step: int, kind: str) -> dict[tuple[int, int], float]:
    """What the aggregation of each (series, step) must be."""
    grouped: dict[tuple[int, int], list[float]] = {}
    for (series, time), value in sorted(held.items()):
        grouped.setdefault((series, time // step), []).append(value)
    made = {"sum": sum, "count": len, "min": min, "max": max, "last": lambda one: one[-1], "avg": np.mean}
    made["quantile"] = lambda one: sorted(one)[(len(one) - 1) // 2]
    return {key: made[kind](values) for key, values in grouped.items()}


def found(frame: Frame, step: int) -> dict[tuple[int, int], float]:
    return {
        (int(dict(key.labels)["n"]), int(time) // step): float(value)
        for key, row in zip(frame.series, frame.values, strict=True)
        for time, value in zip(frame.times, row, strict=True)
        if not math.isnan(value)
    }


@settings(max_examples=15)
@given(actions, st.sampled_from([1_000, 10_000, 60_000, 90_000, HOUR]))
def test_what_was_written_is_found_whatever_happens_between(does: list[Any], step: int) -> None:
    async def live(folder: Path) -> None:
        world = World(folder, Retention(raw_hours=24 * 20, ten_seconds_days=30))
        world.clock.now_ms = MIDNIGHT + HOURS * HOUR - 1
        numbers = [world.define(n=str(number)) for number in range(SERIES)]
        held: dict[tuple[int, int], float] = {}
        for action in does:
            if action in ["maintain", "tomorrow"]:
                world.clock.now_ms += 200_000 if action == "maintain" else 30 * HOUR
                await world.store.maintain()
            elif action == "reopen":
                await world.reopen()
                numbers = [world.define(n=str(number)) for number in range(SERIES)]
            else:
                times = [MIDNIGHT + second * 1000 for _, second, _ in action]
                await world.write([numbers[n] for n, _, _ in action], times, [float(value) for _, _, value in action])
                for (n, _, value), time in zip(action, times, strict=True):
                    # Of two values of one moment the greater is kept.
                    held[n, time] = max(held.get((n, time), -math.inf), value)
        for kind in ("sum", "count", "min", "max", "last", "avg", "quantile"):
            frame = await world.ask(MIDNIGHT, MIDNIGHT + HOURS * HOUR, step, kind, 0.5)
            assert found(frame, step) == pytest.approx(
                expected(held, step, kind), rel=0.0101 if kind == "quantile" else 1e-9
            )
        await world.store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder)))


async def test_many_series_are_rolled_up_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roll, "BLOCK", 1000)
    world = World(tmp_path)
    world.clock.now_ms = MIDNIGHT + 2 * HOUR
    numbers = [world.define(n=str(number)) for number in range(40)]
    times = [MIDNIGHT + second * 1000 for second in range(100) for _ in numbers]
    await world.write(numbers * 100, times, [float(one) for one in range(4000)])
    world.clock.now_ms += 200_000
    await world.store.maintain()
    assert {f"raw_{MIDNIGHT // HOUR}"} == {table for table in world.tables() if table.startswith(("raw", "head"))}
    frame = await world.ask(MIDNIGHT, MIDNIGHT + HOUR, HOUR)
    assert len(frame.series) == 40
    assert frame.values.sum() == sum(range(4000))
    await world.store.close()


async def test_hours_in_which_nothing_came_do_not_widen_the_step(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.clock.now_ms = MIDNIGHT + 9 * HOUR
    await world.write([world.define()], [MIDNIGHT + 4 * HOUR + 1000], [1.0])
    for now in (10, 40):
        world.clock.now_ms = MIDNIGHT + now * HOUR
        await world.store.maintain()
        frame = await world.ask(MIDNIGHT, MIDNIGHT + DAY, 1000)
        assert frame.step_ms == 1000
        assert frame.times[np.isfinite(frame.values[0])].tolist() == [MIDNIGHT + 4 * HOUR + 1000]
    await world.store.close()


async def test_a_day_is_packed_and_what_comes_late_for_it_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    number = world.define()

    def held() -> set[str]:
        return {table for table in world.tables() if table.startswith(("head", "raw", "packed"))}

    for hour in range(24):
        world.clock.now_ms = MIDNIGHT + (hour + 1) * HOUR
        await world.write([number] * 2, [MIDNIGHT + hour * HOUR, MIDNIGHT + hour * HOUR + 1000], [1.0, 2.0])
    world.clock.now_ms = MIDNIGHT + 31 * HOUR
    await world.store.maintain()
    day, hour = MIDNIGHT // DAY, MIDNIGHT // HOUR + 5
    assert held() == {f"packed_{day}"}
    await world.write([number] * 2, [hour * HOUR, hour * HOUR + 2000], [1.0, 4.0])
    world.clock.now_ms += HOUR
    await world.store.maintain()
    assert held() == {f"packed_{day}", f"raw_{hour}"}
    for step in (1000, 60_000, DAY):
        assert np.nansum((await world.ask(MIDNIGHT, MIDNIGHT + DAY, step)).values) == 76
    world.clock.now_ms += 6 * HOUR
    await world.store.maintain()
    assert held() == {f"packed_{day}"}
    assert np.nansum((await world.ask(MIDNIGHT, MIDNIGHT + DAY, 1000)).values) == 76
    world.clock.now_ms = MIDNIGHT + 72 * HOUR - 1
    await world.store.maintain()
    assert held() == {f"packed_{day}"}
    world.clock.now_ms += 1
    await world.store.maintain()
    assert held() == set()
    assert (await world.ask(MIDNIGHT, MIDNIGHT + DAY, 1000)).step_ms == 10_000
    await world.store.close()


async def test_a_step_is_widened_to_what_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path, Retention(raw_hours=1, ten_seconds_days=2, minute_days=4))
    number = world.define()
    for hour in range(24 * 5):
        time = MIDNIGHT + hour * HOUR
        world.clock.now_ms = time + 1000
        await world.write([number, number], [time, time + 7000], [1.0, 2.0])
        await world.store.maintain()

    async def step_at(days: int, step: int) -> int:
        begin = MIDNIGHT + days * DAY
        frame = await world.ask(begin, begin + HOUR, step, "count")
        assert np.nansum(frame.values) == 2
        return frame.step_ms

    assert await step_at(0, 1_000) == 60_000
    assert await step_at(1, 45_000) == 60_000
    assert await step_at(1, 61_000) == 120_000
    assert await step_at(3, 1_000) == 10_000
    assert await step_at(3, 15_000) == 20_000
    now = world.clock.now_ms
    assert (await world.ask(now - 1000, now, 1_000)).step_ms == 1_000
    # A range with nothing in it does not widen the step of the rest.
    assert (await world.ask(now - 1000, now + 3 * DAY, 2_000)).step_ms == 2_000
    await world.store.close()


async def test_what_comes_after_its_samples_were_let_go_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, Retention(raw_hours=2, ten_seconds_days=2, minute_days=4))
    number = world.define()
    world.clock.now_ms = MIDNIGHT + 10 * HOUR
    await world.write([number] * 2, [MIDNIGHT + 8 * HOUR - 1, MIDNIGHT + 8 * HOUR], [1.0, 2.0])
    frame = await world.ask(MIDNIGHT, MIDNIGHT + DAY, DAY)
    assert frame.values.tolist() == [[2.0]]
    # A clock that goes back does not open what is closed.
    world.clock.now_ms = MIDNIGHT + 12 * HOUR
    await world.store.maintain()
    assert any(table.startswith("minute") for table in world.tables())
    world.clock.now_ms = MIDNIGHT + 20 * HOUR
    await world.store.maintain()
    world.clock.now_ms = MIDNIGHT + 9 * HOUR
    await world.reopen()
    await world.write([world.define()], [MIDNIGHT + 8 * HOUR + 1000], [4.0])
    assert (await world.ask(MIDNIGHT, MIDNIGHT + DAY, DAY)).values.tolist() == [[2.0]]
    await world.store.close()


async def test_series_of_which_nothing_is_left_make_room(tmp_path: Path) -> None:
    world = World(tmp_path, Retention(raw_hours=1, ten_seconds_days=2, minute_days=2))
    kept, gone = world.define(n="kept"), world.define(n="gone")
    await world.write([kept, gone], [MIDNIGHT, MIDNIGHT], [1.0, 1.0])
    for day in range(5):
        world.clock.now_ms = MIDNIGHT + day * DAY + HOUR
        await world.write([kept], [world.clock.now_ms], [1.0])
        await world.store.maintain()
    assert len(world.store.book) == 1
    assert world.define(n="gone") not in {kept, gone}
    await world.reopen()
    assert len(world.store.book) == 1
    assert world.define(n="kept") == kept
    await world.store.close()


async def test_a_question_that_takes_too_long_is_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.clock.now_ms = MIDNIGHT + HOUR - 1
    number = world.define()
    times = MIDNIGHT + np.arange(3600) * 1000
    for part in range(100):
        await world.write([number] * 3600, (times + part).tolist(), [1.0] * 3600)
    monkeypatch.setattr(hot, "QUERY_SECONDS", 0.001)
    with pytest.raises(QueryRefused, match="takes longer"):
        await world.ask(MIDNIGHT, MIDNIGHT + HOUR, 1000, "quantile", 0.5)
    monkeypatch.setattr(hot, "QUERY_SECONDS", 30)
    assert (await world.ask(MIDNIGHT, MIDNIGHT + HOUR, HOUR, "count")).values.tolist() == [[360_000]]
    await world.store.close()


async def test_closing_breaks_the_upkeep_off_and_loses_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.clock.now_ms = MIDNIGHT + 2 * HOUR
    numbers = [world.define(n=str(number)) for number in range(2000)]
    for second in range(0, 600, 100):
        times = [MIDNIGHT + one * 1000 for one in range(second, second + 100) for _ in numbers]
        await world.write(numbers * 100, times, np.random.default_rng(second).normal(size=200_000).tolist())
    world.clock.now_ms += 600_000
    upkeep = asyncio.create_task(world.store.maintain())
    await asyncio.sleep(0.1)
    began = asyncio.get_running_loop().time()
    await world.store.close()
    assert asyncio.get_running_loop().time() - began < 5
    with pytest.raises(StoreDown, match="Interrupt"):
        await upkeep
    world.store = await asyncio.to_thread(world._open)
    frame = await world.ask(MIDNIGHT, MIDNIGHT + HOUR, HOUR, "count")
    assert frame.values.sum() == 1_200_000
    await world.store.close()


async def test_too_many_questions_are_refused_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = [world.ask(MIDNIGHT, MIDNIGHT + HOUR, 1000) for _ in range(60)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in results if isinstance(one, StoreDown)]
    assert len(refused) == 60 - hot.READERS - hot.WAITING
    assert all(isinstance(one, Frame | StoreDown) for one in results)
    await world.store.close()


async def test_an_answer_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    await world.write([world.define(n=str(n)) for n in range(100)], [MIDNIGHT] * 100, [1.0] * 100)
    with pytest.raises(QueryRefused, match="widen the step"):
        await world.store.query_range(
            "solana_rpc_latency_seconds", [], MIDNIGHT, MIDNIGHT + DAY, 1000, Aggregation("sum")
        )
    await world.store.close()


async def test_a_file_that_another_holds_or_that_is_none_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "hot.duckdb").write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreDown, match=r"hot\.duckdb cannot be opened"):
        World(tmp_path)
