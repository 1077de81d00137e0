"""How far a node is behind the cluster, by the word of several nodes outside.

Each round asks the node and every reference for its slot at the same moment. Series: `solana_rpc_slot` of the node;
`solana_rpc_reference_slot` that a majority of the references stands for; `solana_rpc_slot_lag`, the one less the other
(below 0 where the node is ahead); `solana_rpc_monitor_reliable`, 1 where a majority answers and agrees, else 0, and
then nothing is said of the lag, since a reference that fails says nothing about the node; and
`solana_rpc_reference_errors{reference,class}` with the number of the reference, whose URL may hold a key.

As agave-watchtower does: one reference or three, and more than half of them decide.
"""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from agent.probes.base import Series, Sink
from agent.probes.http1 import HttpTarget
from agent.probes.rpc_call import exchange, slot_of

# Public nodes are many hops away, and some are a few slots apart.
AGREE_SLOTS: Final = 50
_LIMIT: Final = 64 * 1024
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 120.0
_BODY: Final = b'{"jsonrpc":"2.0","id":1,"method":"getSlot","params":[{"commitment":"confirmed"}]}'


@dataclass(frozen=True)
class References:
    """Whom a node is measured against.

    Attributes:
        urls: of one or three nodes outside.
        period_s: seconds between two rounds.
        timeout_s: seconds that an answer may take.
        agree_slots: how far apart two references may be and still agree.
    """

    urls: tuple[str, ...]
    period_s: float = 2.0
    timeout_s: float = 5.0
    agree_slots: int = AGREE_SLOTS


class _Asked:
    """One node that is asked for its slot; left alone for a while after it failed, longer each time."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._http = HttpTarget(url)
        self._request = self._http.request(_BODY)
        self._timeout_s = timeout_s
        self._pause_s, self._quiet_until = _FIRST_PAUSE_S, 0.0

    async def slot(self) -> int | str | None:
        """Ask now: its slot, the class of the failure, or None while it is left alone."""
        if monotonic() < self._quiet_until:
            return None
        found, wait_s = await self._ask()
        if isinstance(found, int):
            self._pause_s = _FIRST_PAUSE_S
        else:
            self._quiet_until = monotonic() + (self._pause_s if wait_s is None else min(wait_s, _LONGEST_PAUSE_S))
            self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)
        return found

    async def _ask(self) -> tuple[int | str, float | None]:
        failure, answer = await exchange(self._http, self._request, self._timeout_s, _LIMIT)
        if answer is None or failure is not None:
            return failure or "invalid", answer.retry_after_s if answer else None
        slot = slot_of(answer.body)
        return ("invalid" if slot is None else slot), None

    def close(self) -> None:
        self._http.close()


class ReferenceProbe:
    """Measures one node against references.

    Args:
        url: the node's JSON-RPC.
        references: whom it is measured against.

    Raises:
        ValueError: for a URL that is not http or https.
    """

    name = "reference"

    def __init__(self, url: str, references: References) -> None:
        self._own = _Asked(url, references.timeout_s)
        self._others = [_Asked(one, references.timeout_s) for one in references.urls]
        self._references = references

    async def run(self, sink: Sink) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                await self._round(sink)
                due = max(due + self._references.period_s, loop.time())
                await asyncio.sleep(due - loop.time())
        finally:
            for one in (self._own, *self._others):
                one.close()

    async def _round(self, sink: Sink) -> None:
        own, *others = await asyncio.gather(*(one.slot() for one in (self._own, *self._others)))
        for number, found in enumerate(others):
            if isinstance(found, str):
                labels = {"reference": str(number), "class": found}
                sink.sample(Series.counting("solana_rpc_reference_errors", **labels), 1.0)
        slots = [found for found in others if isinstance(found, int)]
        reference = majority(slots, len(others), self._references.agree_slots)
        sink.sample(Series.of("solana_rpc_monitor_reliable"), float(reference is not None))
        if isinstance(own, int):
            sink.sample(Series.of("solana_rpc_slot"), float(own))
        if reference is not None:
            sink.sample(Series.of("solana_rpc_reference_slot"), float(reference))
            if isinstance(own, int):
                sink.sample(Series.of("solana_rpc_slot_lag"), float(reference - own))


def majority(slots: Sequence[int], asked: int, agree_slots: int) -> int | None:
    """Give the slot that more than half of those asked stand for; None where there is no such majority.

    Args:
        slots: the answers that came.
        asked: how many were asked.
        agree_slots: how far apart the slots of a majority may be.

    Returns: the median of the largest group that agrees, the higher one where two are as large.
    """
    ordered = sorted(slots, reverse=True)
    groups = [[slot for slot in ordered if 0 <= top - slot <= agree_slots] for top in ordered]
    largest = max(groups, key=len, default=[])
    return statistics.median_high(largest) if len(largest) > asked // 2 else None
