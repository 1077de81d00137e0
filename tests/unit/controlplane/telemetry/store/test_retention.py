"""A clock that runs a hundred days: nothing is lost across the tiers, and each is kept as long as it says."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from controlplane.telemetry.store.layout import Layout
from controlplane.telemetry.store.retention import old
from controlplane.telemetry.store.settings import Retention
from tests.support.telemetry import DAY, HOUR, MIDNIGHT, NAME, World

DAYS = 100
# Hours of each day in which samples come, once a second for ten minutes.
HOURS = (0, 23)
SERIES = 2
TODAY = MIDNIGHT // DAY


async def live(world: World) -> list[list[np.ndarray]]:
    """Let the days pass; give the values of each day of each series."""
    random = np.random.default_rng(5)
    days: list[list[np.ndarray]] = []
    for day in range(DAYS):
        # Whole numbers, so that sums are exact in any order.
        values = np.round(random.lognormal(8, 1, (SERIES, len(HOURS), 600)))
        for column, hour in enumerate(HOURS):
            begin = MIDNIGHT + day * DAY + hour * HOUR + 1_800_000
            world.clock.now_ms = begin + 600_000
            for number in range(SERIES):
                times = begin + np.arange(600) * 1000 + 250
                await world.write([world.define(n=str(number))] * 600, times.tolist(), values[number, column].tolist())
        world.clock.now_ms = MIDNIGHT + (day + 1) * DAY + 600_000
        await world.store.maintain()
        days.append([values[number].ravel() for number in range(SERIES)])
    return days


@pytest.mark.timeout(300)
async def test_a_hundred_days_lose_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    days = await live(world)
    end = MIDNIGHT + DAYS * DAY
    for kind, made in (("sum", np.sum), ("count", len), ("min", np.min), ("max", np.max), ("last", lambda v: v[-1])):
        frame = await world.ask(MIDNIGHT, end, DAY, kind)
        assert frame.values.tolist() == [[made(day[number]) for day in days] for number in range(SERIES)]
    for share in (0.5, 0.99):
        frame = await world.ask(MIDNIGHT, end, DAY, "quantile", share)
        exact = [[np.quantile(day[number], share, method="lower") for day in days] for number in range(SERIES)]
        assert frame.values == pytest.approx(np.array(exact), rel=0.01)
    whole = await world.ask(MIDNIGHT, end, 2 * DAYS * DAY, "sum")
    assert whole.values.sum() == sum(day[number].sum() for day in days for number in range(SERIES))
    kept = {
        kind: sorted(int(t.removeprefix(f"{kind}_")) for t in world.tables() if t.startswith(kind))
        for kind in ("raw", "ten", "minute")
    }
    # Two days of samples, fourteen of 10 s, ninety of a minute, and all of it cold.
    assert kept["raw"][0] >= (end // HOUR) - 48
    assert kept["ten"] == [TODAY + day for day in range(DAYS - 14, DAYS)]
    assert kept["minute"] == [TODAY + day for day in range(DAYS - 90, DAYS)]
    assert sorted(world.shelf.days(NAME)) == [TODAY + day for day in range(DAYS)]
    await world.store.close()
    # Room that was let go is used again.
    assert (tmp_path / "hot.duckdb").stat().st_size < 48_000_000
    # 60 samples a minute of wide spread: what docs/telemetry.md says of a row of the cold.
    sizes = [path.stat().st_size for path in (tmp_path / "cold" / NAME).iterdir()]
    rows = SERIES * len(HOURS) * 11
    assert max(sizes) < 160 * rows + 4096


@pytest.mark.parametrize(
    "settings", [{"raw_hours": 48, "ten_seconds_days": 2}, {"ten_seconds_days": 20, "minute_days": 19}]
)
def test_a_tier_that_is_let_go_before_a_finer_one_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="coarser tier"):
        Retention(**settings)


def test_minutes_wait_for_the_cold_and_samples_for_their_roll_up() -> None:
    hour = TODAY * 24
    layout = Layout(heads={hour: [0]}, raw={hour, hour + 1}, ten={TODAY - 100}, minute={TODAY - 100, TODAY - 99})
    found = old(Retention(), layout, {TODAY - 100}, MIDNIGHT + 60 * HOUR)
    assert found.tables == [f"raw_{hour + 1}", f"ten_{TODAY - 100}", f"minute_{TODAY - 100}"]
    assert found.floor == hour + 2
