"""Opens the store that the settings name."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from common.clock import now_ms as wall_ms
from controlplane.telemetry.store.hot import HotStore
from controlplane.telemetry.store.model import SampleStore
from controlplane.telemetry.store.s3 import S3Shelf
from controlplane.telemetry.store.settings import StoreSettings
from controlplane.telemetry.store.shelf import FolderShelf, Shelf
from controlplane.telemetry.store.victoria import VictoriaStore


async def open_store(settings: StoreSettings, folder: Path, now_ms: Callable[[], int] = wall_ms) -> SampleStore:
    """Open the store: VictoriaMetrics where one is named, else DuckDB with a cold store behind it.

    Args:
        settings: which, and its bounds.
        folder: for what is kept here.
        now_ms: the clock.

    Raises StoreDown where the file in the folder cannot be opened.
    """
    url = settings.victoria_metrics_url.get_secret_value()
    if url:
        return VictoriaStore(url, settings.hot, now_ms)
    shelf: Shelf
    if settings.cold_s3 is not None:
        shelf = S3Shelf(settings.cold_s3, folder / "near")
    else:
        shelf = FolderShelf(settings.cold_folder or folder / "cold")
    return await asyncio.to_thread(HotStore, folder, shelf, settings.hot, settings.retention, now_ms)
