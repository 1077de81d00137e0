"""Retention: which tables are older than they are kept."""

from typing import NamedTuple

from controlplane.telemetry.store.layout import HOURS_OF_DAY, Layout
from controlplane.telemetry.store.model import HOUR
from controlplane.telemetry.store.settings import Retention


class Old(NamedTuple):
    """What may go: tables, and the first hour of which samples are still taken then."""

    tables: list[str]
    floor: int


def old(kept: Retention, layout: Layout, exported: set[int], now_ms: int) -> Old:
    """Find what is older than it is kept; minutes wait until the cold has them.

    Args:
        kept: for how long.
        layout: the tables.
        exported: the days that the cold has.
        now_ms: the time.
    """
    hour = now_ms // HOUR
    today = hour // HOURS_OF_DAY
    fresh = {head // HOURS_OF_DAY for head in layout.heads}
    raw = {one for one in layout.raw - layout.heads.keys() if one < hour - kept.raw_hours}
    packed = {day for day in layout.packed - fresh if (day + 1) * HOURS_OF_DAY <= hour - kept.raw_hours}
    used = {one // HOURS_OF_DAY for one in layout.raw - raw} | (layout.packed - packed) | fresh
    ten = {day for day in layout.ten - used if day < today - kept.ten_seconds_days}
    minute = {day for day in (layout.minute & exported) - (layout.ten - ten) - used if day < today - kept.minute_days}
    tables = [f"raw_{one}" for one in sorted(raw)] + [f"packed_{day}" for day in sorted(packed)]
    tables += [f"ten_{day}" for day in sorted(ten)] + [f"minute_{day}" for day in sorted(minute)]
    first = max([one + 1 for one in raw] + [(day + 1) * HOURS_OF_DAY for day in packed], default=0)
    return Old(tables, first)
