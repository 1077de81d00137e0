"""The pusher: every event goes to Loki, in the order in which it arrived, from where the last push ended.

What waits, waits in the state store; a mark there says how far it has come. Where a push was taken and the mark could
not be moved, the same lines are pushed again with the same times, and Loki keeps one of each.
"""

import asyncio
import gzip
import random
import time
from collections import deque

import structlog
from prometheus_client import Counter, Gauge

from common.clock import now_ms
from controlplane.store.events import EventRepository, Stored
from controlplane.store.marks import MarkRepository
from controlplane.telemetry.logs.loki import Answer, Loki
from controlplane.telemetry.logs.loki_wire import push_of
from controlplane.telemetry.logs.model import LogsDown, entry_of

log = structlog.get_logger(__name__)

MARK = "loki"
LOOK_SECONDS = 1.0
# After a failure; doubled each time up to the longest, where Loki names no time.
RETRY_S = (1.0, 30.0)
# Of one push.
MOST_ENTRIES = 1_000
MOST_BYTES = 512 * 1024
# How often a push that is refused is parted, to find what of it is bad.
MOST_PARTS = 64
# Loki's own bound, unless it is set otherwise there (reject_old_samples_max_age).
OLDEST_MS = 7 * 86_400_000

_PUSHED = Counter("solward_loki_pushed", "Log entries that Loki took.")
_DROPPED = Counter("solward_loki_dropped", "Log entries that Loki did not get, by why.", ("reason",))
_LAG = Gauge("solward_loki_lag_seconds", "For how long Loki has not had everything.")
# Words of Loki's refusals (pkg/validation/validate.go, pkg/chunkenc), and what we count them as.
_REASONS = (
    ("too far behind", "too_far_behind"), ("timestamp too old", "too_old"), ("timestamp too new", "too_far_in_future"),
    ("max entry size", "line_too_long"), ("structured metadata", "structured_metadata"), ("label", "invalid_labels"),
)  # fmt: skip


class Pusher:
    """Pushes.

    Args:
        loki: to be closed with this.
        events: what is pushed.
        marks: where it is kept how far that has come.
        cluster: the label that tells this fleet from others.
    """

    def __init__(self, loki: Loki, events: EventRepository, marks: MarkRepository, cluster: str) -> None:
        self._loki = loki
        self._events = events
        self._marks = marks
        self._cluster = cluster
        self._mark: int | None = None
        self._whole = time.monotonic()
        self._failures = 0

    async def run(self) -> None:
        """Push until cancelled."""
        self._whole = time.monotonic()
        _LAG.set_function(self.lag_s)
        try:
            while True:
                pause = await self.step()
                await asyncio.sleep(pause)
        finally:
            await self._loki.close()

    def lag_s(self) -> float:
        """For how long Loki has not had everything, in seconds; about a second while all is well."""
        return time.monotonic() - self._whole

    async def step(self) -> float:
        """Push one batch; give the time until the next, in seconds."""
        try:
            waiting = await self.push_some()
        except LogsDown as error:
            if not self._failures:
                log.warning("logs wait for Loki", why=str(error))
            return self._pause(error.retry_s)
        except Exception:
            log.exception("logs could not be pushed; trying again")
            return self._pause(None)
        if self._failures:
            log.info("Loki takes logs again", seconds=round(self.lag_s()))
        self._failures = 0
        return 0.0 if waiting else LOOK_SECONDS

    async def push_some(self) -> bool:
        """Push what comes next, if anything does; say whether more waits. Raises LogsDown."""
        looked = time.monotonic()
        if self._mark is None:
            self._mark = await self._begin()
        began = self._mark
        found = await self._events.after(began, MOST_ENTRIES + 1)
        batch = _within_bytes(found[:MOST_ENTRIES])
        if batch:
            # Counted once, though this push may have to be tried again.
            self._mark = batch[0].number - 1
            self._drop("pruned", self._mark - began)
            try:
                await self._deliver(batch)
            finally:
                if self._mark != began:
                    await self._marks.put(MARK, self._mark)
        if len(batch) < len(found):
            return True
        self._whole = looked
        return False

    async def _begin(self) -> int:
        mark = await self._marks.get(MARK)
        # What Loki would not take any more, or the store let go of before there was a Loki, was not lost on the way.
        return await self._events.last_before(now_ms() - OLDEST_MS) if mark is None else mark

    async def _deliver(self, batch: list[Stored]) -> None:
        """Push a batch; parts of it that Loki refuses are pushed in halves, until what is bad stands alone."""
        parts, left = deque([batch]), MOST_PARTS
        while parts:
            part = parts.popleft()
            fresh = [one for one in part if one.event.unix_ms > now_ms() - OLDEST_MS]
            answer = await self._push(fresh) if fresh else Answer(True, b"")
            if answer.taken:
                _PUSHED.inc(len(fresh))
            elif len(fresh) > 1 and left:
                left -= 1
                middle = len(part) // 2
                parts.extendleft((part[middle:], part[:middle]))
                continue
            else:
                reason = next((reason for words, reason in _REASONS if words in answer.words), "refused")
                self._drop(reason, len(fresh), why=answer.words)
            self._drop("too_old", len(part) - len(fresh))
            self._mark = part[-1].number

    async def _push(self, part: list[Stored]) -> Answer:
        body = await asyncio.to_thread(self._body, part)
        return await self._loki.call("push", body, {"Content-Type": "application/json", "Content-Encoding": "gzip"})

    def _body(self, part: list[Stored]) -> bytes:
        return gzip.compress(push_of(map(entry_of, part), self._cluster), compresslevel=3)

    def _drop(self, reason: str, count: int, why: str = "") -> None:
        if count:
            _DROPPED.labels(reason).inc(count)
            log.warning("log entries never reach Loki", entries=count, reason=reason, why=why)

    def _pause(self, named_s: float | None) -> float:
        first, longest = RETRY_S
        pause = min(longest, first * 2 ** min(self._failures, 10)) * random.uniform(0.8, 1.2)  # noqa: S311
        self._failures += 1
        return pause if named_s is None else max(named_s, 0.1)


def _within_bytes(found: list[Stored]) -> list[Stored]:
    size = 0
    for place, one in enumerate(found):
        size += one.event.ByteSize()
        if place and size > MOST_BYTES:
            return found[:place]
    return found
