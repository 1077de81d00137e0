"""What an RPC node says of recent priority fees, asked seldom: gates and bundles depend on the same node."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from common.errors import SolwardError
from controlplane.operations.outside import OutsideView

# An answer holds for so long; blocks come every 0.4 s, and percentiles are over 150 of them.
KEPT_S, MOST_KEPT = 2.0, 64
# Questions in a second, of all callers together.
MOST_A_SECOND = 3


class RecentFees:
    """Asks, and keeps what was answered for a while.

    Args:
        outside: the node.
        clock: monotonic, in seconds.
    """

    def __init__(self, outside: OutsideView, clock: Callable[[], float] = time.monotonic) -> None:
        self._outside = outside
        self._clock = clock
        self._kept: dict[tuple[str, ...], tuple[float, Any]] = {}
        self._asked: deque[float] = deque(maxlen=MOST_A_SECOND)

    async def of(self, accounts: Sequence[str]) -> Any:
        """Give the result of getRecentPrioritizationFees for writable accounts, of the last two seconds.

        Raises: OutsideTrouble; SolwardError RATE_LIMITED.
        """
        key, now = tuple(sorted(accounts)), self._clock()
        told_at, answer = self._kept.get(key, (-KEPT_S, None))
        if now - told_at < KEPT_S:
            return answer
        if len(self._asked) == MOST_A_SECOND and now - self._asked[0] < 1.0:
            raise SolwardError(
                grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED",
                f"the node is asked about fees {MOST_A_SECOND} times a second at the most, by all callers together",
                retry_after_s=1.0,
            )  # fmt: skip
        self._asked.append(now)
        answer = await self._outside.call("getRecentPrioritizationFees", list(key))
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = (now, answer)
        return answer
