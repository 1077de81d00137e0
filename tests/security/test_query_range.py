"""Stored telemetry: asked for by name, labels, range and step, and only of hosts that one may see."""

import math
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from solward.hosts.v1 import link_pb2
from solward.metrics.v1 import metrics_pb2 as pb

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.api.query_range import query_range
from controlplane.api.reach import Reach
from tests.security.test_reach import scoped
from tests.support.plane import Person, Plane, control_plane
from tests.support.stream import refused

QUERY = "solward.metrics.v1.MetricsService/QueryRange"
HOSTS = ("sol-1", "sol-2")
SECONDS = 40


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    """One that stores, with a minute of two hosts' samples."""
    async with control_plane(tmp_path, require_second_factor=False, store={"hot": {"reserve_megabytes": 0}}) as made:
        yield made


@pytest.fixture
async def admin(plane: Plane) -> Person:
    who = await plane.sign_in()
    ingest = plane.app.watching.ingest
    second = now_ms() // 1000 - SECONDS
    for host in HOSTS:
        await plane.add_machine(who, host)
        ingest.open(host, link_pb2.Hello(spool_id="a" * 32))
        definition = link_pb2.SeriesDefinition(id=0, name="solana_rpc_latency_seconds", labels={"method": "getSlot"})
        for number in range(SECONDS):
            batch = link_pb2.SampleBatch(
                sequence=number + 1, unix_ms=(second + number) * 1000, definitions=[definition], series=[0],
                values=[0.001 * (number + 1)],
            )  # fmt: skip
            ingest.samples(host, batch)
    return who


async def ask(plane: Plane, who: Person, *matchers: str, **more: object) -> pb.QueryRangeResponse:
    request = pb.QueryRangeRequest(metric="solana_rpc_latency_seconds", matchers=matchers, **more)  # type: ignore[arg-type]
    return await plane.call(QUERY, request, pb.QueryRangeResponse, who)


async def written(plane: Plane, who: Person) -> pb.QueryRangeResponse:
    """Ask until all that was put is written."""
    while True:
        found = await ask(plane, who, step_seconds=3600, aggregation=pb.AGGREGATION_COUNT)
        counted = [sum(value for value in series.values if not math.isnan(value)) for series in found.series]
        if counted == [SECONDS] * len(HOSTS):
            return found


async def test_what_was_sent_is_found_by_labels_range_and_step(plane: Plane, admin: Person) -> None:
    await written(plane, admin)
    one = await ask(plane, admin, "host=sol-1", step_seconds=3600, aggregation=pb.AGGREGATION_MAX)
    assert [dict(series.labels) for series in one.series] == [{"host": "sol-1", "method": "getSlot"}]
    assert one.step_seconds == 3600
    assert len(one.unix_seconds) == len(one.series[0].values)
    assert max(value for value in one.series[0].values if value == value) == pytest.approx(0.001 * SECONDS)
    none = await ask(plane, admin, "host=~sol-[34]")
    assert not none.series
    p50 = await ask(plane, admin, "host=sol-2", step_seconds=86400, aggregation=pb.AGGREGATION_QUANTILE, quantile=0.5)
    middle = [value for value in p50.series[0].values if value == value]
    assert middle[-1] <= 0.001 * SECONDS


async def test_a_caller_sees_only_what_a_grant_reaches(plane: Plane, admin: Person) -> None:
    await written(plane, admin)
    carol = await scoped(plane, admin, "hosts/sol-2")
    found = await ask(plane, carol)
    assert {series.labels["host"] for series in found.series} == {"sol-2"}
    assert not (await ask(plane, carol, "host=sol-1")).series


@pytest.mark.parametrize(
    ("matchers", "more", "says"),
    [
        (["host"], {}, "matchers[0]"),
        (["host=~("], {}, "regular expression"),
        ([], {"aggregation": 77}, "aggregation"),
        ([], {"aggregation": pb.AGGREGATION_QUANTILE, "quantile": 2.0}, "quantile"),
        ([], {"start_time": Timestamp(seconds=2_000_000_000), "end_time": Timestamp(seconds=1_000_000_000)}, ""),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong_with_it(
    plane: Plane, admin: Person, matchers: list[str], more: dict[str, object], says: str
) -> None:
    refusal = await refused(ask(plane, admin, *matchers, **more))
    assert refusal.code.name == "INVALID_ARGUMENT"
    assert says in refusal.message


async def test_where_nothing_is_stored_it_is_said() -> None:
    with pytest.raises(SolwardError, match="not stored"):
        await query_range(None, pb.QueryRangeRequest(metric="a"), Reach(None))


async def test_validators_are_controlled_also_where_the_store_cannot_be_opened(tmp_path: Path) -> None:
    folder = tmp_path / "cp" / "telemetry"
    async with control_plane(tmp_path, require_second_factor=False, store={"enabled": True}):
        (file,) = folder.glob("*.duckdb")
    file.write_bytes(b"not a database" * 1000)
    async with control_plane(tmp_path, require_second_factor=False, store={"enabled": True}) as plane:
        admin = await plane.sign_in()
        await plane.add_machine(admin, "sol-1")
        refusal = await refused(ask(plane, admin))
        assert (refusal.code.name, refusal.reason) == ("FAILED_PRECONDITION", "STORE_OFF")
    assert file.read_bytes().startswith(b"not a database")


async def test_a_day_is_taken_back_by_who_may_and_a_day_that_is_none_is_refused(plane: Plane, admin: Person) -> None:
    restore = "solward.metrics.v1.MetricsService/RestoreDay"

    async def refusal(who: Person, day: str) -> tuple[str, str]:
        call = plane.call(restore, pb.RestoreDayRequest(day=day), pb.RestoreDayResponse, who)
        found = await refused(call)
        return found.reason, found.message

    assert await refusal(admin, "2020-02-30") == ("QUERY_REFUSED", "day: is a day of the calendar: 2026-08-01")
    assert await refusal(admin, "2020-02-28") == (
        "QUERY_REFUSED", "2020-02-28 is not a day that is kept hot; it is read from the cold",
    )  # fmt: skip
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 2 * 86_400))
    assert await refusal(admin, day) == ("QUERY_REFUSED", f"the cold has nothing of {day}")
    operator = await scoped(plane, admin, "hosts/sol-1")
    assert (await refusal(operator, day))[0] == "PERMISSION_MISSING"


async def test_a_store_that_cannot_be_opened_is_told_of(tmp_path: Path) -> None:
    broken = tmp_path / "cp/telemetry"
    broken.parent.mkdir(mode=0o700, exist_ok=True)
    broken.write_text("no folder")
    async with control_plane(tmp_path, require_second_factor=False, store={}) as plane:
        admin = await plane.sign_in()
        listed = "solward.metrics.v1.MetricsService/ListConnections"
        found = await plane.call(listed, pb.ListConnectionsRequest(), pb.ListConnectionsResponse, admin)
    assert "Not a directory" in found.store_problem or "exists" in found.store_problem, found
