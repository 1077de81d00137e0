"""Which table answers for which part of a range: the coarsest that the step allows, the finest that there is."""

from collections.abc import Set
from typing import Literal, NamedTuple

from controlplane.telemetry.store.layout import HOURS_OF_DAY, Layout
from controlplane.telemetry.store.model import DAY, HOUR, SECOND

Source = Literal["samples", "ten", "minute", "cold"]
# The least step that a source can give, ms.
FINEST: dict[Source, int] = {"samples": SECOND, "ten": 10_000, "minute": 60_000, "cold": 60_000}


class Part(NamedTuple):
    """A stretch of the range.

    Attributes:
        source: what answers.
        number: its hour (samples) or day since the epoch.
        begin: ms.
        end: ms, not within.
    """

    source: Source
    number: int
    begin: int
    end: int


class Plan(NamedTuple):
    """How a question is answered: the step that is used, the whole steps of the range, and its parts in order."""

    step: int
    begin: int
    end: int
    parts: list[Part]


def missing_days(layout: Layout, start: int, end: int) -> range:
    """Give the days, from the first to the last, of a range that are not in the hot store's tiers or fresh samples."""
    hot = layout.minute | {hour // HOURS_OF_DAY for hour in layout.heads}
    days = [day for day in range(start // DAY, -(-end // DAY)) if day not in hot]
    return range(days[0], days[-1] + 1) if days else range(0)


def make_plan(layout: Layout, cold: Set[int], start: int, end: int, step: int) -> Plan:
    """Plan a question; the step is widened to what all parts of the range can give.

    Args:
        layout: of the hot store.
        cold: the days that the cold store has of the metric.
        start: ms.
        end: ms, not within.
        step: that is asked for, ms.
    """
    while True:
        begin, after = start // step * step, -(-end // step) * step
        parts = _parts(layout, cold, begin, after, step)
        finest = max((FINEST[part.source] for part in parts), default=SECOND)
        if step % finest == 0:
            return Plan(step, begin, after, parts)
        step = -(-step // finest) * finest


def _parts(layout: Layout, cold: Set[int], begin: int, end: int, step: int) -> list[Part]:
    parts: list[Part] = []
    for hour in range(begin // HOUR, -(-end // HOUR)):
        source = _source(layout, cold, hour, step)
        if source is None:
            continue
        number = hour if source == "samples" else hour // HOURS_OF_DAY
        part = Part(source, number, max(begin, hour * HOUR), min(end, (hour + 1) * HOUR))
        if parts and parts[-1][:2] == (source, number) and parts[-1].end == part.begin:
            parts[-1] = parts[-1]._replace(end=part.end)
        else:
            parts.append(part)
    return parts


def _source(layout: Layout, cold: Set[int], hour: int, step: int) -> Source | None:
    # What is not rolled up yet is in the samples alone.
    if hour in layout.heads:
        return "samples"
    day = hour // HOURS_OF_DAY
    if step % FINEST["minute"] == 0 and day in layout.minute:
        return "minute"
    if step % FINEST["ten"] == 0 and day in layout.ten:
        return "ten"
    if layout.sorted_samples(hour):
        return "samples"
    if hour >= layout.floor and day in layout.minute:
        # Nothing came in it; the tiers are of its day's other hours.
        return None
    if day in layout.ten:
        return "ten"
    if day in layout.minute:
        return "minute"
    return "cold" if day in cold else None
