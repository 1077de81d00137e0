"""The unit probe: how the units that we may act on stand, every second and whenever somebody asks."""

import asyncio
from collections.abc import AsyncIterator

import structlog
from solward.hosts.v1 import link_pb2

from agent.actions.unit import to_wire
from agent.host.systemd import Systemd, SystemdError
from agent.probes.base import Series, Sink
from common.clock import now_ms

log = structlog.get_logger(__name__)

PERIOD_S = 1.0
# An unchanged unit is reported again after this, so that the other side knows it was looked at.
AGAIN_MS = 5_000


class UnitWatch:
    """Looks at units over D-Bus; gives a sample a second and a report on every change."""

    name = "unit"

    def __init__(self, systemd: Systemd, units: list[str]) -> None:
        self._systemd = systemd
        self._units = units
        self._latest: dict[str, link_pb2.UnitReport] = {}
        self._changed = asyncio.Condition()
        self._trouble: dict[str, str] = {}

    async def run(self, sink: Sink) -> None:
        """Look every second until cancelled."""
        while True:
            for unit in self._units:
                await self._glance(unit)
                report = self._latest.get(unit)
                if report and unit not in self._trouble:
                    active = report.state.active_state == "active"
                    sink.sample(Series.of("solana_validator_active", unit=unit), float(active))
            await asyncio.sleep(PERIOD_S)

    async def _glance(self, unit: str) -> None:
        """Look at a unit closely only when it changed, or was not looked at for a while."""
        known = self._latest.get(unit)
        if known and unit not in self._trouble and now_ms() - known.unix_ms < AGAIN_MS:
            try:
                if await self._systemd.glance(unit) == (known.state.active_state, known.state.invocation_id):
                    return
            except SystemdError as error:
                log.debug("a glance at a unit failed", unit=unit, reason=error.reason)
        await self.look()

    async def look(self) -> list[link_pb2.UnitReport]:
        """Look at every unit now; one that systemd cannot show is left out, and said once."""
        reports = []
        for unit in self._units:
            try:
                state = to_wire(await self._systemd.state(unit))
            except SystemdError as error:
                if self._trouble.get(unit) != error.reason:
                    log.warning("a unit cannot be looked at", unit=unit, reason=error.reason, why=error.message)
                self._trouble[unit] = error.reason
                continue
            self._trouble.pop(unit, None)
            reports.append(link_pb2.UnitReport(state=state, unix_ms=now_ms()))
        changed = [report for report in reports if self._is_news(report)]
        for report in changed:
            self._latest[report.state.unit] = report
        if changed:
            async with self._changed:
                self._changed.notify_all()
        return reports

    async def reports(self) -> AsyncIterator[link_pb2.UnitReport]:
        """Give every unit's report now, whenever it changes, and every few seconds to say that it has not."""
        told: dict[str, link_pb2.UnitReport] = {}
        while True:
            for unit, report in list(self._latest.items()):
                if told.get(unit) != report:
                    told[unit] = report
                    yield report
            async with self._changed:
                await self._changed.wait_for(lambda: any(told.get(u) != r for u, r in self._latest.items()))

    def _is_news(self, report: link_pb2.UnitReport) -> bool:
        before = self._latest.get(report.state.unit)
        if before is None or before.state != report.state:
            return True
        return report.unix_ms - before.unix_ms >= AGAIN_MS
