"""What every telemetry store takes and gives: series, batches of samples, questions and their answers."""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Labels = tuple[tuple[str, str], ...]

# The most numbers of one answer, and the most series that one question may ask for.
MAX_POINTS = 5_000_000
MAX_ASKED_SERIES = 20_000
SECOND, HOUR, DAY = 1_000, 3_600_000, 86_400_000
LONGEST_RANGE = 3660 * DAY
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}")

Operator = Literal["=", "!=", "=~", "!~"]
OPERATORS: tuple[Operator, ...] = ("=", "!=", "=~", "!~")
Kind = Literal["avg", "sum", "count", "min", "max", "last", "quantile"]
KINDS: tuple[Kind, ...] = ("avg", "sum", "count", "min", "max", "last", "quantile")


class StoreDown(Exception):
    """Samples could not be written or read now; later it may do."""


class QueryRefused(ValueError):
    """A question that no store answers; the message says why."""


class SeriesKey(NamedTuple):
    """What a series is: a metric's name, and labels in order of their names, `host` among them."""

    name: str
    labels: Labels


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples as columns, side by side.

    Attributes:
        series: ids of the store's book, int32.
        times: milliseconds since the epoch, int64.
        values: float64.
    """

    series: NDArray[np.int32]
    times: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    def __post_init__(self) -> None:
        if not len(self.series) == len(self.times) == len(self.values):
            raise ValueError("series, times and values of a batch must be of one length")


class Matcher(NamedTuple):
    """Which series are meant, by one label; a label that a series lacks is as an empty one."""

    label: str
    op: Operator
    value: str


class Aggregation(NamedTuple):
    """What is made of the samples of one step; `share` is a quantile's, 0 to 1."""

    kind: Kind
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Frame:
    """The answer to a question, as columns.

    Attributes:
        series: one for each row; those without a sample in the whole range are left out.
        times: when each step begins, milliseconds since the epoch.
        values: shape (series, times); NaN where a step holds no sample.
        step_ms: the step that was used: wider than asked for where samples are kept less finely.
    """

    series: list[SeriesKey]
    times: Ints
    values: Floats
    step_ms: int


class Book(Protocol):
    """Gives series their ids."""

    def intern(self, host: str, name: str, labels: dict[str, str]) -> int | None:
        """Give a series' id, a new one where it has none; None: it is not stored."""


class SampleStore(Protocol):
    """Keeps samples and answers questions about them."""

    @property
    def book(self) -> Book:
        """Where series get their ids."""

    async def append(self, batch: Batch) -> None:
        """Write samples durably; raises StoreDown, and then the batch may be given again."""

    async def query_range(
        self, name: str, matchers: list[Matcher], start: int, end: int, step: int, aggregation: Aggregation
    ) -> Frame:
        """Ask for a metric over a range of time.

        Steps begin at whole multiples of `step` since the epoch; the first holds `start`, the last what is before
        `end`.

        Args:
            name: the metric's.
            matchers: all of them must hold.
            start: milliseconds since the epoch.
            end: milliseconds since the epoch, not in the range itself.
            step: milliseconds, at least a second.
            aggregation: what is made of each step of each series.

        Raises QueryRefused and StoreDown.
        """

    async def maintain(self) -> None:
        """Do what is due: roll up, keep in the cold, let go; raises StoreDown."""

    async def restore(self, day: int) -> int:
        """Take a day (since the epoch) back from the cold: give how many minutes of series.

        Raises QueryRefused where that cannot be, and StoreDown.
        """

    async def close(self) -> None:
        """Finish what is being written, and let go of everything."""


def check_question(
    name: str, matchers: list[Matcher], start: int, end: int, step: int, aggregation: Aggregation
) -> None:
    """Refuse a question that makes no sense or would give too much; raises QueryRefused."""
    if not NAME.fullmatch(name):
        raise QueryRefused(f"{name[:200]!r} cannot be the name of a metric")
    for label, op, _ in matchers:
        if not NAME.fullmatch(label) or op not in OPERATORS:
            raise QueryRefused(f"no series can be chosen by {f'{label}{op}'[:200]!r}")
    if step < SECOND:
        raise QueryRefused(f"a step of {step} ms is less than a second")
    if not 0 <= start < end <= 2**53:
        raise QueryRefused("a range must begin before it ends, and not before 1970")
    if end - start > LONGEST_RANGE:
        raise QueryRefused("a range of more than ten years")
    if (end - start) / step > MAX_POINTS:
        raise QueryRefused(f"more than {MAX_POINTS:,} steps; take a wider one")
    if aggregation.kind not in KINDS:
        raise QueryRefused(f"no such aggregation: {aggregation.kind!r}; there are {', '.join(KINDS)}")
    if aggregation.kind == "quantile" and not 0 <= aggregation.share <= 1:
        raise QueryRefused("a quantile is asked for as a share from 0 to 1")


def check_size(series: int, steps: int) -> None:
    """Refuse an answer that would be too large; raises QueryRefused."""
    if series > MAX_ASKED_SERIES:
        raise QueryRefused(f"{series:,} series match, more than {MAX_ASKED_SERIES:,}; ask for fewer")
    if series * steps > MAX_POINTS:
        raise QueryRefused(f"{series:,} series of {steps:,} steps are more than {MAX_POINTS:,} numbers; widen the step")
