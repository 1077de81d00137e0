"""Roll-up: the fresh samples of a closed hour are sorted, each kept once, and summed up; a closed day is packed."""

from collections.abc import Iterator

import duckdb
import numpy as np

from controlplane.telemetry.store.layout import (
    HOURS_OF_DAY,
    SAMPLE_COLUMNS,
    TIER_COLUMNS,
    WIDTHS,
    Layout,
    rolled_sql,
    transaction,
)
from controlplane.telemetry.store.model import HOUR

# How many samples are sorted at once: bounds the memory, some 100 MB.
BLOCK = 2_000_000
# How much more a row of a tier takes than a sample.
WIDER = 8


def roll_up(cursor: duckdb.DuckDBPyConnection, hour: int, layout: Layout) -> None:
    """Roll an hour up, in one transaction: a crash leaves all of it or nothing, and doing it again changes nothing.

    Of two samples of one series and one millisecond the greater is kept, whatever came first.

    Args:
        cursor: of its own.
        hour: since the epoch; nobody may be writing into its heads.
        layout: the heads that are rolled up, and what was rolled up before.
    """
    day = hour // HOURS_OF_DAY
    within = f"time >= {hour * HOUR} AND time < {(hour + 1) * HOUR}"
    source = " UNION ALL ".join(f"SELECT * FROM {table} WHERE {within}" for table in layout.samples(hour))
    with transaction(cursor):
        cursor.execute(f"CREATE TABLE sorted ({SAMPLE_COLUMNS})")
        for tier in WIDTHS:
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {tier}_{day} ({TIER_COLUMNS})")
            if layout.sorted_samples(hour):
                cursor.execute(f"DELETE FROM {tier}_{day} WHERE {within}")
        for first, last in _blocks(cursor, source, BLOCK):
            _roll_block(cursor, source, day, (first, last))
        if day in layout.packed:
            cursor.execute(f"DELETE FROM packed_{day} WHERE {within}")
        for table in layout.fresh(hour) + ([f"raw_{hour}"] if hour in layout.raw else []):
            cursor.execute(f"DROP TABLE {table}")
        cursor.execute(f"ALTER TABLE sorted RENAME TO raw_{hour}")
        # What the cold has of this day is no longer all.
        cursor.execute("DELETE FROM exported WHERE day = ?", (day,))


def pack(cursor: duckdb.DuckDBPyConnection, day: int, layout: Layout) -> None:
    """Put the sorted hours of a day into one table, in one transaction; long runs of one series take little room.

    Args:
        cursor: of its own.
        day: since the epoch; all of it must be rolled up.
        layout: the tables.
    """
    hours = [f"raw_{hour}" for hour in sorted(layout.raw) if hour // HOURS_OF_DAY == day]
    with transaction(cursor):
        _merge(
            cursor, hours + ([f"packed_{day}"] if day in layout.packed else []), f"packed_{day}", SAMPLE_COLUMNS, BLOCK
        )
        for tier in WIDTHS:
            _merge(cursor, [f"{tier}_{day}"], f"{tier}_{day}", TIER_COLUMNS, BLOCK // WIDER)


def _merge(cursor: duckdb.DuckDBPyConnection, tables: list[str], target: str, columns: str, block: int) -> None:
    """Put one table, in order of series and time, in place of several."""
    source = " UNION ALL ".join(f"SELECT * FROM {table}" for table in tables)
    cursor.execute(f"CREATE TABLE sorted ({columns})")
    for series in _blocks(cursor, source, block):
        chosen = f"SELECT * FROM ({source}) WHERE series BETWEEN ? AND ? ORDER BY series, time"
        cursor.execute(f"INSERT INTO sorted {chosen}", series)
    for table in tables:
        cursor.execute(f"DROP TABLE {table}")
    cursor.execute(f"ALTER TABLE sorted RENAME TO {target}")


def _blocks(cursor: duckdb.DuckDBPyConnection, source: str, size: int) -> Iterator[tuple[int, int]]:
    """Cut the series into ranges of about so many rows."""
    found = cursor.execute(f"SELECT series, count(*) AS count FROM ({source}) GROUP BY series ORDER BY series")
    columns = found.fetchnumpy()
    ids = np.asarray(columns["series"])
    block = np.cumsum(np.asarray(columns["count"])) // size
    for part in np.split(ids, np.flatnonzero(np.diff(block)) + 1):
        if len(part):
            yield int(part[0]), int(part[-1])


def _roll_block(cursor: duckdb.DuckDBPyConnection, source: str, day: int, series: tuple[int, int]) -> None:
    cursor.execute(
        f"INSERT INTO sorted SELECT series, time, max(value) FROM ({source}) WHERE series BETWEEN ? AND ? "
        "GROUP BY series, time ORDER BY series, time",
        series,
    )
    for tier, width in WIDTHS.items():
        of_block = "(SELECT * FROM sorted WHERE series BETWEEN ? AND ?)"
        cursor.execute(f"INSERT INTO {tier}_{day} {rolled_sql(of_block, width)}", series)
