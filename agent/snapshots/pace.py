"""How fast a long reading goes, who hears of it, and how it is stopped."""

import time
from collections.abc import Callable

# What was not used of the limit is saved for this long only, so that a stall is not followed by a flood.
BURST_S = 0.25
# While it waits it looks this often whether it is to stop.
NAP_S = 0.2
PROGRESS_S = 1.0


class Stopped(Exception):
    """The work was stopped because stop() said so."""


class Pace:
    """Limits bytes per second, tells of the progress once a second, and looks whether to stop.

    Args:
        limit: bytes per second; 0 for no limit.
        progress: called with the bytes done and the bytes in all.
        stop: asked at each step; once it says True the step raises Stopped.
        clock: seconds that only grow.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        limit: int = 0,
        progress: Callable[[int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if limit < 0:
            raise ValueError("a limit of bytes per second is 0 (none) or more")
        self._limit, self._progress, self._stop = limit, progress, stop
        self._clock, self._sleep = clock, sleep
        self._done = self._total = 0
        self._due = self._told = clock()

    def begin(self, total: int) -> None:
        """Begin a work of so many bytes; raises Stopped."""
        self._done, self._total = 0, total
        self._due = self._told = self._clock()
        self._look()

    def step(self, count: int) -> None:
        """Account for bytes that were read, and wait until they were allowed to be; raises Stopped."""
        self._done += count
        self._look()
        if self._limit:
            self._due = max(self._due, self._clock() - BURST_S) + count / self._limit
            while (wait := self._due - self._clock()) > 0:
                self._sleep(min(wait, NAP_S))
                self._look()

    def _look(self) -> None:
        if self._stop is not None and self._stop():
            raise Stopped
        now = self._clock()
        if self._progress is not None and now - self._told >= PROGRESS_S:
            self._told = now
            self._progress(self._done, self._total)
