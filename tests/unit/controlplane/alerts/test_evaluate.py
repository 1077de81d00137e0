"""Conditions on a host's live samples."""

import math
from collections.abc import Iterable

import pytest
from solward.hosts.v1 import link_pb2

from controlplane.alerts.evaluate import series_holds
from controlplane.alerts.rules import SeriesTrigger
from controlplane.telemetry.live import HostRing


def ring(**series: Iterable[float]) -> HostRing:
    made = HostRing(600)
    columns = {name: list(values) for name, values in series.items()}
    for number, name in enumerate(columns):
        base, _, label = name.partition("__")
        labels = {"unit": label} if label else {}
        made.define(link_pb2.SeriesDefinition(id=number, name=base, labels=labels, counts=base.startswith("count")))
    for second in range(max(map(len, columns.values()))):
        values = {n: column[second] for n, column in enumerate(columns.values()) if second < len(column)}
        known = {n: value for n, value in values.items() if not math.isnan(value)}
        batch = link_pb2.SampleBatch(unix_ms=(1000 + second) * 1000, series=known.keys(), values=known.values())
        made.write(batch, 0)
    return made


def holds(made: HostRing, **trigger: object) -> bool | None:
    return series_holds(SeriesTrigger.model_validate(trigger), made)[0]


def test_the_last_value_counts_and_of_several_series_the_worst() -> None:
    made = ring(active__a=[1, 1, 1], active__b=[1, 1, 0])
    assert holds(made, series="active", below=1) is True
    assert holds(made, series="active", below=1, labels={"unit": "a"}) is False
    assert holds(made, series="active", above=0.5) is True
    assert holds(made, series="active", below=1, labels={"unit": "c"}) is None


def test_sums_and_ratios_are_of_the_window() -> None:
    made = ring(count_errors=[9] * 20 + [1] * 10, count_calls=[10] * 30)
    assert holds(made, series="count_errors", statistic="sum", above=9.5, window_seconds=10) is True
    assert holds(made, series="count_errors", statistic="sum", above=10, window_seconds=10) is False
    ratio = {"series": "count_errors", "over": "count_calls", "statistic": "ratio"}
    assert holds(made, **ratio, above=0.5, window_seconds=10) is False
    assert holds(made, **ratio, above=0.5, window_seconds=30) is True
    assert holds(ring(count_errors=[1.0]), **ratio, above=0.5) is None


def test_a_number_that_only_grows_stalls() -> None:
    stalled = {"series": "slot", "statistic": "stalled", "window_seconds": 5}
    assert holds(ring(slot=range(20)), **stalled) is False
    assert holds(ring(slot=[*range(20), *[19] * 5]), **stalled) is True
    assert holds(ring(slot=[*range(20), *[19] * 4]), **stalled) is False
    # Nothing came at all, while another series shows that time went on.
    assert holds(ring(slot=range(20), other=range(30)), **stalled) is True
    assert holds(ring(slot=range(3)), **stalled) is None


def test_a_series_that_was_there_goes_missing() -> None:
    missing = {"series": "x", "statistic": "missing", "window_seconds": 5}
    assert holds(ring(x=[1.0], other=range(30)), **missing) is True
    assert holds(ring(x=range(30), other=range(30)), **missing) is False
    assert holds(ring(other=range(30)), **missing) is None


@pytest.mark.parametrize("statistic", ["last", "sum"])
def test_where_no_value_came_nothing_is_told(statistic: str) -> None:
    made = ring(x=[1.0], other=range(60))
    assert holds(made, series="x", statistic=statistic, above=0, window_seconds=10) is None
