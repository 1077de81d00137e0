"""The process is killed at every step of the upkeep, and in the midst of writing: nothing is lost, nothing is twice."""

import asyncio
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.support.store_crash import (
    CLOSED_MS,
    keep_up_until_killed,
    prepare,
    processes,
    start,
    write_until_killed,
)
from tests.support.telemetry import DAY, HOUR, MIDNIGHT, World

STRIDE = 3


async def holds_all(world: World) -> None:
    for kind, wanted in (("sum", 7.0), ("count", 3.0), ("last", 2.0)):
        for step in (60_000, DAY):
            frame = await world.ask(MIDNIGHT, MIDNIGHT + DAY, step, kind)
            found = frame.values[0][np.isfinite(frame.values[0])]
            assert (found[-1] if kind == "last" else found.sum()) == wanted


@pytest.mark.parametrize("offset", range(STRIDE))
@pytest.mark.timeout(300)
async def test_upkeep_that_is_killed_is_done_again(tmp_path: Path, offset: int) -> None:
    prepared = tmp_path / "prepared"
    await prepare(prepared)
    killed = 0
    for statements in range(offset, 300, STRIDE):
        folder = tmp_path / str(statements)
        shutil.copytree(prepared, folder)
        process = start(keep_up_until_killed, folder, statements)
        await asyncio.to_thread(process.join)
        world = World(folder)
        world.clock.now_ms = CLOSED_MS
        await holds_all(world)
        await world.store.maintain()
        await holds_all(world)
        assert not {table for table in world.tables() if table.startswith(("head", "sorted"))}
        assert list(world.shelf.days("solana_rpc_latency_seconds")) == [MIDNIGHT // DAY]
        await world.store.close()
        shutil.rmtree(folder)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
    assert killed >= 8


async def test_what_was_said_to_be_written_is_there_after_a_kill(tmp_path: Path) -> None:
    told: list[int] = []
    for _ in range(4):
        receive, send = processes().Pipe(duplex=False)
        process = start(write_until_killed, tmp_path, len(told), send)
        send.close()
        deadline = asyncio.get_running_loop().time() + 1.0
        while asyncio.get_running_loop().time() < deadline:
            while receive.poll():
                told.append(receive.recv())
            await asyncio.sleep(0.01)
        process.kill()
        await asyncio.to_thread(process.join)
        while receive.poll():
            try:
                told.append(receive.recv())
            except EOFError:
                break
    assert told == list(range(len(told)))
    assert len(told) > 40
    world = World(tmp_path)
    world.clock.now_ms = MIDNIGHT + len(told) * 600_000
    frame = await world.ask(MIDNIGHT - HOUR, world.clock.now_ms + HOUR, HOUR, "count")
    written = float(np.nansum(frame.values))
    # The batch that was under way is there whole, or not at all.
    assert written in {10.0 * len(told), 10.0 * (len(told) + 1)}
    await world.store.close()
