"""How often one region may be called: one bucket for every call, whichever way it goes.

Who goes over the limit is told to wait, is made to wait longer each time, and may be answered as if all were well while
nothing of his lands. So calls are spaced a little wider than the limit, and a wait that is asked for is kept.
"""

import asyncio
import time
from collections.abc import Callable

# Requests that leave in time may arrive closer together.
SPACING = 1.1
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 120.0
# A hint beyond this is no hint.
LONGEST_HINT_S = 600.0
# A call that is not urgent waits so long for one that is, seconds.
PATIENCE_S = 5.0
_LOOK_S = 0.02


class Limiter:
    """Tells when the next call may be made; no I/O.

    Args:
        per_second: calls a second.
    """

    def __init__(self, per_second: float, now: Callable[[], float] = time.monotonic) -> None:
        self._interval = SPACING / per_second
        self._now = now
        self._free_at = 0.0
        self._strikes = 0

    @property
    def wait_s(self) -> float:
        """In how many seconds a call may be made."""
        return max(0.0, self._free_at - self._now())

    def take(self) -> None:
        """Make a call now; only while `wait_s` is 0."""
        self._free_at = self._now() + self._interval

    def limited(self, hint_s: float | None) -> float:
        """Note that a call was refused as one too many.

        Args:
            hint_s: the wait that was asked for, if any.

        Returns: the seconds to wait from here.
        """
        pause = FIRST_PAUSE_S * float(2 ** min(self._strikes, 16))
        self._strikes += 1
        pause = min(pause, LONGEST_PAUSE_S)
        if hint_s is not None:
            pause = max(pause, min(hint_s, LONGEST_HINT_S))
        self._free_at = max(self._free_at, self._now() + pause)
        return pause

    def answered(self) -> None:
        """Note that a call was let through."""
        self._strikes = 0


class Gate:
    """Lets the calls of one region pass, each in its turn, the urgent first; who has waited long is urgent, too."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self._urgent, self._calm = asyncio.Lock(), asyncio.Lock()
        self._waiting = 0

    async def enter(self, *, urgent: bool = False) -> float:
        """Wait until a call may be made; give the seconds that it took."""
        begun = time.monotonic()
        if urgent or not await self._passed_calmly(begun + PATIENCE_S):
            await self._pass_urgently()
        return time.monotonic() - begun

    async def _passed_calmly(self, until: float) -> bool:
        async with self._calm:
            while not await self._waited(urgent=False):
                if time.monotonic() > until:
                    return False
            self.limiter.take()
            return True

    async def _pass_urgently(self) -> None:
        self._waiting += 1
        try:
            async with self._urgent:
                # Looked at again: a refusal meanwhile may ask for a longer wait.
                while not await self._waited(urgent=True):
                    continue
                self.limiter.take()
        finally:
            self._waiting -= 1

    async def _waited(self, *, urgent: bool) -> bool:
        wait = self.limiter.wait_s
        if wait <= 0 and (urgent or not self._waiting):
            return True
        await asyncio.sleep(max(wait, _LOOK_S))
        return False
