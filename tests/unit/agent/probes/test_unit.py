"""The unit probe: a sample a second, a report on every change, and silence about what it cannot see."""

import asyncio
from contextlib import suppress

import pytest
from solward.hosts.v1 import link_pb2

from agent.probes import unit as module
from agent.probes.base import Series
from agent.probes.unit import UnitWatch
from tests.support.sink import Kept
from tests.unit.agent.fakes import UNIT, FakeSystemd, unit_state


class Told:
    """What somebody who listens is told."""

    def __init__(self, watch: UnitWatch) -> None:
        self.reports: list[link_pb2.UnitReport] = []
        self._task = asyncio.create_task(self._listen(watch))

    async def _listen(self, watch: UnitWatch) -> None:
        async for report in watch.reports():
            self.reports.append(report)

    async def states(self) -> list[str]:
        await asyncio.sleep(0.02)
        return [report.state.active_state for report in self.reports]

    async def end(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


async def test_a_look_gives_how_the_units_stand_and_leaves_out_what_is_not_there() -> None:
    systemd = FakeSystemd()
    watch = UnitWatch(systemd, [UNIT, "none.service"])
    (report,) = await watch.look()
    assert (report.state.unit, report.state.invocation_id, report.state.main_pid) == (UNIT, "ab" * 16, 42)
    assert report.unix_ms > 0
    del systemd.units[UNIT]
    assert await watch.look() == []


async def test_changes_are_told_once_and_at_once() -> None:
    systemd = FakeSystemd()
    watch = UnitWatch(systemd, [UNIT])
    told = Told(watch)
    assert await told.states() == []
    await watch.look()
    assert await told.states() == ["active"]
    await watch.look()
    assert await told.states() == ["active"]
    systemd.units[UNIT] = unit_state("failed", exec_main_status=1)
    await watch.look()
    assert await told.states() == ["active", "failed"]
    systemd.units[UNIT] = unit_state(invocation="cd" * 16)
    await watch.look()
    assert await told.states() == ["active", "failed", "active"]
    await told.end()


async def test_a_new_listener_is_told_how_things_stand_now() -> None:
    watch = UnitWatch(FakeSystemd(), [UNIT])
    await watch.look()
    first, second = Told(watch), Told(watch)
    assert await first.states() == await second.states() == ["active"]
    for told in (first, second):
        await told.end()


async def test_an_unchanged_unit_is_told_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1_000_000]
    monkeypatch.setattr(module, "now_ms", lambda: clock[0])
    watch = UnitWatch(FakeSystemd(), [UNIT])
    told = Told(watch)
    for _ in range(11):
        await watch.look()
        await told.states()
        clock[0] += 1000
    assert await told.states() == ["active"] * 3
    assert [report.unix_ms for report in told.reports] == [1_000_000, 1_005_000, 1_010_000]
    await told.end()


async def test_every_second_has_a_sample_also_through_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0.01)
    systemd, sink = FakeSystemd(), Kept()
    task = asyncio.create_task(UnitWatch(systemd, [UNIT]).run(sink))
    await asyncio.sleep(0.05)
    systemd.units[UNIT] = unit_state("failed")
    await asyncio.sleep(0.05)
    saved = systemd.units.pop(UNIT)
    await asyncio.sleep(0.05)
    silent = len(sink.of("solana_validator_active", unit=UNIT))
    systemd.units[UNIT] = saved
    await asyncio.sleep(0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    series = Series.of("solana_validator_active", unit=UNIT)
    assert set(sink.values) == {series}
    values = sink.values[series]
    assert values[0] == 1.0
    assert values[-1] == 0.0
    assert len(sink.of("solana_validator_active", unit=UNIT)) > silent
