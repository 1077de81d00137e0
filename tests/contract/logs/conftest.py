"""An empty log store on each backend."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from solward.hosts.v1 import link_pb2

from controlplane.telemetry.logs.model import LogEntry, LogStore
from tests.support.logs import Logged, everything, logged


@dataclass
class Backend:
    """A log store, and hosts that say what is found there."""

    name: str
    world: Logged
    store: LogStore

    async def say(self, host: str, *events: link_pb2.Event) -> None:
        await self.world.say(host, *events)
        await self.world.push()

    async def ask(self, limit: int = 100, **wanted: Any) -> list[LogEntry]:
        return await everything(self.store, self.world.asked(**wanted), limit)

    async def messages(self, limit: int = 100, **wanted: Any) -> list[str]:
        return [entry.event.message for entry in await self.ask(limit, **wanted)]


@pytest.fixture(params=["local", "loki"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    async with logged(tmp_path) as world:
        yield Backend(request.param, world, world.loki if request.param == "loki" else world.local)
        assert world.peer.refusals == []
