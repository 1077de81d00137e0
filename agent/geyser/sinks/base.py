"""What the kinds of sink have in common: what a look tells, how one fails, and what looking may cost."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final, NamedTuple, Protocol

from agent.geyser.settings import BudgetSettings
from agent.probes.base import Series

WINDOW_S: Final = 60.0
# What is looked at seldom, since it costs more: sizes.
SELDOM_S: Final = 60.0


class SinkFailed(Exception):
    """A sink that could not be asked.

    Attributes:
        kind: the class of the failure: unreachable, timeout, tls, auth, not_allowed, missing, busy, full, too_large,
            answer or other.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Told:
    """What a look gives to tell of one sink."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.samples: list[tuple[Series, float]] = []
        self.errors: dict[str, int] = {}
        self.troubles: list[str] = []

    def state(self, name: str, value: float | int | None, **labels: str) -> None:
        """Tell how something stands; of what is not known, nothing."""
        if value is not None:
            self.samples.append((Series.of(f"geyser_sink_{name}", source=self._source, **labels), float(value)))

    def count(self, name: str, times: float, **labels: str) -> None:
        """Tell how often something happened."""
        if times:
            self.samples.append((Series.counting(f"geyser_sink_{name}", source=self._source, **labels), float(times)))

    def trouble(self, kind: str, message: str) -> None:
        """Note that a part of the look failed; it is told by its class, and its message logged once."""
        self.errors[kind] = self.errors.get(kind, 0) + 1
        self.troubles.append(message)


class SinkSource(Protocol):
    """One sink that can be looked at; one connection, and one look at a time."""

    async def look(self, told: Told) -> None:
        """Look once; raises SinkFailed where the sink cannot be asked."""

    async def close(self) -> None:
        """Let the connection go."""


class Budget:
    """What looking at a sink may cost it: queries, and seconds of them, within a minute.

    Args:
        now: a clock that only goes on, in seconds.
    """

    def __init__(self, wanted: BudgetSettings, now: Callable[[], float] = monotonic) -> None:
        self._wanted = wanted
        self._now = now
        self._spent: deque[tuple[float, float]] = deque()

    @contextmanager
    def query(self) -> Iterator[None]:
        """Count a query and how long it took, also where it fails."""
        begun = self._now()
        try:
            yield
        finally:
            ended = self._now()
            self._spent.append((ended, ended - begun))

    def wait_s(self) -> float:
        """Say in how many seconds the next look may begin: 0 while the last minute's are within the budget."""
        now = self._now()
        while self._spent and self._spent[0][0] <= now - WINDOW_S:
            self._spent.popleft()
        queries, seconds = len(self._spent), sum(took for _, took in self._spent)
        if self._within(queries, seconds):
            return 0.0
        for ended, took in self._spent:
            queries, seconds = queries - 1, seconds - took
            if self._within(queries, seconds):
                return ended + WINDOW_S - now
        return WINDOW_S

    def _within(self, queries: int, seconds: float) -> bool:
        return queries < self._wanted.queries_per_minute and seconds < self._wanted.seconds_per_minute


class Rate:
    """Counters that only go up, by name; of one that was set back nothing is said until the next look."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float]] = {}

    def more(self, name: str, count: float, now: float) -> "More | None":
        """Take a counter; give what came since the last look."""
        last = self._last.get(name)
        self._last[name] = (count, now)
        if last is None or count < last[0] or now <= last[1]:
            return None
        return More(count - last[0], now - last[1])


class More(NamedTuple):
    """By how much a counter grew, and in how many seconds."""

    amount: float
    seconds: float

    @property
    def rate(self) -> float:
        """How much a second."""
        return self.amount / self.seconds
