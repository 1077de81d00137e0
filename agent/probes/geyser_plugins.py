"""Tell of a validator's plugins: whether it lists them, and what their own metrics say.

Series, each with the label `source`: `geyser_plugin_loaded`, where the validator's admin socket can be asked;
`geyser_plugin_metrics_up`, and while it is 1, of those that the plugin tells, `geyser_newest_slot`,
`geyser_plugin_queue`, `geyser_events_rate{kind}`, `geyser_plugin_dropped{kind}`, `geyser_plugin_failed{kind}` and
`geyser_plugin_restarts`; `geyser_errors{class}`, looks that failed. A plugin that appears in the validator's list, or
leaves it, is an event of kind `geyser.plugin`.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Final

import structlog
from solward.hosts.v1 import link_pb2

from agent.geyser.bells import PluginBells
from agent.geyser.metrics_page import PageError
from agent.geyser.plugin_list import loaded_plugins
from agent.geyser.plugin_metrics import Change, Meter, Page, read
from agent.geyser.plugin_settings import PluginSettings
from agent.host.admin_rpc import AdminError, AdminRpc
from agent.probes.base import Series, Sink
from agent.probes.http1 import HttpTarget
from agent.probes.http1_reader import InvalidAnswer, TooLarge
from common.breaker import Breaker, BreakerOpen
from common.clock import now_ms

log = structlog.get_logger(__name__)

KIND: Final = "geyser.plugin"
LIST_PERIOD_S: Final = 5.0
# Between two looks at the list, where something speaks for an early one.
LEAST_PERIOD_S: Final = 0.25
# A plugin with a thousand subscribers writes a megabyte or two.
MOST_BYTES: Final = 8 * 1024 * 1024


class _ScrapeFailed(Exception):
    """A look at a page that failed; its text is the class."""


class _Metrics:
    """The metrics page of one plugin."""

    def __init__(self, name: str, wanted: PluginSettings, sink: Sink) -> None:
        self._name, self._wanted, self._sink = name, wanted, sink
        self._http = HttpTarget(wanted.metrics_url)
        self._meter = Meter()
        self._breaker = Breaker(f"geyser plugin {name}", failures=3, longest_s=30.0)

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(self._wanted.period_seconds * random.uniform(0.95, 1.05))  # noqa: S311
        finally:
            self._http.close()
            self._breaker.close()

    async def _look(self) -> None:
        try:
            self._breaker.before()
        except BreakerOpen:
            # Known to be away: that is said each time, and it is asked now and then.
            _gauge(self._sink, "geyser_plugin_metrics_up", self._name, 0.0)
            return
        try:
            page = await self._scrape()
        except _ScrapeFailed as failed:
            self._breaker.failed()
            _error(self._sink, self._name, str(failed))
            _gauge(self._sink, "geyser_plugin_metrics_up", self._name, 0.0)
        else:
            self._breaker.succeeded()
            self._tell(page, self._meter.see(page, time.monotonic()))

    async def _scrape(self) -> Page:
        try:
            async with asyncio.timeout(self._wanted.timeout_seconds):
                answer = await self._http.post(self._http.getting(), MOST_BYTES)
            if answer.status != 200:
                raise _ScrapeFailed(f"http_{answer.status}")
            # A page of megabytes takes longer than the loop may be held up.
            return await asyncio.to_thread(read, answer.body)
        except TimeoutError:
            raise _ScrapeFailed("timeout") from None
        except OSError:
            raise _ScrapeFailed("transport") from None
        except TooLarge:
            raise _ScrapeFailed("too_large") from None
        except (InvalidAnswer, PageError) as error:
            log.debug("a plugin's metrics cannot be read", source=self._name, why=str(error))
            raise _ScrapeFailed("invalid") from None

    def _tell(self, page: Page, change: Change) -> None:
        name, sink = self._name, self._sink
        _gauge(sink, "geyser_plugin_metrics_up", name, 1.0)
        if not page.known:
            # It answers, with metrics of somebody else.
            _error(sink, name, "unknown_page")
        for series, value in (("geyser_newest_slot", page.newest_slot), ("geyser_plugin_queue", page.queue)):
            if value is not None:
                _gauge(sink, series, name, value)
        for kind, rate in change.rates.items():
            sink.sample(Series.of("geyser_events_rate", source=name, kind=kind), rate)
        for series, counts in (("geyser_plugin_dropped", change.dropped), ("geyser_plugin_failed", change.failed)):
            for kind, times in counts.items():
                if times > 0:
                    sink.sample(Series.counting(series, source=name, kind=kind), times)
        if change.restarted:
            sink.sample(Series.counting("geyser_plugin_restarts", source=name), 1.0)


class _Listed:
    """The validator's own list of plugins."""

    def __init__(
        self, plugins: Mapping[str, PluginSettings], admin: AdminRpc, sink: Sink, period_s: float, bells: PluginBells
    ) -> None:
        self._bells = bells
        self._sources = {wanted.name or source: source for source, wanted in plugins.items()}
        self._admin, self._sink, self._period_s = admin, sink, period_s
        self._last: list[str] | None = None
        self._breaker = Breaker("geyser plugin list", failures=3, longest_s=30.0)

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                doubts = self._bells.doubted.times
                began = time.monotonic()
                await self._look()
                # A stream that flaps must not make the validator answer all the time.
                await asyncio.sleep(LEAST_PERIOD_S)
                left_s = began + self._period_s * random.uniform(0.95, 1.05) - time.monotonic()  # noqa: S311
                await self._bells.doubted.after(doubts, max(0.0, left_s))
        finally:
            self._breaker.close()

    async def _look(self) -> None:
        try:
            self._breaker.before()
            listed = await loaded_plugins(self._admin)
        except BreakerOpen:
            return
        except AdminError as error:
            # Nothing is known of them: a validator that is down says nothing of its plugins.
            self._breaker.failed()
            for source in self._sources.values():
                _error(self._sink, source, error.reason.lower())
            return
        self._breaker.succeeded()
        self._tell(listed or [])

    def _tell(self, listed: list[str]) -> None:
        for name, source in self._sources.items():
            _gauge(self._sink, "geyser_plugin_loaded", source, float(name in listed))
        if self._last is not None:
            for name in sorted(set(listed) ^ set(self._last)):
                self._sink.event(self._event(name, appeared=name in listed))
            if set(listed) - set(self._last):
                self._bells.loaded.ring()
        self._last = listed

    def _event(self, name: str, *, appeared: bool) -> link_pb2.Event:
        source = self._sources.get(name, "")
        what = "appeared in" if appeared else "left"
        attributes = {"plugin": name[:128], "state": "loaded" if appeared else "unloaded"}
        return link_pb2.Event(
            kind=KIND, unix_ms=now_ms(), area="geyser", times=1,
            severity=link_pb2.SEVERITY_INFO if appeared else link_pb2.SEVERITY_WARNING,
            message=f"plugin {name[:128]} {what} the validator's list",
            attributes=attributes | ({"source": source} if source else {}),
        )  # fmt: skip


class PluginProbe:
    """Looks at every plugin.

    Args:
        plugins: by name.
        admin: the validator's admin socket; None where the agent's settings name no validator.
        bells: what others tell of plugins, and are told.
    """

    name = "geyser plugins"

    def __init__(
        self, plugins: Mapping[str, PluginSettings], admin: AdminRpc | None, bells: PluginBells | None = None, *,
        list_period_s: float = LIST_PERIOD_S,
    ) -> None:  # fmt: skip
        self._bells = bells or PluginBells()
        self._plugins = plugins
        self._admin = admin
        self._list_period_s = list_period_s

    async def run(self, sink: Sink) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, wanted in self._plugins.items():
                if wanted.metrics_url:
                    group.create_task(_Metrics(name, wanted, sink).run())
            if self._admin:
                listed = _Listed(self._plugins, self._admin, sink, self._list_period_s, self._bells)
                group.create_task(listed.run())


def _gauge(sink: Sink, name: str, source: str, value: float) -> None:
    sink.sample(Series.of(name, source=source), value)


def _error(sink: Sink, source: str, kind: str) -> None:
    sink.sample(Series.counting("geyser_errors", source=source, **{"class": kind}), 1.0)
