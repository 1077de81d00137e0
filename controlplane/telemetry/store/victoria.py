"""VictoriaMetrics in place of the hot store: samples go to its import API, questions become MetricsQL."""

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import aiohttp
import numpy as np
import yarl

from common.breaker import Breaker, BreakerOpen
from common.clock import now_ms as wall_ms
from controlplane.bodies import TooLong, read_body
from controlplane.telemetry.store.book import SeriesBook
from controlplane.telemetry.store.counts import FAILURES, SAMPLES
from controlplane.telemetry.store.model import (
    Aggregation,
    Batch,
    Frame,
    Kind,
    Matcher,
    QueryRefused,
    SeriesKey,
    StoreDown,
    check_question,
    check_size,
)
from controlplane.telemetry.store.screen import screen
from controlplane.telemetry.store.settings import HotSettings

CALL_SECONDS = 30.0
# Lines of one request.
LINES = 10_000
# The most that an answer may be long.
MAX_ANSWER = 256_000_000
_MADE: dict[Kind, str] = {
    "avg": "avg_over_time",
    "sum": "sum_over_time",
    "count": "count_over_time",
    "min": "min_over_time",
    "max": "max_over_time",
    "last": "last_over_time",
}


class VictoriaStore:
    """Keeps samples in a VictoriaMetrics, which must run with the flags that docs/telemetry.md names.

    Args:
        url: where it is, with its credentials; a secret.
        settings: how many series there may be.
        now_ms: the clock.
    """

    def __init__(self, url: str, settings: HotSettings, now_ms: Callable[[], int] = wall_ms) -> None:
        self.book = SeriesBook(settings.max_series, settings.max_series_of_host)
        self._url = yarl.URL(url)
        self._now_ms = now_ms
        self._breaker = Breaker("VictoriaMetrics")
        self._session: aiohttp.ClientSession | None = None
        # How the line of each series begins.
        self._heads: dict[int, str] = {}

    async def append(self, batch: Batch) -> None:
        """Write samples; raises StoreDown, and then part of the batch may be written already."""
        kept = screen(batch, self.book, 0, self._now_ms())
        for begin in range(0, len(kept), LINES):
            part = slice(begin, begin + LINES)
            lines = await asyncio.to_thread(self._lines, Batch(kept.series[part], kept.times[part], kept.values[part]))
            await self._call("POST", "/api/v1/import", data=lines)
        SAMPLES.labels("stored").inc(len(kept))

    async def query_range(
        self, name: str, matchers: list[Matcher], start: int, end: int, step: int, aggregation: Aggregation
    ) -> Frame:
        """Ask for a metric over a range of time: see SampleStore."""
        check_question(name, matchers, start, end, step, aggregation)
        begin, after = start // step * step, -(-end // step) * step
        times = np.arange(begin, after, step, dtype=np.int64)
        # A window reaches back from its time, which is within it: a step's is the last millisecond before the next.
        asked = {
            "query": _expression(name, matchers, step, aggregation),
            "start": f"{(begin + step - 1) / 1000:.3f}",
            "end": f"{(after - 1) / 1000:.3f}",
            "step": f"{step}ms",
            "nocache": "1",
            # Newer ones take it here: the last half minute is not to be made up from what was before it.
            "latency_offset": "0s",
        }
        reply = await self._call("POST", "/api/v1/query_range", data=asked)
        try:
            return await asyncio.to_thread(_frame, reply, name, times, step)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            if isinstance(error, QueryRefused):
                raise
            raise StoreDown(f"VictoriaMetrics gave an answer that is none ({type(error).__name__})") from None

    async def maintain(self) -> None:
        """It keeps itself."""

    async def restore(self, day: int) -> int:
        """Refuse: it has no cold store."""
        raise QueryRefused("VictoriaMetrics keeps its own samples; there is no cold store to restore from")

    async def close(self) -> None:
        """Close every connection."""
        self._breaker.close()
        if self._session is not None:
            await self._session.close()

    def _lines(self, batch: Batch) -> bytes:
        lines = []
        for number, time, value in zip(batch.series.tolist(), batch.times.tolist(), batch.values.tolist(), strict=True):
            head = self._heads.get(number)
            if head is None:
                key = self.book.key(number)
                metric = json.dumps({"__name__": key.name, **dict(key.labels)}, ensure_ascii=False)
                head = self._heads[number] = f'{{"metric":{metric},"values":['
            lines.append(f'{head}{value!r}],"timestamps":[{time}]}}\n')
        return "".join(lines).encode()

    async def _call(self, method: str, path: str, data: Any) -> bytes:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=CALL_SECONDS, connect=5)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        try:
            self._breaker.before()
            async with self._session.request(
                method, self._url / path.lstrip("/"), data=data, allow_redirects=False
            ) as reply:
                body = await read_body(reply, MAX_ANSWER)
        except TooLong:
            raise QueryRefused("the answer is too long; ask for less") from None
        except BreakerOpen as error:
            raise StoreDown(str(error)) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._breaker.failed()
            FAILURES.labels("victoria_metrics").inc()
            # What the library says may repeat the URL.
            raise StoreDown(f"VictoriaMetrics does not answer ({type(error).__name__})") from None
        if reply.status in {400, 422}:
            self._breaker.succeeded()
            raise QueryRefused(f"VictoriaMetrics refused it: {body[:300].decode(errors='replace')}")
        if reply.status not in {200, 204}:
            self._breaker.failed()
            FAILURES.labels("victoria_metrics").inc()
            raise StoreDown(f"VictoriaMetrics answered with status {reply.status}")
        self._breaker.succeeded()
        return body


def _expression(name: str, matchers: list[Matcher], step: int, aggregation: Aggregation) -> str:
    chosen = ",".join(f"{label}{op}{json.dumps(value, ensure_ascii=False)}" for label, op, value in matchers)
    window = f"{name}{{{chosen}}}[{step}ms]"
    if aggregation.kind == "quantile":
        return f"quantile_over_time({aggregation.share!r}, {window})"
    return f"{_MADE[aggregation.kind]}({window})"


def _frame(reply: bytes, name: str, times: np.typing.NDArray[np.int64], step: int) -> Frame:
    rows = json.loads(reply)["data"]["result"]
    check_size(len(rows), len(times))
    matrix = np.full((len(rows), len(times)), math.nan)
    keys = []
    for number, row in enumerate(rows):
        labels = {label: value for label, value in row["metric"].items() if label != "__name__"}
        keys.append(SeriesKey(name, tuple(sorted(labels.items()))))
        points = np.array([(float(seconds), float(value)) for seconds, value in row["values"]]).reshape(-1, 2)
        columns = np.rint(points[:, 0] * 1000).astype(np.int64) // step - times[0] // step
        if len(columns) and columns.min() < 0:
            raise ValueError("a time before the range")
        matrix[number, columns] = points[:, 1]
    order = sorted(range(len(rows)), key=lambda number: keys[number].labels)
    return Frame([keys[number] for number in order], times, matrix[order], step)
