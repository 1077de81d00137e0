"""The cold store: closed days leave the hot one as Parquet files that any DuckDB or pandas reads, and can come back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.store.book import SeriesBook
from controlplane.telemetry.store.keys import labels_of
from controlplane.telemetry.store.layout import HOURS_OF_DAY, TIER_COLUMNS, transaction
from controlplane.telemetry.store.model import StoreDown
from controlplane.telemetry.store.shelf import Shelf

_COLUMNS = "name, labels, epoch_ms(time) AS time, sum, count, min, max, last, buckets, counts"


def export_day(cursor: duckdb.DuckDBPyConnection, day: int, shelf: Shelf, staging: Path) -> None:
    """Put every metric of a day on the shelf, and then note it; done again, it changes nothing.

    Args:
        cursor: of its own.
        day: since the epoch; all of it must be rolled up.
        shelf: where to.
        staging: a folder for files that are being written.
    """
    staging.mkdir(parents=True, exist_ok=True)
    path = staging / f"{day}.parquet"
    names = cursor.execute("SELECT DISTINCT name FROM series JOIN seen USING (series) WHERE day = ?", (day,)).fetchall()
    for (name,) in sorted(names):
        target = str(path).replace("'", "''")
        cursor.execute(
            f"COPY (SELECT {_COLUMNS} FROM minute_{day} JOIN series USING (series) WHERE name = '{name}' "
            f"ORDER BY labels, time) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )
        shelf.put(name, day, path)
        path.unlink()
    cursor.execute("INSERT INTO exported VALUES (?)", (day,))


class Imported(NamedTuple):
    """What came back: how many minutes of series, and the ids of those."""

    minutes: int
    series: NDArray[np.int32]


def import_day(cursor: duckdb.DuckDBPyConnection, day: int, files: Mapping[str, Path], book: SeriesBook) -> Imported:
    """Take a day back into the hot store.

    Args:
        cursor: of its own; the hot store must hold nothing of the day.
        day: since the epoch.
        files: by metric.
        book: where its series get their ids.

    Raises StoreDown where the book is full.
    """
    series: list[NDArray[np.int32]] = []
    with transaction(cursor):
        cursor.execute(f"CREATE TABLE minute_{day} ({TIER_COLUMNS})")
        for name, path in files.items():
            ids = _intern(cursor, name, path, book)
            series.append(ids["series"])
            cursor.register("ids", ids)
            cursor.execute(
                f"INSERT INTO minute_{day} SELECT series, epoch_ms(time), sum, count, min, max, last, buckets, counts "
                "FROM read_parquet(?) JOIN ids USING (labels) ORDER BY series, time",
                [str(path)],
            )
            cursor.execute(
                "INSERT INTO series SELECT series, ?, labels FROM ids ANTI JOIN series USING (series)", [name]
            )
            cursor.execute("INSERT INTO seen SELECT ?, series FROM ids", [day])
        cursor.execute("INSERT INTO exported VALUES (?)", (day,))
        # Samples of it that still come would stand in place of what was taken back.
        cursor.execute("INSERT INTO floor VALUES (?)", ((day + 1) * HOURS_OF_DAY,))
    (minutes,) = cursor.execute(f"SELECT count(*) FROM minute_{day}").fetchall()[0]
    return Imported(minutes, np.concatenate(series))


def _intern(cursor: duckdb.DuckDBPyConnection, name: str, path: Path, book: SeriesBook) -> dict[str, NDArray[Any]]:
    texts = [text for (text,) in cursor.execute("SELECT DISTINCT labels FROM read_parquet(?)", [str(path)]).fetchall()]
    ids = []
    for text in texts:
        labels = dict(labels_of(text))
        number = book.intern(labels.pop("host"), name, labels)
        if number is None:
            raise StoreDown(f"there is no room for the series of {name}; raise the most that there may be")
        ids.append(number)
    return {"labels": np.array(texts, dtype=object), "series": np.array(ids, dtype=np.int32)}
