"""Processes that die while they work with a hot store; started by name, so that they can be forked from a fresh one."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import duckdb

from controlplane.telemetry.store.database import Database
from tests.support.telemetry import DAY, HOUR, MIDNIGHT, World

# Two hours of a closed day, and the first of them late.
WRITTEN = [(MIDNIGHT + HOUR + 1000, 1.0), (MIDNIGHT + 2 * HOUR, 2.0), (MIDNIGHT + HOUR, 4.0)]
CLOSED_MS = MIDNIGHT + DAY + 7 * HOUR
NEXT_S = 0.002


def processes() -> ForkServerContext:
    """Give what starts processes that have imported the store."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.store_crash"])
    return context


class _Doomed:
    """A cursor that kills its process before a statement, counted over all of them."""

    left = 0

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def _count(self) -> None:
        if _Doomed.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        _Doomed.left -= 1

    def execute(self, *arguments: Any) -> Any:
        self._count()
        return self._cursor.execute(*arguments)

    def commit(self) -> None:
        self._count()
        self._cursor.commit()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class _DoomedDatabase(Database):
    @contextmanager
    def work(self, what: str) -> Iterator[Any]:
        with super().work(what) as cursor:
            yield _Doomed(cursor)


async def prepare(folder: Path) -> None:
    """Write what is rolled up, and then what comes late for it."""
    world = World(folder)
    world.clock.now_ms = MIDNIGHT + 4 * HOUR
    number = world.define()
    for time, value in WRITTEN[:2]:
        await world.write([number], [time], [value])
    world.clock.now_ms += HOUR
    await world.store.maintain()
    time, value = WRITTEN[2]
    await world.write([number], [time], [value])
    await world.store.close()


def keep_up_until_killed(folder: Path, statements: int) -> None:
    """Do the upkeep of a store that `prepare` made, and die before a statement of it."""

    async def run() -> None:
        world = World(folder)
        world.clock.now_ms = CLOSED_MS
        _Doomed.left = statements
        # Only now: what opens the store is not counted.
        world.store._database.__class__ = _DoomedDatabase
        await world.store.maintain()

    asyncio.run(run())


def write_until_killed(folder: Path, first: int, told: Connection) -> None:
    """Write one batch after the other, with upkeep at the same time, and tell of each that is durable."""

    async def run() -> None:
        world = World(folder)
        number = world.define()

        async def keep_up() -> None:
            while True:
                await world.store.maintain()
                await asyncio.sleep(NEXT_S)

        upkeep = asyncio.create_task(keep_up())
        batch = first
        while not upkeep.done():
            # Ten minutes pass with each batch; every fifth comes an hour late.
            world.clock.now_ms = MIDNIGHT + batch * 600_000
            begin = world.clock.now_ms - (HOUR if batch % 5 == 0 else 0)
            await world.write([number] * 10, [begin + one + batch % 600 for one in range(0, 10_000, 1000)], [1.0] * 10)
            told.send(batch)
            batch += 1

    asyncio.run(run())


def start(target: Any, *arguments: Any) -> ForkServerProcess:
    """Start one of the above."""
    process = processes().Process(target=target, args=arguments)
    process.start()
    return process
