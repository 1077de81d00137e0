"""The store as a part of the control plane: opened, written to in the background, and closed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import structlog

from controlplane.telemetry.store.keeper import Keeper
from controlplane.telemetry.store.model import SampleStore, StoreDown
from controlplane.telemetry.store.open import open_store
from controlplane.telemetry.store.settings import StoreSettings

log = structlog.get_logger(__name__)


class Source(Protocol):
    """What has samples to be kept.

    Attributes:
        unkept: why they are not.
    """

    unkept: str

    def keep(self, store: SampleStore, keeper: Keeper) -> None:
        """Store samples from now on."""


class Wanted(Protocol):
    """The settings that matter here."""

    data_dir: Path
    store: StoreSettings


@asynccontextmanager
async def stored(source: Source, settings: Wanted) -> AsyncIterator[None]:
    """Keep a source's samples for the length of the block; what waits is written at its end.

    Validators are controlled also where the store cannot be opened: then nothing is kept, and that is said.
    """
    try:
        store = await open_store(settings.store, settings.data_dir / "telemetry")
    except (StoreDown, OSError) as error:
        log.error("telemetry is not stored until the next start", why=str(error))
        source.unkept = str(error)
        yield
        return
    try:
        keeper = Keeper(store, settings.store.queue_samples)
        source.keep(store, keeper)
        keeping = asyncio.create_task(keeper.run())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
    finally:
        await store.close()
