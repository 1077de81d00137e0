"""The batcher: one batch a second, with everything that was measured and nothing twice."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.link.batcher import Batcher, until_middle
from agent.link.spool import Spool
from agent.probes.base import Series
from common.clock import now_ms


async def test_a_second_becomes_one_batch(tmp_path: Path) -> None:
    told: list[int] = []
    with ThreadPoolExecutor(1) as worker:
        spool = Spool(tmp_path, 1 << 20)
        batcher = Batcher(spool, worker, lambda: told.append(1))
        await batcher.close_second()
        assert (spool.after(0, 10), told) == ([], [])

        begun = now_ms()
        for value in (1.0, 2.0):
            batcher.sample(Series.of("a"), value)
        batcher.sample(Series.of("b", unit="x"), 3.0)
        await batcher.close_second()
        batcher.sample(Series.of("b", unit="x"), 4.0)
        await batcher.close_second()
        await batcher.close_second()

        first, second = (request.samples for request in spool.after(0, 10))
        assert (list(first.series), list(first.values)) == ([0, 0, 1], [1.0, 2.0, 3.0])
        assert (list(second.series), list(second.values)) == ([1], [4.0])
        assert begun <= first.unix_ms <= second.unix_ms <= now_ms()
        assert len(told) == 2
        spool.close()


@given(st.floats(0, 4e9))
def test_a_batch_is_closed_in_the_middle_of_a_second(now: float) -> None:
    wait = until_middle(now)
    assert 0.5 < wait <= 1.5
    assert abs((now + wait) % 1 - 0.5) < 1e-3


async def test_each_second_has_its_own_batch_and_a_hung_loop_none_in_a_burst(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as worker:
        spool = Spool(tmp_path, 1 << 20)
        batcher = Batcher(spool, worker, lambda: batcher.sample(Series.of("a"), 1.0))
        batcher.sample(Series.of("a"), 1.0)
        task = asyncio.create_task(batcher.run())
        await asyncio.sleep(2.6)
        time.sleep(2.0)
        await asyncio.sleep(1.6)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        seconds = [request.samples.unix_ms // 1000 for request in spool.after(0, 100)]
        assert 4 <= len(seconds) <= 6
        assert sorted(set(seconds)) == seconds
        spool.close()
