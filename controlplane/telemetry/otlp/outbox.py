"""An outbox: what waits to be sent to the collector, bounded; the oldest gives way, and is counted."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

import structlog

from controlplane.telemetry.otlp.collector import DROPPED, Away, Collector
from controlplane.telemetry.otlp.settings import Signal

log = structlog.get_logger(__name__)
Item = TypeVar("Item")

CAPACITY = 8192
BATCH = 512
PERIOD_S = 1.0
LAST_S = 2.0


class Outbox(Generic[Item]):
    """Takes items from any thread; a task sends them in batches.

    Args:
        signal: what they are.
        encode: makes an encoded request of a batch; called in a thread.
        capacity: how many may wait, so long as the collector is away.
    """

    def __init__(self, signal: Signal, encode: Callable[[list[Item]], bytes], capacity: int = CAPACITY) -> None:
        self._signal = signal
        self._encode = encode
        self._capacity = capacity
        self._waiting: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Item) -> None:
        """Take one; never waits."""
        self._waiting.append(item)
        if len(self._waiting) > self._capacity:
            with suppress(IndexError):
                self._waiting.popleft()
                DROPPED.labels(self._signal, "full").inc()

    async def run(self, collector: Collector) -> None:
        """Send until cancelled; then what is left is tried once more, for a short time."""
        try:
            while True:
                await asyncio.sleep(PERIOD_S)
                try:
                    await self._send_all(collector)
                except Exception:
                    log.exception("what waits for the OTLP collector was not sent", signal=self._signal)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_S):
                    await self._send_all(collector)
            DROPPED.labels(self._signal, "stopped").inc(len(self._waiting))

    async def _send_all(self, collector: Collector) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                request = await asyncio.to_thread(self._encode, batch)
            except Exception:
                # It would stand in the way of all others.
                DROPPED.labels(self._signal, "broken").inc(len(batch))
                raise
            try:
                await collector.send(self._signal, request)
            except Away:
                self._put_back(batch)
                return
            except BaseException:
                self._put_back(batch)
                raise

    def _put_back(self, batch: list[Item]) -> None:
        self._waiting.extendleft(reversed(batch))
        while len(self._waiting) > self._capacity:
            self._waiting.popleft()
            DROPPED.labels(self._signal, "full").inc()
