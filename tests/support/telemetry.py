"""A hot store with a clock that is set, and what it should hold, kept in a dict."""

import asyncio
from pathlib import Path

import numpy as np

from controlplane.telemetry.store.hot import HotStore
from controlplane.telemetry.store.model import Aggregation, Batch, Frame, Matcher
from controlplane.telemetry.store.settings import HotSettings, Retention
from controlplane.telemetry.store.shelf import FolderShelf, Shelf

HOUR, DAY = 3_600_000, 86_400_000
# A Monday at midnight.
MIDNIGHT = 20_664 * DAY
NAME = "solana_rpc_latency_seconds"


class Clock:
    """The time, as the test sets it."""

    def __init__(self, now_ms: int = MIDNIGHT) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class World:
    """A hot store in a folder, with a cold one."""

    def __init__(
        self,
        folder: Path,
        retention: Retention | None = None,
        settings: HotSettings | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        self.folder = folder
        self.clock = Clock()
        self.shelf = shelf or FolderShelf(folder / "cold")
        self._retention = retention or Retention()
        self._settings = settings or HotSettings(memory_megabytes=256, reserve_megabytes=1)
        self.store = self._open()

    def _open(self) -> HotStore:
        return HotStore(self.folder, self.shelf, self._settings, self._retention, self.clock)

    async def reopen(self) -> None:
        """Close the store, and open it as a new process would."""
        await self.store.close()
        self.store = await asyncio.to_thread(self._open)

    def define(self, host: str = "a", name: str = NAME, **labels: str) -> int:
        """Give a series' id."""
        number = self.store.book.intern(host, name, labels)
        assert number is not None
        return number

    async def write(self, series: list[int], times: list[int], values: list[float]) -> None:
        """Write samples."""
        columns = np.array(series, dtype=np.int32), np.array(times, dtype=np.int64), np.array(values, dtype=np.float64)
        await self.store.append(Batch(*columns))

    async def ask(
        self, start: int, end: int, step: int, kind: str = "sum", share: float = 0.0, where: list[Matcher] | None = None
    ) -> Frame:
        """Ask for NAME."""
        return await self.store.query_range(NAME, where or [], start, end, step, Aggregation(kind, share))

    def tables(self) -> set[str]:
        """Name the tables."""
        with self.store._database.work("test") as cursor:
            return {name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
