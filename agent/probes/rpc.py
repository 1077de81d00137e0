"""Time the JSON-RPC methods of a node, each once in its period, and a fresh connection to it.

Series: `solana_rpc_latency_seconds{method}` from the first byte sent to the last received, for each call that
got a JSON-RPC answer (an error is an answer); `solana_rpc_requests{method}` = 1 for each call that ended;
`solana_rpc_errors{method,class}` = 1 with the class `transport`, `timeout`, `http_<status>`, `jsonrpc_<code>`
(`jsonrpc_other` for a code outside JSON-RPC's range), `too_large` or `invalid`; `solana_rpc_skipped{method}` = 1
for a turn that was not taken: the last call was still in flight, or the node asked for fewer;
`solana_rpc_not_offered{method}` = 1 while the node is known not to offer the method;
`solana_rpc_connect_seconds`, `solana_rpc_connect_errors{class}` or `solana_rpc_connect_skipped`; and of the
connections that are kept `solana_rpc_connections{state}`, `solana_rpc_connections_opened` and
`solana_rpc_connections_dropped`.
"""

import asyncio
import heapq
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from time import perf_counter

from agent.probes.base import Series, Sink
from agent.probes.http1 import HttpTarget
from agent.probes.rpc_call import Call, NodeState
from agent.probes.rpc_methods import MAX_CALLS_PER_SECOND, RpcMethod, check_methods


@dataclass(frozen=True)
class RpcTarget:
    """What to probe.

    Attributes:
        connect_period_s: seconds between two fresh connections.
        timeout_s: seconds that a call may take, unless its method says otherwise.
        tells_slot: tell `solana_rpc_slot` by what getSlot answers, where no references are asked.
    """

    url: str
    methods: tuple[RpcMethod, ...]
    connect_period_s: float = 1.0
    timeout_s: float = 5.0
    max_calls_per_second: float = MAX_CALLS_PER_SECOND
    tells_slot: bool = False


class _Connect:
    """Times a fresh connection to the target, on a socket of its own that is closed at once."""

    def __init__(self, http: HttpTarget, period_s: float, timeout_s: float, sink: Sink) -> None:
        self.period_s = period_s
        self._http, self._timeout_s, self._sink = http, timeout_s, sink
        self._seconds = Series.of("solana_rpc_connect_seconds")
        self._skipped = Series.counting("solana_rpc_connect_skipped")
        self._kept = {state: Series.of("solana_rpc_connections", state=state) for state in ("idle", "busy")}
        self._opened = Series.counting("solana_rpc_connections_opened")
        self._dropped = Series.counting("solana_rpc_connections_dropped")

    def skip(self) -> None:
        """Count a turn that was not taken."""
        self._sink.sample(self._skipped, 1.0)

    async def measure(self) -> None:
        """Connect and record how it went; the look-up of the name is not counted."""
        pool = self._http.take_pool()
        self._sink.sample(self._kept["idle"], pool.idle)
        self._sink.sample(self._kept["busy"], pool.busy)
        self._sink.sample(self._opened, pool.opened)
        self._sink.sample(self._dropped, pool.dropped)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._http.resolve()
                begun = perf_counter()
                wire = await self._http.connect()
                self._sink.sample(self._seconds, perf_counter() - begun)
                wire.close()
        except TimeoutError:
            self._failed("timeout")
        except OSError:
            self._failed("transport")

    def _failed(self, kind: str) -> None:
        self._sink.sample(Series.counting("solana_rpc_connect_errors", **{"class": kind}), 1.0)


class RpcProbe:
    """Probes one node's JSON-RPC.

    Args:
        target: what to call, and when.
        tls: a context for https targets; by default the system's authorities are trusted.

    Raises:
        ValueError: for a URL that is not http or https, a method that is not probed, or more calls than the budget.
    """

    name = "rpc"

    def __init__(self, target: RpcTarget, tls: ssl.SSLContext | None = None) -> None:
        HttpTarget(target.url, tls)  # so that a bad URL is refused now, and not in `run`
        check_methods(target.methods, target.max_calls_per_second)
        self._target = target
        self._tls = tls

    async def run(self, sink: Sink) -> None:
        """Probe until cancelled."""
        target = self._target
        http, node = HttpTarget(target.url, self._tls), NodeState(tells_slot=target.tells_slot)
        turns: list[Call | _Connect] = [Call(http, one, target.timeout_s, node, sink) for one in target.methods]
        turns.append(_Connect(http, target.connect_period_s, target.timeout_s, sink))
        try:
            async with asyncio.TaskGroup() as group:
                await _in_turn(turns, group)
        finally:
            http.close()


async def _in_turn(turns: Sequence[Call | _Connect], group: asyncio.TaskGroup) -> None:
    """Start each once in its period, evenly staggered, on a schedule that does not drift.

    A call that is still in flight is skipped and counted. After the process was suspended the turns that were
    missed are dropped.
    """
    loop = asyncio.get_running_loop()
    begun, order = loop.time(), count()
    due = [(begun + one.period_s * index / len(turns), next(order), index) for index, one in enumerate(turns)]
    heapq.heapify(due)
    running: list[asyncio.Task[None] | None] = [None] * len(turns)
    while True:
        at, _, index = due[0]
        turn, now = turns[index], loop.time()
        if at > now:
            await asyncio.sleep(at - now)
        missed = max(0, int((now - at) / turn.period_s))
        heapq.heapreplace(due, (at + (missed + 1) * turn.period_s, next(order), index))
        last = running[index]
        if last is None or last.done():
            running[index] = group.create_task(turn.measure())
        else:
            turn.skip()
