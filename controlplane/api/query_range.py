"""Questions about stored telemetry: read, checked, and answered as far as the caller reaches."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import grpc
from solward.metrics.v1 import metrics_pb2 as pb

from common.clock import now_ms
from common.errors import SolwardError
from common.names import host_name
from controlplane.api.reach import Reach
from controlplane.telemetry.store.model import (
    OPERATORS,
    Aggregation,
    Frame,
    Kind,
    Matcher,
    Operator,
    QueryRefused,
    SampleStore,
    StoreDown,
)
from controlplane.telemetry.store.shelf import day_number

HOUR_MS = 3_600_000
# Steps of an answer to who did not say.
STEPS = 300
_KINDS: dict[int, Kind] = {
    pb.AGGREGATION_UNSPECIFIED: "avg", pb.AGGREGATION_SUM: "sum", pb.AGGREGATION_COUNT: "count",
    pb.AGGREGATION_MIN: "min", pb.AGGREGATION_MAX: "max", pb.AGGREGATION_LAST: "last",
    pb.AGGREGATION_QUANTILE: "quantile",
}  # fmt: skip
_MATCHER = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)(=~|!~|!=|=)(.*)", re.DOTALL)


async def query_range(store: SampleStore | None, request: pb.QueryRangeRequest, reach: Reach) -> pb.QueryRangeResponse:
    """Answer a question; SolwardError STORE_OFF, STORE_DOWN or QUERY_REFUSED."""
    store = _open(store)
    end = request.end_time.ToMilliseconds() if request.HasField("end_time") else now_ms()
    start = request.start_time.ToMilliseconds() if request.HasField("start_time") else end - HOUR_MS
    step = request.step_seconds * 1000 or max(1, (end - start) // STEPS // 1000) * 1000
    if request.aggregation not in _KINDS:
        raise _refused("aggregation", "is none that is known")
    matchers = [_matcher(place, text) for place, text in enumerate(request.matchers)]
    aggregation = Aggregation(_KINDS[request.aggregation], request.quantile)
    with _told():
        frame = await store.query_range(request.metric, matchers, start, end, step, aggregation)
    return _answer(frame, reach)


async def restore_day(store: SampleStore | None, text: str) -> pb.RestoreDayResponse:
    """Take a day back from the cold; SolwardError STORE_OFF, STORE_DOWN or QUERY_REFUSED."""
    store, day = _open(store), day_number(text)
    if day is None:
        raise _refused("day", "is a day of the calendar: 2026-08-01")
    with _told():
        return pb.RestoreDayResponse(minutes=await store.restore(day))


def _open(store: SampleStore | None) -> SampleStore:
    if store is None:
        raise SolwardError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "STORE_OFF",
            "telemetry is not stored here: see store.enabled, and ctl status",
        )
    return store


@contextmanager
def _told() -> Iterator[None]:
    """Tell the caller what a store says."""
    try:
        yield
    except QueryRefused as error:
        raise SolwardError(grpc.StatusCode.INVALID_ARGUMENT, "QUERY_REFUSED", str(error)) from None
    except StoreDown as error:
        raise SolwardError(grpc.StatusCode.UNAVAILABLE, "STORE_DOWN", f"{error}: try again in a moment") from None


def _answer(frame: Frame, reach: Reach) -> pb.QueryRangeResponse:
    found = pb.QueryRangeResponse(step_seconds=frame.step_ms // 1000, unix_seconds=(frame.times // 1000).tolist())
    for key, values in zip(frame.series, frame.values, strict=True):
        labels = dict(key.labels)
        if reach.sees(host_name(labels.get("host", ""))):
            found.series.add(labels=labels, values=values.tolist())
    return found


def _matcher(place: int, text: str) -> Matcher:
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise _refused(f"matchers[{place}]", f"is label, one of {' '.join(OPERATORS)}, and a value: host=sol-1")
    return Matcher(found[1], cast(Operator, found[2]), found[3])


def _refused(field: str, why: str) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.INVALID_ARGUMENT, "QUERY_REFUSED", f"{field}: {why}", {"field": field}, ((field, why),)
    )
