"""Findings and agents' own log lines as they arrive: kept in the store, once; findings are then judged."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import structlog
from prometheus_client import Counter
from solward.hosts.v1 import link_pb2

from common.clock import now_ms
from common.names import AGENT_LOG, BUNDLE, CANARY
from controlplane.alerts.engine import AlertEngine
from controlplane.store.alerts import AlertRepository
from controlplane.store.events import EventRepository, Stored
from controlplane.telemetry.logs.feed import LogFeed
from controlplane.telemetry.logs.model import entry_of

log = structlog.get_logger(__name__)

# One host's findings that are kept within a minute: an agent thins its own out to far fewer.
MAX_A_MINUTE = 2_000
# One agent's own lines within a minute: it makes far fewer, unless it was away for long.
MAX_LINES_A_MINUTE = 1_000
# Of what block engines tell of a host's bundles: far more than it may send.
MAX_RESULTS_A_MINUTE = 60_000
KEEP_MS = 30 * 86_400_000
KEEP_OF_A_HOST = 20_000
KEEP_ALERTS_MS = 90 * 86_400_000
PRUNE_SECONDS = 600.0
AHEAD_MS = 60_000

_EVENTS = Counter("solward_ingest_events", "Findings that arrived, by what became of them.", ("outcome",))


class Findings:
    """Takes batches of events in.

    Args:
        repository: where they are kept.
        alerts: where alerts are kept, to let go of old ones.
        engine: judges findings; a line of an agent's own log raises no alert.
        feed: tells whoever follows.
    """

    def __init__(
        self, repository: EventRepository, alerts: AlertRepository, engine: AlertEngine, feed: LogFeed | None = None
    ) -> None:
        self._repository = repository
        self._alerts = alerts
        self._engine = engine
        self._feed = feed or LogFeed()
        # Takes what block engines said of bundles: thousands a second, which are kept with their bundles alone.
        self.bundles: Callable[[str, list[link_pb2.Event]], None] | None = None
        # Takes what agents say of bundles of their own, before anything that was said of those.
        self.canaries: Callable[[str, str, list[link_pb2.Event]], Awaitable[None]] | None = None
        # What a host has used of a minute: its findings, its agent's lines and its bundles' results apart.
        self._room: dict[tuple[str, str], tuple[int, int]] = {}

    async def take(self, host_uid: str, host: str, spool_id: str, batch: link_pb2.EventBatch) -> None:
        """Keep a batch and judge it; one that came before changes nothing."""
        now = now_ms()
        told = [event for event in batch.events if event.kind not in (BUNDLE, CANARY)]
        if len(told) < len(batch.events):
            await self._pass_on(host_uid, host, batch)
        events = self._allowed(host_uid, told)
        _EVENTS.labels("dropped").inc(len(told) - len(events))
        for event in events:
            # A clock that is ahead must not put its findings before everybody's for ever.
            event.unix_ms = max(0, min(event.unix_ms or now, now + AHEAD_MS))
        first = await self._repository.add(host_uid, spool_id, batch.sequence, events) if events else 0
        if first:
            _EVENTS.labels("kept").inc(len(events))
            if self._feed.heard:
                self._feed.publish([entry_of(Stored(first + place, host, one)) for place, one in enumerate(events)])
            await self._engine.take(host, [event for event in events if event.kind != AGENT_LOG])

    async def _pass_on(self, host_uid: str, host: str, batch: link_pb2.EventBatch) -> None:
        told = [event for event in batch.events if event.kind in (BUNDLE, CANARY)]
        events = told[: self._take_room(host_uid, "bundles", len(told), MAX_RESULTS_A_MINUTE)]
        _EVENTS.labels("dropped").inc(len(told) - len(events))
        canaries = [event for event in events if event.kind == CANARY]
        if self.canaries and canaries:
            await self.canaries(host_uid, host, canaries)
        if self.bundles and (results := [event for event in events if event.kind == BUNDLE]):
            self.bundles(host_uid, results)

    async def run(self) -> None:
        """Let go of old findings, and of alerts long over, again and again until cancelled."""
        while True:
            try:
                await self._repository.prune(now_ms() - KEEP_MS, KEEP_OF_A_HOST)
                await self._alerts.prune(now_ms() - KEEP_ALERTS_MS)
            except Exception:
                log.exception("what is old could not be let go; trying again")
            await asyncio.sleep(PRUNE_SECONDS)

    def _allowed(self, host_uid: str, events: Iterable[link_pb2.Event]) -> list[link_pb2.Event]:
        return [
            event
            for event in events
            if (
                self._take_room(host_uid, "lines", 1, MAX_LINES_A_MINUTE)
                if event.kind == AGENT_LOG
                else self._take_room(host_uid, "findings", 1, MAX_A_MINUTE)
            )
        ]

    def _take_room(self, host_uid: str, what: str, wanted: int, most: int) -> int:
        """Take of what a host may tell in a minute; gives how many there is room for."""
        minute = int(time.monotonic() // 60)
        began, used = self._room.get((host_uid, what), (minute, 0))
        used = used if began == minute else 0
        taken = min(wanted, most - used)
        self._room[host_uid, what] = (minute, used + taken)
        return taken
