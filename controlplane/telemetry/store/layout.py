"""How the hot store's tables lie: fresh samples by hour as they came, then sorted, and two coarser tiers by day.

| table | holds |
|---|---|
| `head_HOUR_TURN` | samples as they came, not yet rolled up; a new turn for what comes while one is being rolled up |
| `raw_HOUR` | the samples of a closed hour, sorted, each once |
| `packed_DAY` | the samples of a closed day, but for hours that have a `raw_HOUR`; so they take a third of the room |
| `ten_DAY`, `minute_DAY` | 10 s and 1 min of every series: sum, count, least, greatest, last, sketch |
| `series`, `seen` | the book; on which days a series had samples |
| `exported` | days that are in the cold as they are here |
| `floor` | the first hour of which no samples were let go, and of which some are still taken |

HOUR and DAY count from the epoch. A table is made, and replaced, within one transaction, so that at every moment the
list of tables says what there is.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import duckdb

from controlplane.telemetry.store.model import DAY, HOUR
from controlplane.telemetry.store.sketch import bucket_sql

WIDTHS = {"ten": 10_000, "minute": 60_000}
HOURS_OF_DAY = DAY // HOUR

_BASE = """
CREATE TABLE IF NOT EXISTS series (series INTEGER NOT NULL, name VARCHAR NOT NULL, labels VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS seen (day INTEGER NOT NULL, series INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS exported (day INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS floor (hour INTEGER NOT NULL);
"""
SAMPLE_COLUMNS = "series INTEGER NOT NULL, time BIGINT NOT NULL, value DOUBLE NOT NULL"
TIER_COLUMNS = (
    "series INTEGER NOT NULL, time BIGINT NOT NULL, sum DOUBLE NOT NULL, count UINTEGER NOT NULL, "
    "min DOUBLE NOT NULL, max DOUBLE NOT NULL, last DOUBLE NOT NULL, buckets SMALLINT[] NOT NULL, "
    "counts UINTEGER[] NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The tables that there are.

    Attributes:
        heads: for each hour the turns of its fresh samples.
        raw: hours.
        packed: days.
        ten: days.
        minute: days.
        floor: the first hour of which no samples were let go.
    """

    heads: dict[int, list[int]] = field(default_factory=dict)
    raw: set[int] = field(default_factory=set)
    packed: set[int] = field(default_factory=set)
    ten: set[int] = field(default_factory=set)
    minute: set[int] = field(default_factory=set)
    floor: int = 0

    def sorted_samples(self, hour: int) -> list[str]:
        """Name the tables that hold what is rolled up of an hour; one of them may hold other hours too."""
        if hour in self.raw:
            return [f"raw_{hour}"]
        return [f"packed_{hour // HOURS_OF_DAY}"] if hour // HOURS_OF_DAY in self.packed else []

    def samples(self, hour: int) -> list[str]:
        """Name the tables that hold the samples of an hour; one of them may hold other hours too."""
        return self.sorted_samples(hour) + self.fresh(hour)

    def fresh(self, hour: int) -> list[str]:
        """Name the tables that hold what is not rolled up of an hour."""
        return [f"head_{hour}_{turn}" for turn in self.heads.get(hour, ())]


def make_tables(cursor: duckdb.DuckDBPyConnection) -> None:
    """Make the tables that are always there."""
    cursor.execute(_BASE)


def read_layout(cursor: duckdb.DuckDBPyConnection) -> Layout:
    """List the tables, as the cursor's transaction sees them."""
    layout = Layout(floor=cursor.execute("SELECT coalesce(max(hour), 0) FROM floor").fetchall()[0][0])
    for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables() ORDER BY table_name").fetchall():
        kind, *numbers = name.split("_")
        if kind == "head":
            layout.heads.setdefault(int(numbers[0]), []).append(int(numbers[1]))
        elif kind in {"raw", "packed", "ten", "minute"}:
            getattr(layout, kind).add(int(numbers[0]))
    return layout


@contextmanager
def transaction(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Run the block as one: all of it, or nothing."""
    cursor.begin()
    try:
        yield
    except BaseException:
        # What is broken so far that it cannot be undone was never written.
        with suppress(duckdb.Error):
            cursor.rollback()
        raise
    cursor.commit()


def rolled_sql(source: str, width: int) -> str:
    """Say what a tier holds of a table of samples: rows by series and time.

    Args:
        source: what follows FROM.
        width: of the tier, ms.
    """
    return f"""
        SELECT series, time, sum(sum) AS sum, sum(count)::UINTEGER AS count, min(min) AS min, max(max) AS max,
               arg_max(last, last_time) AS last, list(bucket ORDER BY bucket) AS buckets,
               list(count ORDER BY bucket) AS counts
        FROM (
            SELECT series, time // {width} * {width} AS time, {bucket_sql("value")} AS bucket, sum(value) AS sum,
                   count(*)::UINTEGER AS count, min(value) AS min, max(value) AS max,
                   arg_max(value, time) AS last, max(time) AS last_time
            FROM {source} GROUP BY ALL
        )
        GROUP BY series, time ORDER BY series, time
    """
