"""Budgets of calls: so many within any period of a length (a moving window, exact), in process or shared."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from limits import parse
from prometheus_client import Gauge

log = structlog.get_logger(__name__)

# How many budgets one process remembers; the one that was not drawn from for longest goes first.
MOST_KEPT = 100_000
_ALONE = Gauge(
    "solward_rate_limits_not_shared", "1 while Redis does not answer, and each control plane counts calls for itself."
)


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be drawn from one budget.

    Args:
        key: names it among all.
        limit: how many calls within any `period_s` seconds.
        period_s: the length of the window.
        text: the rate, for people.
    """

    key: str
    limit: int
    period_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call was paid for, and how the tightest of its budgets stands.

    Args:
        allowed: whether every budget had room; otherwise nothing was drawn from any.
        tightest: the index of the budget that refused, or else of the one with the least left.
        remaining: calls left in that budget.
        wait_s: refused: until a call may succeed; allowed: until that budget gets its oldest call back.
    """

    allowed: bool
    tightest: int
    remaining: int
    wait_s: float


class Budgets(Protocol):
    """Where calls are counted."""

    async def spend(self, budgets: Sequence[Budget]) -> Verdict:
        """Draw one call from each of these budgets, or from none."""

    async def close(self) -> None:
        """Count nothing any more."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate as settings write it, "10/minute"; makes the budgets of those who share it."""

    limit: int
    period_s: float
    text: str

    @classmethod
    def of(cls, text: str) -> "Rate":
        """Read a rate; ValueError where it is none."""
        item = parse(text)
        return cls(item.amount, float(item.get_expiry()), str(item))

    def budget(self, key: str) -> Budget:
        """Make the budget of one key."""
        return Budget(key, self.limit, self.period_s, self.text)


class LocalBudgets:
    """Counts in this process; holds at most `most` budgets.

    Args:
        most: how many are remembered.
        now: seconds of a clock that never goes back.
    """

    def __init__(self, most: int = MOST_KEPT, now: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._now = now
        self._spent: OrderedDict[str, deque[float]] = OrderedDict()

    async def spend(self, budgets: Sequence[Budget]) -> Verdict:
        """Draw one call from each of these budgets, or from none."""
        now = self._now()
        windows = [self._window(budget, now) for budget in budgets]
        for index, (budget, window) in enumerate(zip(budgets, windows, strict=True)):
            if len(window) >= budget.limit:
                return Verdict(False, index, 0, _wait(budget, window, now))
        for window in windows:
            window.append(now)
        left = [budget.limit - len(window) for budget, window in zip(budgets, windows, strict=True)]
        tightest = left.index(min(left))
        return Verdict(True, tightest, left[tightest], _wait(budgets[tightest], windows[tightest], now))

    async def close(self) -> None:
        """Forget everything."""
        self._spent.clear()

    def _window(self, budget: Budget, now: float) -> deque[float]:
        window = self._spent.setdefault(budget.key, deque())
        self._spent.move_to_end(budget.key)
        while len(self._spent) > self._most:
            self._spent.popitem(last=False)
        while window and window[0] <= now - budget.period_s:
            window.popleft()
        return window


class FallbackBudgets:
    """Counts in a shared place, and in this process while that does not answer: limits go on, and it is said.

    Args:
        shared: raises `down` while it does not answer.
        down: what it raises.
        local: counts meanwhile.
    """

    def __init__(self, shared: Budgets, down: type[Exception], local: Budgets) -> None:
        self._shared = shared
        self._down = down
        self._local = local
        self._alone = False
        _ALONE.set(0)

    async def spend(self, budgets: Sequence[Budget]) -> Verdict:
        """Draw one call from each of these budgets, or from none."""
        try:
            verdict = await self._shared.spend(budgets)
        except self._down as error:
            if not self._alone:
                self._alone = True
                _ALONE.set(1)
                log.error("rate limits are not shared: each control plane counts for itself", why=str(error))
            return await self._local.spend(budgets)
        if self._alone:
            self._alone = False
            _ALONE.set(0)
            log.warning("rate limits are shared again")
        return verdict

    async def close(self) -> None:
        """Count nothing any more."""
        await self._shared.close()
        await self._local.close()


def _wait(budget: Budget, window: deque[float], now: float) -> float:
    # A sum of floating numbers may be a little more than the period itself.
    return min(budget.period_s, max(0.0, window[0] + budget.period_s - now)) if window else 0.0
