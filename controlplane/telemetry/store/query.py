"""Questions: the parts of a plan are put together in SQL, by series and step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from controlplane.telemetry.store.keys import labels_of, labels_text, matching
from controlplane.telemetry.store.layout import Layout
from controlplane.telemetry.store.model import (
    Aggregation,
    Floats,
    Frame,
    Ints,
    Kind,
    Labels,
    Matcher,
    SeriesKey,
    check_size,
)
from controlplane.telemetry.store.plan import Part, Plan
from controlplane.telemetry.store.sketch import BUCKET_SPAN, bucket_sql, quantiles

_MADE: dict[Kind, str] = {
    "avg": "sum(sum) / sum(count)",
    "sum": "sum(sum)",
    "count": "sum(count)::DOUBLE",
    "min": "min(min)",
    "max": "max(max)",
    "last": "arg_max(last, time)",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and where its answer lies.

    Attributes:
        name: the metric's.
        matchers: all of them must hold.
        aggregation: what is made of each step.
        plan: where to look.
        files: the Parquet files of the plan's cold days.
    """

    name: str
    matchers: list[Matcher]
    aggregation: Aggregation
    plan: Plan
    files: Mapping[int, Path]


def answer(
    cursor: duckdb.DuckDBPyConnection, question: Question, hot: list[tuple[int, SeriesKey]], layout: Layout
) -> Frame:
    """Answer a question; raises QueryRefused.

    Args:
        cursor: of its own.
        question: what is asked.
        hot: the series of this name in the hot store.
        layout: of the hot store, as the cursor's transaction sees it.
    """
    plan = question.plan
    times = np.arange(plan.begin, plan.end, plan.step, dtype=np.int64)
    slots = _slots(cursor, question, hot)
    check_size(len(slots), len(times))
    if not slots or not plan.parts:
        return Frame([], times, np.empty((0, len(times))), plan.step)
    _register(cursor, slots, hot)
    quantile = question.aggregation.kind == "quantile"
    parts = " UNION ALL ".join(_part_sql(part, question.files, layout, quantile) for part in plan.parts)
    slot, step, values = (_quantile if quantile else _plain)(cursor, parts, question)
    found = np.unique(slot)
    matrix = np.full((len(found), len(times)), np.nan)
    matrix[np.searchsorted(found, slot), step - plan.begin // plan.step] = values
    keys = [SeriesKey(question.name, labels) for labels in slots]
    return Frame([keys[number] for number in found.tolist()], times, matrix, plan.step)


def _slots(
    cursor: duckdb.DuckDBPyConnection, question: Question, hot: list[tuple[int, SeriesKey]]
) -> dict[Labels, int]:
    found = {key.labels for _, key in hot}
    if question.files:
        paths = [str(path) for path in question.files.values()]
        rows = cursor.execute("SELECT DISTINCT labels FROM read_parquet(?)", [paths]).fetchall()
        found |= {labels_of(text) for (text,) in rows}
    meant = matching(cursor, sorted(found), question.matchers)
    return {labels: slot for slot, labels in enumerate(meant)}


def _register(cursor: duckdb.DuckDBPyConnection, slots: dict[Labels, int], hot: list[tuple[int, SeriesKey]]) -> None:
    """Show the cursor two tables: which slot of the answer each hot series has, and each text of labels."""
    wanted = [(number, slots[key.labels]) for number, key in hot if key.labels in slots]
    pairs = np.array(wanted, dtype=np.int32).reshape(-1, 2)
    cursor.register("wanted", {"series": pairs[:, 0].copy(), "slot": pairs[:, 1].copy()})
    texts = np.array([labels_text(labels) for labels in slots], dtype=object)
    cursor.register("wanted_labels", {"labels": texts, "slot": np.arange(len(slots), dtype=np.int32)})


def _part_sql(part: Part, files: Mapping[int, Path], layout: Layout, quantile: bool) -> str:
    """Say a part in SQL, with the columns of a tier, or with a bucket for each row."""
    within = f"time >= {part.begin} AND time < {part.end}"
    if part.source == "samples":
        return _samples_sql(layout, part.number, within, quantile)
    if part.source == "cold":
        path = str(files[part.number]).replace("'", "''")
        columns = "* REPLACE (epoch_ms(time) AS time)"
        source = f"(SELECT {columns} FROM read_parquet('{path}')) JOIN wanted_labels USING (labels)"
    else:
        source = f"{part.source}_{part.number} JOIN wanted USING (series)"
    if quantile:
        return (
            "SELECT slot, time, unnest(buckets) AS bucket, unnest(counts)::BIGINT AS count, min, max "
            f"FROM {source} WHERE {within}"
        )
    return f"SELECT slot, time, sum, count::BIGINT AS count, min, max, last FROM {source} WHERE {within}"


def _samples_sql(layout: Layout, hour: int, within: str, quantile: bool) -> str:
    once = " UNION ALL ".join(
        f"SELECT slot, time, value FROM {table} JOIN wanted USING (series) WHERE {within}"
        for table in layout.samples(hour)
    )
    if layout.fresh(hour):
        # A sample may have come twice while it is not rolled up.
        once = f"SELECT slot, time, max(value) AS value FROM ({once}) GROUP BY ALL"
    if quantile:
        columns = f"{bucket_sql('value')} AS bucket, 1::BIGINT AS count, value AS min, value AS max"
    else:
        columns = "value AS sum, 1::BIGINT AS count, value AS min, value AS max, value AS last"
    return f"SELECT slot, time, {columns} FROM ({once})"


def _plain(cursor: duckdb.DuckDBPyConnection, parts: str, question: Question) -> tuple[Ints, Ints, Floats]:
    made = _MADE[question.aggregation.kind]
    columns = cursor.execute(
        f"SELECT slot, time // {question.plan.step} AS step, {made} AS value FROM ({parts}) GROUP BY slot, step"
    ).fetchnumpy()
    return columns["slot"], columns["step"], columns["value"]


def _quantile(cursor: duckdb.DuckDBPyConnection, parts: str, question: Question) -> tuple[Ints, Ints, Floats]:
    plan = question.plan
    first, steps = plan.begin // plan.step, (plan.end - plan.begin) // plan.step
    # Grouping and sorting by one number takes three quarters of the time that three take.
    cell = f"slot::BIGINT * {steps} + time // {plan.step} - {first}"
    columns = cursor.execute(
        f"SELECT ({cell}) * {BUCKET_SPAN} + bucket + {BUCKET_SPAN // 2} AS entry, sum(count)::BIGINT AS count, "
        f"min(min) AS min, max(max) AS max FROM ({parts}) GROUP BY entry ORDER BY entry"
    ).fetchnumpy()
    cells, bucket = np.divmod(columns["entry"], BUCKET_SPAN)
    if not len(cells):
        return cells, cells, np.empty(0)
    firsts = np.flatnonzero(np.diff(cells, prepend=-1))
    share = question.aggregation.share
    found = quantiles(cells, (bucket - BUCKET_SPAN // 2).astype(np.int16), columns["count"], share)
    # A quantile lies between the least and the greatest; where these are one it is exact.
    least = np.minimum.reduceat(columns["min"], firsts)
    slot, step = np.divmod(cells[firsts], steps)
    return slot, step + first, np.clip(found, least, np.maximum.reduceat(columns["max"], firsts))
