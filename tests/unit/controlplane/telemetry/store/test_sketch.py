"""The sketch against exact quantiles: the stated error holds, whatever the values, and however it was put together."""

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.telemetry.store import sketch
from controlplane.telemetry.store.sketch import GREATEST, RELATIVE_ERROR, SMALLEST, buckets, middles, quantiles

within = st.floats(SMALLEST, GREATEST) | st.floats(-GREATEST, -SMALLEST) | st.just(0.0)
any_values = st.lists(within | st.floats(-1, 1) | st.integers(-5, 5).map(float), min_size=1, max_size=300)
shares = st.floats(0, 1) | st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0])


def close(found: float, exact: float) -> bool:
    return abs(found - exact) <= RELATIVE_ERROR * abs(exact) * (1 + 1e-9) + SMALLEST


@given(st.lists(any_values, min_size=1, max_size=6), shares)
def test_a_quantile_is_within_the_stated_error(lists: list[list[float]], share: float) -> None:
    columns = [np.unique(buckets(np.array(values)), return_counts=True) for values in lists]
    groups = np.repeat(np.arange(len(lists)), [len(bucket) for bucket, _ in columns])
    bucket = np.concatenate([bucket for bucket, _ in columns])
    counts = np.concatenate([count for _, count in columns])
    for found, values in zip(quantiles(groups, bucket, counts, share), lists, strict=True):
        # By rank, as the sketch has it: numpy's own interpolates the rank, and may round it up.
        assert close(found, sorted(values)[int(np.floor(share * (len(values) - 1)))])


@given(any_values)
def test_sketches_of_parts_add_up_to_that_of_the_whole(values: list[float]) -> None:
    whole = np.bincount(buckets(np.array(values)).astype(np.int64) + 4000, minlength=8000)
    parts = [np.array(part) for part in (values[::2], values[1::2])]
    added = sum(np.bincount(buckets(part).astype(np.int64) + 4000, minlength=8000) for part in parts)
    assert (whole == added).all()


@given(any_values)
def test_sql_says_the_same(values: list[float]) -> None:
    cursor = duckdb.connect()
    cursor.register("given_values", {"value": np.array(values)})
    columns = cursor.execute(f"SELECT value, {sketch.bucket_sql('value')} AS bucket FROM given_values").fetchnumpy()
    # On a bound the two logarithms may differ in the last digit; either bucket keeps the error.
    for middle, value in zip(middles(columns["bucket"]), columns["value"], strict=True):
        assert close(middle, value)
    cursor.close()


def test_the_number_of_buckets_is_bounded() -> None:
    assert buckets(np.array([GREATEST, -GREATEST, SMALLEST, -SMALLEST / 2, 0.0])).tolist() == [3109, -3109, 0, 0, 0]


def test_nothing_has_no_quantiles() -> None:
    assert (
        quantiles(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int16), np.empty(0, dtype=np.int64), 0.5).size == 0
    )


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_day_from_merged_minutes_is_within_the_error(share: float) -> None:
    values = np.random.default_rng(3).lognormal(-4, 1.5, 86_400)
    minutes = [np.unique(buckets(part), return_counts=True) for part in np.split(values, 1440)]
    merged: dict[int, int] = {}
    for bucket, count in minutes:
        for one, times in zip(bucket.tolist(), count.tolist(), strict=True):
            merged[one] = merged.get(one, 0) + times
    ordered = sorted(merged)
    columns = (
        np.zeros(len(ordered), dtype=np.int64),
        np.array(ordered, dtype=np.int16),
        np.array([merged[one] for one in ordered]),
    )
    (found,) = quantiles(*columns, share)
    assert close(found, np.quantile(values, share, method="lower"))
