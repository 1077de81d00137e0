"""The keeper: never waits, bounded, and loses nothing that it need not lose."""

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controlplane.telemetry.store import keeper as module
from controlplane.telemetry.store.book import SeriesBook
from controlplane.telemetry.store.counts import SAMPLES
from controlplane.telemetry.store.keeper import Keeper
from controlplane.telemetry.store.model import Aggregation, Batch, QueryRefused, StoreDown
from tests.support.telemetry import DAY, HOUR, MIDNIGHT, World


class Store:
    """A store that fails as it is told."""

    def __init__(self) -> None:
        self.book = SeriesBook()
        self.written: list[Batch] = []
        self.fails: Exception | None = None
        self.kept_up = 0
        self.delay_s = 0.0

    async def append(self, batch: Batch) -> None:
        await asyncio.sleep(self.delay_s)
        if self.fails:
            raise self.fails
        self.written.append(batch)

    async def query_range(self, *_: Any) -> Any:
        raise AssertionError("a keeper asks nothing")

    async def maintain(self) -> None:
        self.kept_up += 1
        if self.fails:
            raise self.fails

    async def close(self) -> None: ...


def put(keeper: Keeper, count: int, value: float = 1.0, unix_ms: int = MIDNIGHT) -> None:
    keeper.put(unix_ms, np.arange(count), np.full(count, value))


def overflow() -> float:
    return float(SAMPLES.labels("overflow")._value.get())


async def test_batches_are_written_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_SAMPLES", 1000)
    store = Store()
    keeper = Keeper(store)
    for number in range(5):
        put(keeper, 300, float(number))
    put(keeper, 0)
    assert keeper.waiting == 1500
    assert await keeper.flush()
    assert [len(batch) for batch in store.written] == [900, 600]
    assert store.written[1].values.tolist() == [3.0] * 300 + [4.0] * 300
    assert keeper.waiting == 0


async def test_what_could_not_be_written_is_written_later_and_the_oldest_goes_first() -> None:
    store, before = Store(), overflow()
    keeper = Keeper(store, most=1000)
    store.fails = StoreDown("the disk is full")
    for number in range(8):
        put(keeper, 200, float(number))
        assert not await keeper.flush()
        assert keeper.waiting <= 1000
    assert overflow() - before == 600
    store.fails = None
    assert await keeper.flush()
    assert np.unique(np.concatenate([batch.values for batch in store.written])).tolist() == [3.0, 4.0, 5.0, 6.0, 7.0]


async def test_what_a_store_refuses_for_good_holds_up_nothing() -> None:
    store = Store()
    keeper = Keeper(store)
    store.fails = QueryRefused("it is malformed")
    put(keeper, 10)
    assert await keeper.flush()
    store.fails = None
    put(keeper, 10)
    assert await keeper.flush()
    assert len(store.written) == 1


@pytest.mark.parametrize("failure", [StoreDown("down"), OSError("no such thing"), ValueError("unforeseen")])
async def test_it_runs_through_failures_and_writes_the_rest_when_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.01)
    monkeypatch.setattr(module, "UPKEEP_SECONDS", 0.01)
    store = Store()
    keeper = Keeper(store)
    store.fails = failure
    running = asyncio.create_task(keeper.run())
    put(keeper, 10)
    while store.kept_up < 3:
        await asyncio.sleep(0.01)
    assert not running.done()
    store.fails = None
    while keeper.waiting:
        await asyncio.sleep(0.01)
    store.delay_s = 0.2
    put(keeper, 20)
    await asyncio.sleep(0.1)
    put(keeper, 30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert keeper.waiting == 0
    assert [len(batch) for batch in store.written] == [10, 50]


async def test_a_store_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_SECONDS", 0.1)
    store = Store()
    store.delay_s = 60
    keeper = Keeper(store)
    put(keeper, 10)
    running = asyncio.create_task(keeper.run())
    await asyncio.sleep(0.05)
    running.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - began < 2
    assert keeper.waiting == 10


async def test_the_loop_goes_on_while_much_is_written(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.clock.now_ms = MIDNIGHT + HOUR
    keeper = Keeper(world.store)
    ids = np.array([keeper.define(f"h{number // 1000}", "m", {"n": str(number)}) for number in range(20_000)])
    for second in range(10):
        keeper.put(MIDNIGHT + second * 1000, ids, np.full(len(ids), 1.5))
    longest = await _longest_pause(asyncio.create_task(keeper.flush()))
    assert longest < 0.25
    frame = await world.store.query_range("m", [], MIDNIGHT, MIDNIGHT + HOUR, DAY, Aggregation("sum"))
    assert frame.values.sum() == 1.5 * 200_000
    await world.store.close()


async def _longest_pause(work: "asyncio.Task[bool]") -> float:
    longest = 0.0
    while not work.done():
        began = time.monotonic()
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - began)
    assert await work
    return longest
