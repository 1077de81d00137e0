"""Retention: how long each tier is kept, and which tables are older."""

from typing import Annotated, NamedTuple

from pydantic import BaseModel, Field, model_validator

from controlplane.telemetry.store.layout import HOURS_OF_DAY, Layout
from controlplane.telemetry.store.model import HOUR


class Old(NamedTuple):
    """What may go: tables, and the first hour of which samples are still taken then."""

    tables: list[str]
    floor: int


class Retention(BaseModel, extra="forbid"):
    """How long samples are kept hot; the cold keeps minutes for ever."""

    raw_hours: Annotated[int, Field(ge=1, le=24 * 90)] = 48
    ten_seconds_days: Annotated[int, Field(ge=1, le=90)] = 14
    minute_days: Annotated[int, Field(ge=2, le=3660)] = 90

    @model_validator(mode="after")
    def _coarser_is_longer(self) -> "Retention":
        if not self.raw_hours <= (self.ten_seconds_days - 1) * HOURS_OF_DAY or self.ten_seconds_days > self.minute_days:
            raise ValueError(
                "a coarser tier must be kept at least a day longer than the samples, and than a finer tier"
            )
        return self

    def old(self, layout: Layout, exported: set[int], now_ms: int) -> Old:
        """Find what is older than it is kept; minutes wait until the cold has them.

        Args:
            layout: the tables.
            exported: the days that the cold has.
            now_ms: the time.
        """
        hour = now_ms // HOUR
        today = hour // HOURS_OF_DAY
        fresh = {head // HOURS_OF_DAY for head in layout.heads}
        raw = {one for one in layout.raw - layout.heads.keys() if one < hour - self.raw_hours}
        packed = {day for day in layout.packed - fresh if (day + 1) * HOURS_OF_DAY <= hour - self.raw_hours}
        used = {one // HOURS_OF_DAY for one in layout.raw - raw} | (layout.packed - packed) | fresh
        ten = {day for day in layout.ten - used if day < today - self.ten_seconds_days}
        minute = {
            day for day in (layout.minute & exported) - (layout.ten - ten) - used if day < today - self.minute_days
        }
        tables = [f"raw_{one}" for one in sorted(raw)] + [f"packed_{day}" for day in sorted(packed)]
        tables += [f"ten_{day}" for day in sorted(ten)] + [f"minute_{day}" for day in sorted(minute)]
        first = max([one + 1 for one in raw] + [(day + 1) * HOURS_OF_DAY for day in packed], default=0)
        return Old(tables, first)
