"""Budgets of calls in Redis: one script draws from all budgets of many calls at once, atomically."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from redis.asyncio import Redis

from controlplane.guard.budgets import Budget, Budgets, FallbackBudgets, LocalBudgets, Verdict
from controlplane.store.redis import RedisDown, RedisStore

# A caller waits for its budget, so a Redis that stands still may not cost it more than this.
ANSWER_SECONDS = 0.25
MOST_AT_ONCE = 256
_PREFIX = "solward:rate:"
# Each budget is the list of its calls' times in microseconds, by Redis' own clock, oldest first; what left the
# window is dropped before anything is counted. ARGV: the numbers, for each call its number of budgets, then limit and
# period (microseconds) of each. Four numbers answer each call: allowed, tightest (from 0), remaining, wait
# (microseconds). Numbers travel as one text each way, which redis-py packs and reads far faster than lists.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stamp = string.format('%.0f', now)
local asked, answers, key, arg = {}, {}, 0, 1
for number in string.gmatch(ARGV[1], '%d+') do asked[#asked + 1] = tonumber(number) end
while arg <= #asked do
  local count = asked[arg]
  local allowed, tightest, remaining, wait = 1, 0, nil, 0
  for i = 0, count - 1 do
    local name = KEYS[key + i + 1]
    local limit, period = asked[arg + 1 + 2 * i], asked[arg + 2 + 2 * i]
    local oldest = redis.call('LINDEX', name, 0)
    while oldest and tonumber(oldest) <= now - period do
      redis.call('LPOP', name)
      oldest = redis.call('LINDEX', name, 0)
    end
    local left = limit - redis.call('LLEN', name)
    if allowed == 1 and (left <= 0 or remaining == nil or left < remaining) then
      if left <= 0 then allowed = 0 end
      tightest, remaining = i, left
      wait = (oldest and tonumber(oldest) or now) + period - now
    end
  end
  if allowed == 1 then
    for i = 0, count - 1 do
      local name, period = KEYS[key + i + 1], asked[arg + 2 + 2 * i]
      redis.call('RPUSH', name, stamp)
      redis.call('PEXPIRE', name, math.ceil(period / 1000))
    end
    remaining = remaining - 1
  end
  answers[#answers + 1] = string.format('%d %d %d %.0f', allowed, tightest, math.max(remaining, 0), wait)
  key, arg = key + count, arg + 1 + 2 * count
end
return table.concat(answers, ' ')
"""


class _Waiting(NamedTuple):
    budgets: Sequence[Budget]
    verdict: "asyncio.Future[Verdict]"


class RedisBudgets:
    """Counts in Redis for every control plane; calls that come while one question is under way share the next.

    Args:
        store: the Redis.
    """

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._script = store.client.register_script(_SCRIPT)
        self._waiting: list[_Waiting] = []
        self._sender: asyncio.Task[None] | None = None

    async def spend(self, budgets: Sequence[Budget]) -> Verdict:
        """Draw one call from each of these budgets, or from none; raises RedisDown."""
        verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(budgets, verdict))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())
        return await verdict

    async def close(self) -> None:
        """Ask nothing any more; who still waits is told that Redis is down."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    async def _send(self) -> None:
        batch: list[_Waiting] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                try:
                    answers = await self._ask(batch)
                except RedisDown as error:
                    _fail(batch, error)
                else:
                    _settle(batch, answers)
        finally:
            _fail([*batch, *self._waiting], RedisDown("Redis is asked nothing any more"))

    async def _ask(self, batch: list[_Waiting]) -> list[int]:
        keys: list[str] = []
        numbers: list[int] = []
        for waiting in batch:
            numbers.append(len(waiting.budgets))
            for budget in waiting.budgets:
                keys.append(_PREFIX + budget.key)
                numbers += (budget.limit, round(budget.period_s * 1_000_000))

        async def ask(client: Redis) -> list[int]:
            async with asyncio.timeout(ANSWER_SECONDS):
                answers: bytes = await self._script(keys=keys, args=[" ".join(map(str, numbers))], client=client)
                return [int(number) for number in answers.split()]

        return await self._store.call(ask)


def open_budgets(store: RedisStore | None) -> Budgets:
    """Give the budgets of this control plane: shared through Redis where there is one, else its own."""
    local = LocalBudgets()
    return FallbackBudgets(RedisBudgets(store), RedisDown, local) if store else local


def _settle(batch: list[_Waiting], answers: list[int]) -> None:
    for index, waiting in enumerate(batch):
        allowed, tightest, remaining, wait_us = answers[4 * index : 4 * index + 4]
        if not waiting.verdict.done():
            waiting.verdict.set_result(Verdict(bool(allowed), tightest, remaining, wait_us / 1_000_000))


def _fail(batch: list[_Waiting], error: RedisDown) -> None:
    for waiting in batch:
        if not waiting.verdict.done():
            waiting.verdict.set_exception(error)
