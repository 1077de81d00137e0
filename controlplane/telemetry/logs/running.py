"""Logs as a part of the control plane: where they are asked for, who follows them, and where they are sent."""

import asyncio

from controlplane.store.events import EventRepository
from controlplane.store.marks import MarkRepository
from controlplane.telemetry.logs.feed import LogFeed
from controlplane.telemetry.logs.local import LocalLogs
from controlplane.telemetry.logs.loki import Loki
from controlplane.telemetry.logs.loki_logs import LokiLogs
from controlplane.telemetry.logs.model import LogStore
from controlplane.telemetry.logs.pusher import Pusher
from controlplane.telemetry.logs.settings import LokiSettings


class Logs:
    """Everything about logs.

    Args:
        settings: of the Loki, if there is one.
        events: where everything that arrives is kept.
        marks: where it is kept how far Loki has come.
        cluster: the label that tells this fleet from others.

    Attributes:
        feed: entries as they arrive.
        local: answers from what is kept here.
        store: answers from Loki where there is one, else as `local`.
    """

    def __init__(self, settings: LokiSettings, events: EventRepository, marks: MarkRepository, cluster: str) -> None:
        self.feed = LogFeed()
        self.local: LogStore = LocalLogs(events)
        self.store: LogStore = self.local
        self._pusher: Pusher | None = None
        if settings.url:
            # One breaker each: who asks too much does not keep lines from getting there.
            self.store = LokiLogs(Loki(settings, "Loki (queries)"), cluster)
            self._pusher = Pusher(Loki(settings, "Loki"), events, marks, cluster)

    async def run(self) -> None:
        """Push until cancelled, where there is a Loki."""
        try:
            if self._pusher:
                await self._pusher.run()
            else:
                await asyncio.Event().wait()
        finally:
            await self.store.close()
