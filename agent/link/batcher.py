"""The batcher: closes what the probes measured and found into one batch a second, and spools it."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from solward.hosts.v1 import link_pb2

from agent.link.spool import Spool
from agent.probes.base import Series
from common.clock import now_ms

# What one second may hold of findings; a host that finds more has run wild, and the count says so.
MAX_EVENTS = 1_000
_DROPPED = Series.counting("solward_agent_events_dropped")


class Batcher:
    """The probes' sink: readings of a second become one batch in the spool."""

    def __init__(self, spool: Spool, worker: ThreadPoolExecutor, spooled: Callable[[], None]) -> None:
        self._spool = spool
        self._worker = worker
        self._spooled = spooled
        self._series: list[Series] = []
        self._values: list[float] = []
        self._events: list[link_pb2.Event] = []
        self._positions: dict[str, str] = {}
        self._urgent: list[link_pb2.Event] = []
        self._hurry = asyncio.Event()
        self._hurried = 0

    def sample(self, series: Series, value: float) -> None:
        """Record one value of a series in the second that is open now."""
        self._series.append(series)
        self._values.append(value)

    def event(self, event: link_pb2.Event, *, urgent: bool = False) -> None:
        """Record one finding in the second that is open now; an urgent one does not wait for its end."""
        if urgent and self._hurried < MAX_EVENTS:
            self._hurried += 1
            self._urgent.append(event)
            self._hurry.set()
        elif not urgent and len(self._events) < MAX_EVENTS:
            self._events.append(event)
        else:
            self.sample(_DROPPED, 1.0)

    def position(self, source: str, value: str) -> None:
        """Say how far a source was read; it is kept with the batch that holds what came of it."""
        self._positions[source] = value

    async def run(self) -> None:
        """Close a batch in the middle of every second until cancelled.

        In the middle, since a batch belongs to the second in which it is closed: a moment early or late must not
        put two batches into one second and none into the next.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hurry_on(), name="urgent events")
            while True:
                await asyncio.sleep(until_middle(time.time()))
                await self.close_second()

    async def _hurry_on(self) -> None:
        """Spool urgent events as they come; those that come while the disk works go together."""
        while True:
            await self._hurry.wait()
            self._hurry.clear()
            await self._close_urgent()

    async def _close_urgent(self) -> None:
        urgent, self._urgent = self._urgent, []
        if urgent:
            await asyncio.get_running_loop().run_in_executor(self._worker, self._append, [], [], urgent, {})
            self._spooled()

    async def close_second(self) -> None:
        """Spool what was measured and found since the last call."""
        self._hurried = 0
        await self._close_urgent()
        series, values, self._series, self._values = self._series, self._values, [], []
        events, positions, self._events, self._positions = self._events, self._positions, [], {}
        if not values and not events and not positions:
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._worker, self._append, series, values, events, positions)
        self._spooled()

    def _append(
        self, series: list[Series], values: list[float], events: list[link_pb2.Event], positions: dict[str, str]
    ) -> None:
        unix_ms = now_ms()
        if events:
            self._spool.append(link_pb2.ConnectRequest(events=link_pb2.EventBatch(unix_ms=unix_ms, events=events)))
        if values:
            batch = link_pb2.SampleBatch(unix_ms=unix_ms, series=map(self._spool.series_id, series), values=values)
            self._spool.append(link_pb2.ConnectRequest(samples=batch))
        # Last: whoever dies before this reads a second twice rather than never.
        for source, value in positions.items():
            self._spool.note_position(source, value)


def until_middle(now: float) -> float:
    """Give the time until the middle of the second after this one, all in seconds."""
    return 1.5 - now % 1.0
