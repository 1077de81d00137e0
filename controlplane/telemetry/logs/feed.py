"""The feed: entries as they arrive, for whoever follows them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from common.errors import SolwardError
from controlplane.telemetry.logs.model import LogEntry

# Batches that may wait for a listener who does not read.
QUEUE = 1_000
Heard = asyncio.Queue[list[LogEntry] | None]


class LogFeed:
    """Hands every entry to everybody who listens."""

    def __init__(self) -> None:
        self._listeners: set[Heard] = set()

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def publish(self, entries: list[LogEntry]) -> None:
        """Tell of entries; who is too slow hears that, and nothing more."""
        for queue in list(self._listeners):
            if queue.full():
                queue.get_nowait()
                queue.put_nowait(None)
                self._listeners.discard(queue)
            else:
                queue.put_nowait(entries)

    @contextmanager
    def listening(self) -> Iterator["Listener"]:
        """Hear everything from now on, for the length of the block."""
        queue: Heard = asyncio.Queue(QUEUE)
        self._listeners.add(queue)
        try:
            yield Listener(queue)
        finally:
            self._listeners.discard(queue)


class Listener:
    """One who listens."""

    def __init__(self, queue: Heard) -> None:
        self._queue = queue

    async def next(self) -> list[LogEntry]:
        """Wait for entries; SolwardError TOO_SLOW once some were lost."""
        entries = await self._queue.get()
        if entries is None:
            raise SolwardError(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_SLOW", "the watcher did not read: begin again")
        return entries
