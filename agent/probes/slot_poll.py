"""Ask a node for its slot, again and again: where no subscription tells of its slots, this does, less sharply.

It tells nothing itself; what it sees goes to the board of slots. A slot came at some time between two answers: the
middle is noted, so that it is off by half a period at the most.
"""

import asyncio
import random
import time
from typing import Final

from agent.geyser.board import SlotBoard
from agent.probes.base import Sink
from agent.probes.http1 import HttpTarget
from agent.probes.rpc_call import exchange, slot_of
from common.breaker import Breaker, BreakerOpen

PERIOD_S: Final = 0.2
_TIMEOUT_S: Final = 2.0
_LIMIT: Final = 64 * 1024
_BODY: Final = b'{"jsonrpc":"2.0","id":1,"method":"getSlot","params":[{"commitment":"processed"}]}'


class SlotPoll:
    """Polls one node.

    Args:
        url: of its JSON-RPC.
        board: where its slots are noted.
    """

    name = "slot poll"

    def __init__(self, url: str, board: SlotBoard, *, period_s: float = PERIOD_S) -> None:
        self._http = HttpTarget(url)
        self._board = board
        self._period_s = period_s
        self._breaker = Breaker("slot poll", failures=3, longest_s=30.0)

    async def run(self, sink: Sink) -> None:
        """Poll until cancelled."""
        request = self._http.request(_BODY)
        last_at: float | None = None
        try:
            while True:
                await asyncio.sleep(self._period_s * random.uniform(0.9, 1.1))  # noqa: S311
                last_at = await self._ask(request, last_at)
        finally:
            self._http.close()
            self._breaker.close()

    async def _ask(self, request: bytes, last_at: float | None) -> float | None:
        """Ask once; give when it was answered, None where it was not."""
        try:
            self._breaker.before()
        except BreakerOpen as open_:
            await asyncio.sleep(open_.retry_s)
            return None
        failed, answer = await exchange(self._http, request, _TIMEOUT_S, _LIMIT)
        now = time.monotonic()
        slot = slot_of(answer.body) if answer and not failed else None
        if slot is None:
            self._breaker.failed()
            return None
        self._breaker.succeeded()
        # After a pause nothing is known of when a slot came.
        if last_at is not None and now - last_at < 3 * self._period_s:
            self._board.told(slot, (last_at + now) / 2)
        return now
