"""OpenTelemetry as a part of the control plane: what is sent to the collector, and who sends it."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import structlog
from prometheus_client.core import Metric

from common import logs
from controlplane.telemetry.otlp.collector import DROPPED, Away, Collector
from controlplane.telemetry.otlp.logs import Logs
from controlplane.telemetry.otlp.metrics import requests
from controlplane.telemetry.otlp.resource import own_resource
from controlplane.telemetry.otlp.settings import OtlpSettings
from controlplane.telemetry.otlp.spans import Traces
from controlplane.telemetry.prometheus import Whole

log = structlog.get_logger(__name__)


class Page(Protocol):
    """Where the metrics are read."""

    async def read(self) -> Whole:
        """Copy them, on the loop."""


class Otlp:
    """Everything that goes to the collector.

    Args:
        settings: where it is, and what it is sent.
    """

    def __init__(self, settings: OtlpSettings) -> None:
        self._settings = settings
        self._resource = own_resource(settings.environment)
        self.traces = Traces(settings, self._resource)

    @asynccontextmanager
    async def running(self, page: Page) -> AsyncIterator[None]:
        """Send while the block runs, where there is a collector.

        Args:
            page: what the metrics are made of.
        """
        settings = self._settings
        if not settings.endpoint:
            yield
            return
        roots_pem = await asyncio.to_thread(settings.ca_file.read_bytes) if settings.ca_file else None
        collector = Collector(settings, roots_pem)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(collector.close)
            if settings.sends("traces"):
                self._owned(stack, self.traces.outbox.run(collector))
            if settings.sends("logs"):
                lines = Logs(self._resource)
                self._owned(stack, lines.outbox.run(collector))
                stack.enter_context(logs.tapped(lines))
            if settings.sends("metrics"):
                self._owned(stack, self._push(collector, page))
            yield

    def _owned(self, stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        stack.push_async_callback(end)

    async def _push(self, collector: Collector, page: Page) -> None:
        while True:
            began = time.monotonic()
            try:
                await self._push_once(collector, page)
            except Exception:
                log.exception("the metrics were not pushed")
            await asyncio.sleep(max(0.1, self._settings.metrics_seconds - (time.monotonic() - began)))

    async def _push_once(self, collector: Collector, page: Page) -> None:
        whole = await page.read()
        made = requests(self._resource, whole.seen, _families(whole))
        while (request := await asyncio.to_thread(next, made, None)) is not None:
            try:
                await collector.send("metrics", request[0])
            except Away:
                # The next push says the same again, and more.
                DROPPED.labels("metrics", "away").inc(request[1])
                return


def _families(whole: Whole) -> Iterator[Metric]:
    # The process's own are read in the thread that makes the first request.
    yield from whole.all_families()
