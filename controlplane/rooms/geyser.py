"""Geyser pipelines: how they stand, and how they mend themselves."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from solward.hosts.v1 import link_pb2

from common.names import host_id
from controlplane.geyser.mender import Mender
from controlplane.geyser.pipelines import TOPIC, Pipelines
from controlplane.guard.by_name import ByName
from controlplane.rooms.operations import Operations
from controlplane.rooms.records import Records
from controlplane.rooms.watching import Watching
from controlplane.settings import Settings

log = structlog.get_logger(__name__)


class Geyser:
    """Pipelines, and who mends them."""

    def __init__(
        self, settings: Settings, records: Records, operations: Operations, watching: Watching, by_name: ByName
    ) -> None:
        self._alerts = watching.alerts
        self._findings: asyncio.Queue[tuple[str, link_pb2.Event]] = asyncio.Queue()
        self.pipelines = Pipelines(settings.geyser.pipelines, watching.ingest, self._found)
        self.mender = Mender(
            self.pipelines, records.recoveries, records.hosts, operations.links, operations.engine, operations.gating,
            by_name, self._found,
        )  # fmt: skip
        watching.topics.add(TOPIC, self.pipelines.topic)

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Give what goes on in the background."""
        return [self.pipelines.run(), self.mender.run(), self._tell()]

    def _found(self, host: str, event: link_pb2.Event) -> None:
        self._findings.put_nowait((host, event))

    async def _tell(self) -> None:
        while True:
            host, event = await self._findings.get()
            try:
                await self._alerts.take(host_id(host), [event])
            except Exception:
                log.exception("what was found of a pipeline could not be told", host=host)
