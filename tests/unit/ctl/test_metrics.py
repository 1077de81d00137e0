"""ctl metrics: lengths of time, and bars that are few enough."""

import io
import math

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from solward.metrics.v1 import metrics_pb2 as pb

from ctl.durations import DURATION
from ctl.views.metrics import joined, range_table


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("15m", 900), ("4h", 14_400), ("2d", 172_800)])
def test_lengths_of_time_are_seconds(text: str, seconds: int) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "-1h", "1.5h", "1w", "9999999s"])
def test_what_is_no_length_of_time_is_told_what_would_be(text: str) -> None:
    with pytest.raises(click.BadParameter, match="30m, 4h or 2d"):
        DURATION.convert(text, None, None)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=500), st.integers(1, 80))
def test_joined_values_are_few_and_keep_the_greatest(values: list[float], most: int) -> None:
    few = joined(values, most)
    assert len(few) <= most
    known = [value for value in values if not math.isnan(value)]
    assert max(few, default=-2.0) == max(known, default=-2.0) or max(known) < -2.0


def test_a_table_shows_each_series_with_its_figures() -> None:
    found = pb.QueryRangeResponse(step_seconds=10, unix_seconds=[0, 10, 20])
    found.series.add(labels={"host": "sol-1", "method": "getSlot"}, values=[1.0, math.nan, 4.0])
    found.series.add(labels={"host": "[red]"}, values=[math.nan] * 3)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(range_table("solana_x", "avg", found))
    shown = console.export_text()
    assert "solana_x, avg of each 10 s" in shown
    row = next(line for line in shown.splitlines() if "sol-1" in line)
    assert row.split()[2:5] == ["4", "1", "4"]
    assert "[red]" in shown
