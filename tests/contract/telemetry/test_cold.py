"""The cold store, in a folder and in a bucket: days go there whole, are read by the same questions, and come back."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from controlplane.telemetry.store import s3
from controlplane.telemetry.store.model import Matcher, QueryRefused, StoreDown
from controlplane.telemetry.store.s3 import S3Shelf
from controlplane.telemetry.store.settings import Retention
from controlplane.telemetry.store.shelf import FolderShelf, Shelf
from tests.support.seaweed import SeaweedServer, seaweed
from tests.support.telemetry import DAY, HOUR, MIDNIGHT, NAME, World

SHORT = Retention(raw_hours=2, ten_seconds_days=2, minute_days=3)
TODAY = MIDNIGHT // DAY


@pytest.fixture(scope="session")
def seaweed_server() -> Iterator[SeaweedServer]:
    """The server of this test process."""
    with seaweed() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def open_shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Shelf]:
    """Opens an empty shelf, and the same one again."""
    if request.param == "folder":
        return lambda: FolderShelf(tmp_path / "cold")
    server: SeaweedServer = request.getfixturevalue("seaweed_server")
    settings = server.settings.model_copy(update={"prefix": f"{tmp_path.name}/solward", "cache_megabytes": 1})
    return lambda: S3Shelf(settings, tmp_path / "near")


async def write_days(world: World, days: int) -> None:
    """Write three samples a day of two series, and let days pass."""
    for day in range(days):
        for hour in (0, 23):
            world.clock.now_ms = MIDNIGHT + day * DAY + hour * HOUR + 60_000
            block, slot = world.define(method="getBlock"), world.define("b", method="getSlot")
            times = [world.clock.now_ms - 60_000, world.clock.now_ms - 1, world.clock.now_ms]
            await world.write([block, block, slot], times, [1.0 + day, 2.0, 100.0])
        world.clock.now_ms = MIDNIGHT + (day + 1) * DAY + HOUR
        await world.store.maintain()


async def test_a_file_is_replaced_whole_and_others_stay(open_shelf: Callable[[], Shelf], tmp_path: Path) -> None:
    shelf = open_shelf()
    assert (shelf.names(), shelf.days("a")) == (set(), {})
    made = tmp_path / "made"
    for name, day, content in (("a", 1, b"one"), ("a", 20_000, b"two"), ("ab", 1, b"x" * 11_000_000), ("a", 1, b"new")):
        made.write_bytes(content)
        shelf.put(name, day, made)
        with shelf.reading(name, shelf.days(name)) as paths:
            assert paths[day].read_bytes() == content
    assert shelf.names() == {"a", "ab"}
    assert sorted(open_shelf().days("a")) == [1, 20_000]
    with shelf.reading("a", shelf.days("a")) as paths:
        assert {day: path.read_bytes() for day, path in paths.items()} == {1: b"new", 20_000: b"two"}
    shelf.close()


async def test_one_question_reads_hot_and_cold(open_shelf: Callable[[], Shelf], tmp_path: Path) -> None:
    world = World(tmp_path, SHORT, shelf=open_shelf())
    await write_days(world, 8)
    hot = {int(table.removeprefix("minute_")) - TODAY for table in world.tables() if table.startswith("minute")}
    assert hot == {5, 6, 7}
    assert sorted(world.shelf.days(NAME)) == [TODAY + day for day in range(8)]
    for day in range(8):
        where = [Matcher("method", "=~", "get(Block|None)")]
        frame = await world.ask(MIDNIGHT, MIDNIGHT + 8 * DAY, DAY, "sum", where=where)
        assert frame.values[0].tolist() == [2 * (3.0 + day) for day in range(8)]
        begin = MIDNIGHT + day * DAY
        for kind, wanted in (("count", 4.0), ("last", 2.0), ("avg", (3.0 + day) / 2), ("max", max(2.0, 1.0 + day))):
            assert (await world.ask(begin, begin + DAY, DAY, kind, where=where)).values.tolist() == [[wanted]]
    frame = await world.ask(MIDNIGHT, MIDNIGHT + 8 * DAY, 2 * DAY, "quantile", 1.0)
    assert {key.labels[0][1] for key in frame.series} == {"a", "b"}
    assert frame.values[1].tolist() == [100.0] * len(frame.times)
    # Hours of cold days in which nothing came have no value.
    frame = await world.ask(MIDNIGHT, MIDNIGHT + DAY, HOUR, "count", where=[Matcher("host", "=", "a")])
    assert [int(column) for column, value in enumerate(frame.values[0]) if value == value] == [0, 23]
    await world.store.close()


async def test_what_comes_late_for_a_day_is_in_its_file(open_shelf: Callable[[], Shelf], tmp_path: Path) -> None:
    world = World(tmp_path, Retention(raw_hours=48, ten_seconds_days=3, minute_days=3), shelf=open_shelf())
    await write_days(world, 2)
    before = world.shelf.days(NAME)[TODAY]
    await world.write([world.define(method="getBlock")], [MIDNIGHT + 5 * HOUR], [1000.0])
    world.clock.now_ms += 300_000
    await world.store.maintain()
    assert world.shelf.days(NAME)[TODAY] != before
    await write_days(world, 8)
    assert (await world.ask(MIDNIGHT, MIDNIGHT + DAY, DAY, "max")).values.max() == 1000
    await world.store.close()


async def test_a_hot_store_that_was_lost_is_filled_again(open_shelf: Callable[[], Shelf], tmp_path: Path) -> None:
    lost = World(tmp_path / "lost", SHORT, shelf=open_shelf())
    await write_days(lost, 4)
    question = (MIDNIGHT, MIDNIGHT + 4 * DAY, HOUR, "quantile", 0.5)
    wanted = (await lost.ask(*question)).values
    await lost.store.close()
    world = World(tmp_path / "new", SHORT, shelf=open_shelf())
    world.clock.now_ms = MIDNIGHT + 4 * DAY + HOUR
    # Series of its own come first, so that ids differ.
    await world.write([world.define("z")], [world.clock.now_ms], [1.0])
    # Two series; a day has two hours, each with a minute of either.
    assert await world.store.restore(TODAY + 3) == 4
    assert f"minute_{TODAY + 3}" in world.tables()
    assert ((await world.ask(*question)).values == wanted)[wanted == wanted].all()
    await world.reopen()
    assert ((await world.ask(*question)).values == wanted)[wanted == wanted].all()
    # What still comes of that day would be counted twice.
    await world.write([world.define(method="getBlock")], [MIDNIGHT + 4 * DAY - 1], [1e6])
    assert (await world.ask(MIDNIGHT, MIDNIGHT + 4 * DAY, DAY, "max")).values.max() == 100
    # Its series go on, and are stored once.
    await world.write([world.define(method="getBlock")], [world.clock.now_ms], [7.0])
    await world.reopen()
    assert len(world.store.book) == 3
    world.clock.now_ms += DAY
    await world.store.maintain()
    today = MIDNIGHT + 4 * DAY
    assert (await world.ask(today, today + DAY, DAY, "sum")).values.tolist() == [[7.0], [1.0]]
    with world.shelf.reading(NAME, world.shelf.days(NAME)) as paths:
        assert duckdb.sql(f"SELECT sum(sum) FROM '{paths[TODAY + 4]}'").fetchall() == [(8.0,)]
    world.clock.now_ms -= DAY
    for day, words in ((3, "hot already"), (0, "read from the cold"), (4, "read from the cold")):
        with pytest.raises(QueryRefused, match=words):
            await world.store.restore(TODAY + day)
    await world.store.close()


async def test_anybody_reads_the_files(tmp_path: Path) -> None:
    world = World(tmp_path, SHORT)
    await write_days(world, 1)
    (path,) = (tmp_path / "cold" / NAME).iterdir()
    day = datetime.fromtimestamp(MIDNIGHT / 1000, UTC)
    assert path.name == f"{day:%Y-%m-%d}.parquet"
    columns = duckdb.sql(f"SELECT * FROM '{path}' ORDER BY ALL")
    assert columns.columns == ["name", "labels", "time", "sum", "count", "min", "max", "last", "buckets", "counts"]
    first = columns.fetchall()[0]
    assert first[:2] == (NAME, '{"host":"a","method":"getBlock"}')
    assert json.loads(first[1]) == {"host": "a", "method": "getBlock"}
    assert (first[2], *first[3:8]) == (day.replace(tzinfo=None), 3.0, 2, 1.0, 2.0, 2.0)
    codecs = duckdb.sql(f"SELECT DISTINCT compression FROM parquet_metadata('{path}')").fetchall()
    assert codecs == [("ZSTD",)]
    await world.store.close()


async def test_a_cold_store_that_does_not_answer_keeps_days_hot(
    seaweed_server: SeaweedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "CALL_SECONDS", 1)
    settings = seaweed_server.settings.model_copy(update={"prefix": tmp_path.name})
    world = World(tmp_path, SHORT, shelf=S3Shelf(settings, tmp_path / "near"))
    await write_days(world, 1)
    with seaweed_server.frozen():
        began = asyncio.get_running_loop().time()
        with pytest.raises(StoreDown, match="cold store does not answer"):
            await write_days(world, 2)
        # The rest of the upkeep goes on; the days wait.
        for day in range(3, 12):
            world.clock.now_ms = MIDNIGHT + day * DAY
            with pytest.raises(StoreDown, match="cold store"):
                await world.store.maintain()
        assert asyncio.get_running_loop().time() - began < 30
        assert world.tables() >= {f"minute_{TODAY}"}
        assert not any(table.startswith(("head", "raw", "packed")) for table in world.tables())
    await asyncio.sleep(world.shelf._breaker.retry_s + 0.1)
    await world.store.maintain()
    assert TODAY in world.shelf.days(NAME)
    await world.store.maintain()
    assert not any(table.startswith("minute") for table in world.tables())
    await world.store.close()
