"""A probe at work, and what it told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from agent.probes.base import Probe
from tests.support.sink import Kept


class Watched:
    """What a probe told of one source so far.

    Args:
        up: the series that each look tells.
    """

    def __init__(self, source: str, up: str) -> None:
        self.sink = Kept()
        self._source, self._up = source, up

    def all(self, name: str, **labels: str) -> list[float]:
        """Give every value of a series."""
        return self.sink.of(name, source=self._source, **labels)

    def last(self, name: str, **labels: str) -> float | None:
        """Give the last value of a series; None where it was never told."""
        found = self.all(name, **labels)
        return found[-1] if found else None

    def errors(self, kind: str) -> float:
        """Give how many looks failed, by class."""
        return sum(self.all("geyser_errors", **{"class": kind}))

    def events(self, kind: str, **attributes: str) -> int:
        """Count the events of a kind with some attributes."""
        wanted = attributes.items()
        return sum(one.kind == kind and wanted <= dict(one.attributes).items() for one in self.sink.events)

    async def until(self, holds: Callable[[], Any], seconds: float = 20) -> None:
        """Wait until something holds."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s: {self.sink.values} {self.sink.events}") from None

    async def look(self) -> None:
        """Wait for a look that began from now on."""
        seen = len(self.all(self._up))
        await self.until(lambda: len(self.all(self._up)) >= seen + 2)


@asynccontextmanager
async def watched(probe: Probe, source: str, up: str) -> AsyncIterator[Watched]:
    """Let a probe run for the length of a block, which begins after its first look."""
    told = Watched(source, up)
    task = asyncio.create_task(probe.run(told.sink))
    try:
        await told.until(lambda: told.last(up) is not None or task.done())
        yield told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
