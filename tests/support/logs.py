"""A state store with hosts that log, and a Loki beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solward.hosts.v1 import link_pb2
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import now_ms
from controlplane.store.database import close_engine, migrate, open_engine
from controlplane.store.events import EventRepository
from controlplane.store.hosts import HostRepository
from controlplane.store.marks import MarkRepository
from controlplane.telemetry.logs.local import LocalLogs
from controlplane.telemetry.logs.loki import Loki
from controlplane.telemetry.logs.loki_logs import LokiLogs
from controlplane.telemetry.logs.model import NS_OF_MS, LogEntry, LogQuery, LogStore
from controlplane.telemetry.logs.pusher import Pusher
from controlplane.telemetry.logs.settings import LokiSettings
from tests.peers.loki import LokiPeer

CLUSTER = "test.internal"
HOSTS = ("sol-1", "sol-2", "s-l-1")
SPOOL = "5" * 32


@dataclass
class Logged:
    """Hosts, what they said, and where it is asked for."""

    engine: AsyncEngine
    peer: LokiPeer
    pusher: Pusher
    loki: LokiLogs
    local: LocalLogs
    now: int = field(default_factory=now_ms)
    sequence: int = 0

    @property
    def events(self) -> EventRepository:
        return EventRepository(self.engine)

    async def say(self, host: str, *events: link_pb2.Event) -> None:
        self.sequence += 1
        assert await self.events.add(host, SPOOL, self.sequence, list(events))

    def event(self, message: str, ago_ms: int = 0, **more: Any) -> link_pb2.Event:
        wanted = {"kind": "validator.x", "severity": link_pb2.SEVERITY_INFO, "times": 1} | more
        return link_pb2.Event(unix_ms=self.now - ago_ms, message=message, **wanted)  # type: ignore[arg-type]

    async def push(self) -> None:
        while await self.pusher.push_some():
            """More waits."""

    def asked(self, **more: Any) -> LogQuery:
        hour = 3_600_000
        wanted: dict[str, Any] = {
            "hosts": None, "start_ns": (self.now - hour) * NS_OF_MS, "end_ns": (self.now + 60_000) * NS_OF_MS,
        }  # fmt: skip
        return LogQuery(**(wanted | more))


async def everything(store: LogStore, query: LogQuery, limit: int = 100) -> list[LogEntry]:
    """Ask page by page until there is no more."""
    found: list[LogEntry] = []
    while True:
        page = await store.query(query, limit)
        assert len(page.entries) <= limit
        found += page.entries
        if page.reached_ns is None:
            return found
        query = query.beyond(page.reached_ns)


@asynccontextmanager
async def logged(folder: Path, **settings: Any) -> AsyncIterator[Logged]:
    """Make an empty state store with hosts, and an empty Loki."""
    engine = open_engine(f"sqlite+aiosqlite:///{folder / 'state.db'}")
    await migrate(engine)
    hosts = HostRepository(engine)
    for name in HOSTS:
        await hosts.replace(name, name, 1)
    peer = LokiPeer()
    async with peer.serving() as url:
        said = LokiSettings(url=url, **settings)
        events, loki = EventRepository(engine), Loki(said, "Loki of a test")
        pusher = Pusher(loki, events, MarkRepository(engine), CLUSTER)
        made = Logged(
            engine, peer, pusher, LokiLogs(Loki(said, "Loki (queries) of a test"), CLUSTER), LocalLogs(events)
        )
        yield made
        await made.loki.close()
        await loki.close()
    await close_engine(engine)
