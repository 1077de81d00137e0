"""A probe that fails is begun anew, and costs nobody else anything."""

import asyncio
from typing import Any, cast

from agent.probes.kept import kept


class Failing:
    name = "failing"

    def __init__(self, times: int) -> None:
        self.left, self.runs = times, 0

    async def run(self, sink: Any) -> None:
        self.runs += 1
        if self.left:
            self.left -= 1
            raise IndexError("what nobody thought of")


async def test_it_is_begun_anew_until_it_ends() -> None:
    probe = Failing(3)
    await kept(cast(Any, probe), cast(Any, None), again_s=0.001)
    assert probe.runs == 4


async def test_it_is_cancelled_like_any_other() -> None:
    probe = Failing(10**9)
    task = asyncio.create_task(kept(cast(Any, probe), cast(Any, None), again_s=0.001))
    await asyncio.sleep(0.02)
    task.cancel()
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)
