"""What is written is found again, whatever the order it came in, and every aggregation is right."""

import math
import time

import numpy as np
import pytest

from controlplane.telemetry.store import counts
from controlplane.telemetry.store.model import Aggregation, Floats, Matcher, QueryRefused
from tests.contract.telemetry.conftest import Backend

HOUR = 3_600_000
# A whole hour, so that every step divides it.
START = (int(time.time()) // 3600 - 3) * HOUR
SECONDS = 900
RNG_SEED = 7

MADE = {
    "avg": np.mean, "sum": np.sum, "count": len, "min": np.min, "max": np.max, "last": lambda values: values[-1],
}  # fmt: skip


def latencies(count: int = SECONDS) -> Floats:
    return np.random.default_rng(RNG_SEED).lognormal(-4, 1, count)


async def write_seconds(backend: Backend, number: int, values: Floats) -> None:
    times = (START + np.arange(len(values)) * 1000 + 137).tolist()
    await backend.write([number] * len(values), times, values.tolist())


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("step", [1_000, 7_000, 60_000, 900_000])
async def test_every_aggregation_is_right_at_every_step(backend: Backend, kind: str, step: int) -> None:
    values = latencies()
    await write_seconds(backend, backend.define(method="getBlock"), values)
    frame = await backend.ask(START, START + SECONDS * 1000, step, kind)
    first = START // step * step
    expected: dict[int, list[float]] = {}
    for second, value in enumerate(values):
        expected.setdefault((START + second * 1000 + 137 - first) // step, []).append(value)
    assert frame.step_ms == step
    assert frame.times.tolist() == list(range(first, START + SECONDS * 1000, step))
    (row,) = frame.values
    assert set(np.flatnonzero(~np.isnan(row)).tolist()) == expected.keys()
    for column, mine in expected.items():
        assert row[column] == pytest.approx(MADE[kind](mine), rel=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.99, 1.0])
async def test_a_quantile_is_off_by_a_hundredth_at_the_most(backend: Backend, share: float) -> None:
    values = latencies()
    await write_seconds(backend, backend.define(), values)
    frame = await backend.ask(START, START + SECONDS * 1000, 900_000, "quantile", share)
    (found,) = frame.values[0]
    low, high = np.quantile(values, share, method="lower"), np.quantile(values, share, method="higher")
    assert low * 0.99 <= found <= high * 1.01


async def test_order_and_repetition_change_nothing(backend: Backend) -> None:
    number = backend.define()
    values = latencies(120)
    times = START + np.arange(120) * 1000
    order = np.random.default_rng(1).permutation(np.concatenate([np.arange(120), np.arange(0, 120, 3)]))
    for part in np.array_split(order, 7):
        await backend.write([number] * len(part), times[part].tolist(), values[part].tolist())
    assert (await backend.ask(START, START + 120_000, 120_000, "count")).values.tolist() == [[120]]
    frame = await backend.ask(START, START + 120_000, 1000, "last")
    assert frame.values[0].tolist() == pytest.approx(values.tolist())


async def test_what_crosses_an_hour_and_a_day_is_one(backend: Backend) -> None:
    number = backend.define()
    day = START // 86_400_000 * 86_400_000
    times = [day - 1, day, day + HOUR - 1, day + HOUR]
    await backend.write([number] * 4, times, [1.0, 2.0, 4.0, 8.0])
    frame = await backend.ask(day - HOUR, day + 2 * HOUR, HOUR)
    assert frame.values.tolist() == [[1.0, 6.0, 8.0]]


async def test_series_are_found_by_their_labels(backend: Backend) -> None:
    for host, method, value in (("a", "getBlock", 1.0), ("a", "getSlot", 2.0), ("b", "getBlock", 4.0), ("b", "", 8.0)):
        await backend.write([backend.define(host, method=method)], [START], [value])

    async def total(*where: Matcher) -> float:
        frame = await backend.ask(START, START + 1000, 1000, where=list(where))
        return float(np.nansum(frame.values))

    assert await total() == 15
    assert await total(Matcher("host", "=", "a")) == 3
    assert await total(Matcher("host", "!=", "a")) == 12
    assert await total(Matcher("method", "=~", "get.*")) == 7
    assert await total(Matcher("method", "=~", "Block")) == 0
    assert await total(Matcher("method", "!~", "getB.*")) == 10
    assert await total(Matcher("method", "=", "")) == 8
    assert await total(Matcher("host", "=", "b"), Matcher("method", "=~", "getBlock|getSlot")) == 4
    assert await total(Matcher("host", "=", "c")) == 0


async def test_labels_come_back_as_they_were(backend: Backend) -> None:
    odd = {"class": 'a "quote" and \\ and \n', "method": "☀ 𝄞 {}[]=~'"}
    await backend.write([backend.define("b", **odd)], [START], [1.0])
    (key,) = (await backend.ask(START, START + 1000, 1000)).series
    assert key.name == backend.name
    assert dict(key.labels) == {"host": "b", **odd}
    frame = await backend.ask(START, START + 1000, 1000, where=[Matcher("class", "=", odd["class"])])
    assert frame.values.tolist() == [[1.0]]


async def test_great_small_and_negative_values_come_back(backend: Backend) -> None:
    values = [0.0, -1.5, 1e18, -1e18, 1e-9, 3e-10, 123456789.125, 300_000_001.0]
    numbers = [backend.define(number=str(number)) for number in range(len(values))]
    await backend.write(numbers, [START] * len(values), values)
    for kind, share in (("last", 0.0), ("quantile", 0.5)):
        frame = await backend.ask(START, START + 1000, 1000, kind, share)
        found = {dict(key.labels)["number"]: row[0] for key, row in zip(frame.series, frame.values, strict=True)}
        assert [found[str(number)] for number in range(len(values))] == pytest.approx(values, rel=1e-9, abs=1e-15)


async def test_what_is_no_number_is_refused_and_counted(backend: Backend) -> None:
    before = refused("not_finite"), refused("out_of_range"), refused("ahead"), refused("unknown_series")
    number = backend.define()
    ahead = int(time.time() * 1000) + HOUR
    values = [math.nan, math.inf, -math.inf, 2e18, 1.0, 2.0, 4.0]
    await backend.write([number] * 6 + [7777], [START] * 5 + [ahead, START], values)
    assert (await backend.ask(START, START + 1000, 1000)).values.tolist() == [[1.0]]
    after = refused("not_finite"), refused("out_of_range"), refused("ahead"), refused("unknown_series")
    assert [one - other for one, other in zip(after, before, strict=True)] == [3, 1, 1, 1]


def refused(outcome: str) -> float:
    return float(counts.SAMPLES.labels(outcome)._value.get())


async def test_series_are_bounded_for_each_host_and_in_all(backend: Backend) -> None:
    def define(host: str) -> list[int | None]:
        return [backend.store.book.intern(host, backend.name, {"n": str(number)}) for number in range(30)]

    given = [number for host in "abc" for number in define(host) if number is not None]
    assert len(given) == 50
    assert len(set(given)) == 50
    assert define("a")[20:] == [None] * 10
    assert define("d") == [None] * 30


@pytest.mark.parametrize(
    ("name", "labels"),
    [("1st", {}), ("a b", {}), ("x" * 129, {}), ("ok", {"a-b": "x"}), ("ok", {"a": "x" * 513}),
     ("ok", {f"l{number}": "x" for number in range(30)})],
)  # fmt: skip
async def test_malformed_series_are_refused(backend: Backend, name: str, labels: dict[str, str]) -> None:
    assert backend.store.book.intern("a", name, labels) is None


async def test_a_metric_that_is_not_there_gives_no_series(backend: Backend) -> None:
    frame = await backend.ask(START, START + 60_000, 1000)
    assert frame.series == []
    assert frame.values.shape == (0, 60)


@pytest.mark.parametrize(
    ("start", "end", "step", "kind", "share", "words"),
    [
        (START, START + 1000, 999, "sum", 0.0, "less than a second"),
        (START, START, 1000, "sum", 0.0, "before it ends"),
        (-1, START, 1000, "sum", 0.0, "before it ends"),
        (0, 2**53 + 1, 1000, "sum", 0.0, "before it ends"),
        (0, START, 1000, "sum", 0.0, "ten years"),
        (START - 3000 * 24 * HOUR, START, 1000, "sum", 0.0, "take a wider one"),
        (START, START + 1000, 1000, "median", 0.0, "no such aggregation"),
        (START, START + 1000, 1000, "quantile", 1.5, "from 0 to 1"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    backend: Backend, start: int, end: int, step: int, kind: str, share: float, words: str
) -> None:
    with pytest.raises(QueryRefused, match=words):
        await backend.ask(start, end, step, kind, share)


async def test_a_pattern_or_a_name_that_is_none_is_refused(backend: Backend) -> None:
    await backend.write([backend.define()], [START], [1.0])
    with pytest.raises(QueryRefused):
        await backend.ask(START, START + 1000, 1000, where=[Matcher("host", "=~", "(a")])
    with pytest.raises(QueryRefused, match="can be chosen"):
        await backend.ask(START, START + 1000, 1000, where=[Matcher('host="a"} or x{a', "=", "b")])
    with pytest.raises(QueryRefused, match="cannot be the name"):
        await backend.store.query_range('x"} or y', [], START, START + 1000, 1000, Aggregation("sum"))
