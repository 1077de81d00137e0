"""Remote write as a part of the control plane: a page each interval, offered to every receiver."""

import asyncio
import math
import socket
import time

import structlog
from prometheus_client import Counter

from common.clock import now_ms
from controlplane.telemetry.prometheus import PageSource
from controlplane.telemetry.remote_write.pages import Pages
from controlplane.telemetry.remote_write.receiver import Receiver
from controlplane.telemetry.remote_write.sender import Sender
from controlplane.telemetry.remote_write.settings import RemoteWriteSettings

log = structlog.get_logger(__name__)

JOB = "solward"
# A clock that goes back by less than this is waited for, since of two samples of one time receivers refuse the later.
BACK_MS = 10_000
_SKIPPED = Counter("solward_remote_write_pages_skipped", "Pages that were not made, for an error of our own.")


class RemoteWrite:
    """Writes to every receiver of the settings.

    Args:
        settings: who they are.
        source: what is shown.
        cluster: the label that tells this fleet from others.
    """

    def __init__(self, settings: RemoteWriteSettings, source: PageSource, cluster: str) -> None:
        self._settings = settings
        self._source = source
        own = {"cluster": cluster, "job": JOB, "instance": socket.gethostname()}
        self._pages = Pages(own | settings.external_labels)
        most = math.ceil(settings.queue_minutes * 60 / settings.interval_seconds) + 1
        self.senders = [Sender(Receiver(one), one.protocol, most) for one in settings.receivers]
        self._last_ms = 0

    async def run(self) -> None:
        """Write until cancelled; without receivers, do nothing until then."""
        if not self.senders:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            for sender in self.senders:
                group.create_task(sender.run())
            group.create_task(self._make_pages())

    async def _make_pages(self) -> None:
        every = self._settings.interval_seconds
        while True:
            await asyncio.sleep(every - time.time() % every)
            try:
                await self.write_now()
            except Exception:
                _SKIPPED.inc()
                log.exception("a page for remote write could not be made")

    async def write_now(self) -> None:
        """Make a page, and offer it."""
        unix_ms = now_ms()
        if self._last_ms - BACK_MS < unix_ms <= self._last_ms:
            unix_ms = self._last_ms + 1
        whole = await self._source.read()
        page = await asyncio.to_thread(self._pages.page, whole, unix_ms)
        self._last_ms = unix_ms
        for sender in self.senders:
            sender.offer(page)
