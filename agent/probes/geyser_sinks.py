"""Tell of the databases that Geyser events end in: docs/geyser.md names the series.

Each is looked at once a period, on one connection, within a budget of queries and of seconds. One that cannot be asked
is told as down, with the class of the failure, and left alone for a while after it failed several times in a row. A
look that would be over the budget comes later, which is told as an error of the class "budget".
"""

import asyncio
from collections.abc import Mapping
from time import monotonic

import structlog

from agent.geyser.settings import SinkSettings
from agent.geyser.sinks import of_kind, open_sink
from agent.geyser.sinks.base import Budget, SinkFailed, Told
from agent.probes.base import Series, Sink
from common.breaker import Breaker, BreakerOpen

log = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 60.0


class SinksProbe:
    """Looks at databases.

    Args:
        sinks: by name, which their series bear as `source`.

    Raises:
        SettingsFileError: where a file that the settings name will not do.
    """

    name = "geyser_sinks"

    def __init__(self, sinks: Mapping[str, SinkSettings]) -> None:
        self._watches = [_Watch(name, wanted) for name, wanted in sinks.items()]

    async def run(self, sink: Sink) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as group:
            for watch in self._watches:
                group.create_task(watch.run(sink), name=f"sink {watch.name}")


class _Watch:
    """One sink."""

    def __init__(self, name: str, wanted: SinkSettings) -> None:
        self.name = name
        one = of_kind(name, wanted)
        self._budget = Budget(one.budget)
        self._source = open_sink(name, wanted, self._budget)
        self._period_s = one.period_seconds
        self._breaker = Breaker(f"sink {name}", failures=3, first_s=self._period_s, longest_s=LONGEST_PAUSE_S)
        self._said: set[str] = set()
        self._down = False

    async def run(self, sink: Sink) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                await self._turn(sink)
                due = max(due + self._period_s, loop.time())
                await asyncio.sleep(due - loop.time())
                while wait_s := self._budget.wait_s():
                    self._over_budget(sink, wait_s)
                    await asyncio.sleep(wait_s)
        finally:
            await self._source.close()
            self._breaker.close()

    async def _turn(self, sink: Sink) -> None:
        told, begun = Told(self.name), monotonic()
        up = Series.of("geyser_sink_up", source=self.name)
        try:
            self._breaker.before()
            await self._source.look(told)
        except BreakerOpen:
            sink.sample(up, 0.0)
            return
        except SinkFailed as failed:
            self._failed(failed)
            sink.sample(up, 0.0)
            self._tell_errors(sink, {failed.kind: 1})
            return
        self._succeeded(told)
        sink.sample(up, 1.0)
        sink.sample(Series.of("geyser_sink_query_seconds", source=self.name), monotonic() - begun)
        self._tell_errors(sink, told.errors)
        for series, value in told.samples:
            sink.sample(series, value)

    def _tell_errors(self, sink: Sink, errors: Mapping[str, int]) -> None:
        for kind, times in errors.items():
            sink.sample(Series.counting("geyser_errors", source=self.name, **{"class": kind}), float(times))

    def _over_budget(self, sink: Sink, wait_s: float) -> None:
        self._tell_errors(sink, {"budget": 1})
        self._say(
            f"looks at it cost more than geyser.sinks.{self.name} allows in budget; they come later", wait_s=wait_s
        )

    def _failed(self, failed: SinkFailed) -> None:
        self._breaker.failed()
        if not self._down:
            log.warning("a sink cannot be asked", source=self.name, reason=failed.kind, why=failed.message)
        self._down = True

    def _succeeded(self, told: Told) -> None:
        self._breaker.succeeded()
        if self._down:
            log.info("a sink answers again", source=self.name)
        self._down = False
        for trouble in told.troubles:
            self._say(trouble)

    def _say(self, what: str, **figures: float) -> None:
        """Log a trouble once."""
        if what not in self._said and len(self._said) < 100:
            self._said.add(what)
            log.warning("a sink is not seen whole", source=self.name, why=what, **figures)
