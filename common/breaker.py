"""A circuit breaker: a peer that fails is left alone for a while, longer each time, and then tried with one call."""

import random
import time
import weakref
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]
# Every breaker of this process, so that how they stand can be shown.
_ALL: "weakref.WeakSet[Breaker]" = weakref.WeakSet()


class BreakerOpen(Exception):
    """The call was not made: the peer failed too often, and is tried again after `retry_s` seconds."""

    def __init__(self, name: str, retry_s: float) -> None:
        super().__init__(f"{name} failed too often and is left alone for {retry_s:.0f} s more")
        self.retry_s = retry_s


class Breaker:
    """Counts failures in a row; opens at a number of them.

    Args:
        name: whom it guards, for messages.
        failures: how many in a row open it.
        first_s: seconds that it stays open the first time; doubled each time, with jitter, up to `longest_s`.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        first_s: float = 1.0,
        longest_s: float = 60.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._allowed = failures
        self._first_s = first_s
        self._longest_s = longest_s
        self._now = now
        self._failed = self._opened = self._asked = 0
        self._until = 0.0
        _ALL.add(self)

    @property
    def failures(self) -> int:
        """How many calls failed in a row."""
        return self._failed

    @property
    def retry_s(self) -> float:
        """While it is open: in how many seconds it is tried again."""
        return max(0.0, self._until - self._now()) if self.state == "open" else 0.0

    @property
    def state(self) -> State:
        """Where it stands: closed lets calls pass, half-open lets one pass."""
        if self._failed < self._allowed:
            return "closed"
        return "open" if self._now() < self._until else "half-open"

    def before(self) -> None:
        """Ask to make a call; raises BreakerOpen."""
        self._asked += 1
        state = self.state
        if state == "open":
            raise BreakerOpen(self.name, self.retry_s)
        if state == "half-open":
            # Others wait for this one's end, but not for ever: it may never come.
            self._until = self._now() + self._first_s

    def succeeded(self) -> None:
        """Note that a call went well."""
        self._failed = self._opened = 0

    def failed(self) -> None:
        """Note that a call failed."""
        self._failed += 1
        if self._failed >= self._allowed:
            wait_s = min(self._longest_s, self._first_s * 2 ** min(self._opened, 16))
            self._until = self._now() + wait_s * random.uniform(0.8, 1.2)  # noqa: S311
            self._opened += 1

    def close(self) -> None:
        """Forget it: whoever made the calls is closed, and how it stood says nothing any more."""
        _ALL.discard(self)

    @property
    def used(self) -> bool:
        """Whether a call was ever asked for."""
        return self._asked > 0


def breakers() -> list[Breaker]:
    """List the breakers of this process that were used, by name."""
    return sorted((one for one in list(_ALL) if one.used), key=lambda one: one.name)
