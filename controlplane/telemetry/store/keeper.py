"""The keeper: takes samples off the ingest path at once, and sees that they are written, once a second."""

import asyncio
from collections import deque

import numpy as np
import structlog
from numpy.typing import NDArray

from controlplane.telemetry.store.counts import QUEUED, SAMPLES
from controlplane.telemetry.store.model import Batch, Floats, Ints, QueryRefused, SampleStore, StoreDown

WRITE_SECONDS = 1.0
UPKEEP_SECONDS = 60.0
# Samples of one write.
WRITE_SAMPLES = 500_000
# How long is waited for the last write when it is stopped.
LAST_SECONDS = 10.0
log = structlog.get_logger(__name__)


class Keeper:
    """A bounded queue before a store.

    Args:
        store: where to.
        most: samples that may wait; past it the oldest go, counted.
    """

    def __init__(self, store: SampleStore, most: int = 2_000_000) -> None:
        self._store = store
        self._most = most
        self._waiting: deque[Batch] = deque()
        self._count = 0
        self._down = False

    @property
    def waiting(self) -> int:
        """How many samples wait."""
        return self._count

    def define(self, host: str, name: str, labels: dict[str, str]) -> int | None:
        """Give the id under which a series' samples are put; None: it is not stored."""
        return self._store.book.intern(host, name, labels)

    def put(self, unix_ms: int, series: Ints | NDArray[np.int32], values: Floats) -> None:
        """Take the samples of one moment; never waits.

        Args:
            unix_ms: when they were taken.
            series: ids that `define` gave.
            values: side by side with them.
        """
        if len(values):
            times = np.full(len(values), unix_ms, dtype=np.int64)
            self._waiting.append(Batch(series.astype(np.int32), times, np.array(values, dtype=np.float64)))
            self._count += len(values)
            self._shed()
            QUEUED.set(self._count)

    async def run(self) -> None:
        """Write and keep up until cancelled; then write what waits."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write_on())
                group.create_task(self._keep_up())
        finally:
            try:
                async with asyncio.timeout(LAST_SECONDS):
                    await self.flush()
            except TimeoutError:
                log.warning("samples_not_written", why="the store is too slow", samples=self._count)

    async def flush(self) -> bool:
        """Write what waits; tell whether all of it could be."""
        while self._waiting:
            taken = self._take()
            batch = _joined(taken)
            try:
                await self._store.append(batch)
            except QueryRefused as error:
                SAMPLES.labels("refused").inc(len(batch))
                log.error("samples_refused", why=str(error), samples=len(batch))
            except StoreDown as error:
                self._put_back(taken)
                if not self._down:
                    log.warning("samples_not_written", why=str(error), waiting=self._count)
                self._down = True
                return False
            except BaseException:
                self._put_back(taken)
                raise
        if self._down:
            log.info("samples_written_again")
        self._down = False
        return True

    async def _write_on(self) -> None:
        while True:
            try:
                await self.flush()
            except Exception:
                log.exception("samples could not be written; trying again", waiting=self._count)
            await asyncio.sleep(WRITE_SECONDS)

    async def _keep_up(self) -> None:
        while True:
            try:
                await self._store.maintain()
            except (StoreDown, QueryRefused) as error:
                log.warning("store_not_kept_up", why=str(error))
            except Exception:
                log.exception("the store could not be kept up; trying again")
            await asyncio.sleep(UPKEEP_SECONDS)

    def _take(self) -> list[Batch]:
        taken: list[Batch] = []
        count = 0
        while self._waiting and (not taken or count + len(self._waiting[0]) <= WRITE_SAMPLES):
            taken.append(self._waiting.popleft())
            count += len(taken[-1])
        self._count -= count
        QUEUED.set(self._count)
        return taken

    def _put_back(self, taken: list[Batch]) -> None:
        self._waiting.extendleft(reversed(taken))
        self._count += sum(map(len, taken))
        self._shed()
        QUEUED.set(self._count)

    def _shed(self) -> None:
        while self._count > self._most:
            lost = len(self._waiting.popleft())
            self._count -= lost
            SAMPLES.labels("overflow").inc(lost)


def _joined(batches: list[Batch]) -> Batch:
    return Batch(
        np.concatenate([one.series for one in batches]),
        np.concatenate([one.times for one in batches]),
        np.concatenate([one.values for one in batches]),
    )
