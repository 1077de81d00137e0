"""Findings as they arrive: kept in the store, once, and then judged."""

import asyncio
import time

import structlog
from prometheus_client import Counter
from solward.hosts.v1 import link_pb2

from common.clock import now_ms
from controlplane.alerts.engine import AlertEngine
from controlplane.store.alerts import AlertRepository
from controlplane.store.events import EventRepository

log = structlog.get_logger(__name__)

# One host's findings that are kept within a minute: an agent thins its own out to far fewer.
MAX_A_MINUTE = 2_000
KEEP_MS = 30 * 86_400_000
KEEP_OF_A_HOST = 20_000
KEEP_ALERTS_MS = 90 * 86_400_000
PRUNE_SECONDS = 600.0
AHEAD_MS = 60_000

_EVENTS = Counter("solward_ingest_events", "Findings that arrived, by what became of them.", ("outcome",))


class Findings:
    """Takes batches of findings in."""

    def __init__(self, repository: EventRepository, alerts: AlertRepository, engine: AlertEngine) -> None:
        self._repository = repository
        self._alerts = alerts
        self._engine = engine
        self._room: dict[str, tuple[int, int]] = {}

    async def take(self, host_uid: str, host: str, spool_id: str, batch: link_pb2.EventBatch) -> None:
        """Keep a batch and judge it; one that came before changes nothing."""
        events = list(batch.events)[: self._allowed(host_uid, len(batch.events))]
        _EVENTS.labels("dropped").inc(len(batch.events) - len(events))
        now = now_ms()
        for event in events:
            # A clock that is ahead must not put its findings before everybody's for ever.
            event.unix_ms = min(event.unix_ms or now, now + AHEAD_MS)
        if events and await self._repository.add(host_uid, spool_id, batch.sequence, events):
            _EVENTS.labels("kept").inc(len(events))
            await self._engine.take(host, events)

    async def run(self) -> None:
        """Let go of old findings, and of alerts long over, again and again until cancelled."""
        while True:
            try:
                await self._repository.prune(now_ms() - KEEP_MS, KEEP_OF_A_HOST)
                await self._alerts.prune(now_ms() - KEEP_ALERTS_MS)
            except Exception:
                log.exception("what is old could not be let go; trying again")
            await asyncio.sleep(PRUNE_SECONDS)

    def _allowed(self, host_uid: str, wanted: int) -> int:
        minute = int(time.monotonic() // 60)
        began, used = self._room.get(host_uid, (minute, 0))
        used = used if began == minute else 0
        allowed = max(0, min(wanted, MAX_A_MINUTE - used))
        self._room[host_uid] = (minute, used + allowed)
        return allowed
