"""The median of nine against numpy's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controlplane.telemetry.anomaly.median import SIZE, Medians, median_of_nine


@given(st.lists(st.floats(-1e9, 1e9), min_size=SIZE, max_size=SIZE))
def test_it_is_the_median(values: list[float]) -> None:
    assert median_of_nine(np.array(values)[:, None])[0] == np.median(values)


@given(st.permutations([0, 0, 0, 0, 1, 1, 1, 1, 1]))
def test_it_sorts_every_pattern_of_zeros_and_ones(values: list[int]) -> None:
    assert median_of_nine(np.array(values, dtype=float)[:, None])[0] == 1.0


def test_a_series_begins_with_its_first_sample_nine_times() -> None:
    medians = Medians(2)
    here = np.array([True, False])
    assert medians.update(np.array([5.0, 0.0]), here)[0] == 5.0
    for value in (9.0, 9.0, 9.0, 9.0):
        level = medians.update(np.array([value, 0.0]), here)
    assert level[0] == 5.0
    assert medians.update(np.array([9.0, 0.0]), here)[0] == 9.0
