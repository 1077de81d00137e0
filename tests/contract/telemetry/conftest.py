"""An empty store on each backend."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from controlplane.telemetry.store.model import Aggregation, Batch, Frame, Matcher, SampleStore
from controlplane.telemetry.store.open import open_store
from controlplane.telemetry.store.settings import HotSettings, StoreSettings
from tests.support.victoria import VictoriaServer, victoria

BOUNDS = HotSettings(max_series=50, max_series_of_host=20, reserve_megabytes=1)
_numbers = itertools.count()


@dataclass
class Backend:
    """A store, and a metric's name that nobody else uses; what was written is found after `show`."""

    store: SampleStore
    show: Callable[[], None]
    name: str

    def define(self, host: str = "a", **labels: str) -> int:
        number = self.store.book.intern(host, self.name, labels)
        assert number is not None
        return number

    async def write(self, series: list[int], times: list[int], values: list[float]) -> None:
        columns = np.array(series, dtype=np.int32), np.array(times, dtype=np.int64), np.array(values, dtype=np.float64)
        await self.store.append(Batch(*columns))

    async def ask(
        self, start: int, end: int, step: int, kind: str = "sum", share: float = 0.0, where: list[Matcher] | None = None
    ) -> Frame:
        await asyncio.to_thread(self.show)
        return await self.store.query_range(self.name, where or [], start, end, step, Aggregation(kind, share))


@pytest.fixture(scope="session")
def victoria_server() -> Iterator[VictoriaServer]:
    """The server of this test process."""
    with victoria() as server:
        yield server


@pytest.fixture(params=["duckdb", "victoria"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    settings = StoreSettings(hot=BOUNDS)

    def show() -> None:
        """It is found at once."""

    if request.param == "victoria":
        server: VictoriaServer = request.getfixturevalue("victoria_server")
        settings = StoreSettings(hot=BOUNDS, victoria_metrics_url=server.url)
    store = await open_store(settings, tmp_path)
    yield Backend(store, server.show if request.param == "victoria" else show, f"solana_test_{next(_numbers)}_seconds")
    await store.close()
