"""A disk that fills: what cannot be written is counted and lost, and nothing else; with room again it goes on."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from controlplane.telemetry.store.counts import FAILURES, SAMPLES
from controlplane.telemetry.store.keeper import Keeper
from controlplane.telemetry.store.model import StoreDown
from controlplane.telemetry.store.settings import HotSettings
from tests.support.telemetry import DAY, HOUR, MIDNIGHT, NAME, World

DISK_MEGABYTES = 48
BATCH = 20_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.host
@pytest.mark.parametrize("reserve", [0, 8])
async def test_a_full_disk_is_a_counted_loss(small_disk: Path, reserve: int) -> None:
    (small_disk / "ballast").write_bytes(bytes(20_000_000))
    world = World(small_disk, settings=HotSettings(memory_megabytes=128, reserve_megabytes=reserve))
    world.clock.now_ms = MIDNIGHT + 2 * HOUR
    keeper = Keeper(world.store, most=5 * BATCH)
    ids = np.array([keeper.define(f"h{number // 4000}", NAME, {"n": str(number)}) for number in range(BATCH)])
    random = np.random.default_rng(1)
    stored, lost = value(SAMPLES, "stored"), value(SAMPLES, "overflow")
    put = failed = 0
    while failed < 20:
        assert put < 500, "the disk never filled"
        keeper.put(MIDNIGHT + put * 1000, ids, random.lognormal(size=BATCH))
        put += 1
        failed += not await keeper.flush()
        if failed % 5 == 4:
            with suppress(StoreDown):
                await world.store.maintain()
    assert value(SAMPLES, "overflow") > lost
    assert value(FAILURES, "append") + value(FAILURES, "disk_full") > 0
    # Room again: what waits is written, and what was said to be stored is there.
    (small_disk / "ballast").unlink()
    for _ in range(10):
        if await keeper.flush():
            break
    assert keeper.waiting == 0
    stored, lost = value(SAMPLES, "stored") - stored, value(SAMPLES, "overflow") - lost
    assert stored + lost == put * BATCH
    frame = await world.ask(MIDNIGHT, MIDNIGHT + DAY, DAY, "count")
    assert frame.values.sum() == stored
    await world.store.maintain()
    await world.reopen()
    assert (await world.ask(MIDNIGHT, MIDNIGHT + DAY, DAY, "count")).values.sum() == stored
    await world.store.close()


def value(metric: object, label: str) -> float:
    return float(metric.labels(label)._value.get())
