"""The view of stored telemetry."""

import math

from rich.table import Table
from solward.metrics.v1 import metrics_pb2 as pb

from ctl.output import cell
from ctl.views.rpc import sparkline

# So many bars at the most; steps beyond them are joined by their greatest.
BARS = 60


def range_table(metric: str, made: str, found: pb.QueryRangeResponse) -> Table:
    """Draw one row for each series: its labels, its newest, least and greatest value, and bars over the range."""
    table = Table(
        box=None, pad_edge=False, header_style="bold", title_justify="left",
        title=f"{cell(metric)}, {made} of each {found.step_seconds} s",
    )  # fmt: skip
    for name in ("SERIES", "NEWEST", "LEAST", "GREATEST", "OVER THE RANGE"):
        table.add_column(name, overflow="fold")
    for series in sorted(found.series, key=lambda one: sorted(one.labels.items())):
        known = [value for value in series.values if not math.isnan(value)]
        labels = ", ".join(f"{name}={value}" for name, value in sorted(series.labels.items()))
        figures = [f"{value:.6g}" for value in (known[-1], min(known), max(known))] if known else ["-"] * 3
        table.add_row(cell(labels), *figures, sparkline(joined(list(series.values), BARS)))
    return table


def joined(values: list[float], most: int) -> list[float]:
    """Join values to at most so many, each the greatest of its own; -2 where there is none, as `sparkline` reads it."""
    length = max(1, math.ceil(len(values) / most))
    parts = [values[start : start + length] for start in range(0, len(values), length)]
    return [max((value for value in part if not math.isnan(value)), default=-2.0) for part in parts]
