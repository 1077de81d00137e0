"""Sends pages to one receiver, in order; what it cannot take now waits, and what it refuses is dropped and counted."""

import asyncio
import random
from collections import deque

import structlog
from prometheus_client import Counter, Gauge

from common.clock import now_ms
from controlplane.telemetry.remote_write.model import Page
from controlplane.telemetry.remote_write.receiver import Answer, Receiver, ReceiverDown
from controlplane.telemetry.remote_write.wire import Protocol, Request, metadata, requests

log = structlog.get_logger(__name__)

# After a failure; doubled each time up to the longest, where the receiver names no time.
RETRY_S = (0.5, 30.0)
# What metrics are is told again this often.
METADATA_MS = 60_000

_SAMPLES = Counter(
    "solward_remote_write_samples", "Samples for a receiver, by what became of them.", ("receiver", "outcome")
)
_QUEUE = Gauge("solward_remote_write_queue_seconds", "Age of the oldest page that waits for a receiver.", ("receiver",))
_LAG = Gauge("solward_remote_write_lag_seconds", "Age of the newest page that a receiver has.", ("receiver",))


class _TryOtherProtocol(Exception):
    """The receiver does not have protocol 2.0."""


class Sender:
    """Sends to one receiver.

    Args:
        receiver: to be closed with this.
        protocol: "auto" begins with 2.0, and keeps to 1.0 from when that is not understood.
        most_pages: how many may wait; of more the oldest is dropped.
    """

    def __init__(self, receiver: Receiver, protocol: str, most_pages: int) -> None:
        self._receiver = receiver
        self._may_change = protocol == "auto"
        self.protocol: Protocol = "v1" if protocol == "v1" else "v2"
        self._most = most_pages
        self._queue: deque[Page] = deque()
        self._there = asyncio.Event()
        # Samples of the first page that are dealt with.
        self._done = 0
        self._newest_ms = now_ms()
        self._told_ms = 0
        self._failures = 0
        self._refusal = ""
        for outcome in ("sent", "refused", "dropped"):
            _SAMPLES.labels(receiver.name, outcome)
        _QUEUE.labels(receiver.name).set_function(self.waiting_s)
        _LAG.labels(receiver.name).set_function(self.lag_s)

    def waiting_s(self) -> float:
        """How old the oldest page is that waits, in seconds; 0 for none; in any thread."""
        try:
            return max(0.0, (now_ms() - self._queue[0].unix_ms) / 1000)
        except IndexError:
            return 0.0

    def lag_s(self) -> float:
        """How old the newest page is that the receiver has, in seconds."""
        return max(0.0, (now_ms() - self._newest_ms) / 1000)

    def offer(self, page: Page) -> None:
        """Send a page when those before it are sent; on the loop."""
        self._queue.append(page)
        if len(self._queue) > self._most:
            oldest = self._queue.popleft()
            self._count("dropped", oldest.count - self._done)
            self._done = 0
        self._there.set()

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            while True:
                await self._there.wait()
                if not self._queue:
                    self._there.clear()
                    continue
                await self._finish(self._queue[0])
        finally:
            for gauge in (_QUEUE, _LAG):
                gauge.remove(self._receiver.name)
            await self._receiver.close()

    async def _finish(self, page: Page) -> None:
        try:
            await self._deliver(page)
        except Exception:
            log.exception("a page could not be sent, and is dropped", receiver=self._receiver.name)
            self._count("dropped", page.count - self._done if self._is_first(page) else 0)
        if self._is_first(page):
            self._queue.popleft()
            self._done = 0

    async def _deliver(self, page: Page) -> None:
        try:
            await self._send_page(page)
        except _TryOtherProtocol:
            self.protocol = "v1"
            self._may_change = False
            log.info("a receiver has no remote write 2.0; it is sent 1.0", receiver=self._receiver.name)
            await self._send_page(page)
        if self._is_first(page):
            self._newest_ms = max(self._newest_ms, page.unix_ms)

    async def _send_page(self, page: Page) -> None:
        if self.protocol == "v1" and abs(page.unix_ms - self._told_ms) >= METADATA_MS:
            await self._send(page, await asyncio.to_thread(metadata, page))
            self._told_ms = page.unix_ms
        made = requests(page, self.protocol)
        while self._is_first(page) and (request := await asyncio.to_thread(next, made, None)) is not None:
            await self._send(page, request)

    async def _send(self, page: Page, request: Request) -> None:
        """Send a request until it is dealt with, or the page no longer waits."""
        while self._is_first(page):
            try:
                answer = await self._receiver.send(request, self.protocol)
            except ReceiverDown as error:
                if not self._failures:
                    log.warning("samples wait for a receiver", receiver=self._receiver.name, why=str(error))
                await asyncio.sleep(self._pause(error.retry_s))
                continue
            if self._failures:
                log.info("a receiver takes samples again", receiver=self._receiver.name)
            self._failures = 0
            if answer.verdict == "unknown_protocol" and self._may_change:
                raise _TryOtherProtocol
            self._dealt_with(page, request, answer)
            return

    def _dealt_with(self, page: Page, request: Request, answer: Answer) -> None:
        taken = answer.verdict == "taken"
        if taken and self.protocol == "v2":
            # It has said so once: from now on what it calls bad is bad.
            self._may_change = False
        if not self._is_first(page):
            # Dropped meanwhile, and counted so.
            return
        written = min(answer.written or 0, request.size) if answer.written is not None or not taken else request.size
        self._count("sent", written)
        self._count("refused", request.size - written)
        if written < request.size:
            why = answer.words or ("it does not have protocol 2.0" if not taken else "it says that it wrote less")
            if why != self._refusal:
                log.error("a receiver refuses samples", receiver=self._receiver.name, samples=request.size, why=why)
            self._refusal = why
        self._done += request.size

    def _is_first(self, page: Page) -> bool:
        return bool(self._queue) and self._queue[0] is page

    def _count(self, outcome: str, samples: int) -> None:
        _SAMPLES.labels(self._receiver.name, outcome).inc(samples)

    def _pause(self, named_s: float | None) -> float:
        first, longest = RETRY_S
        pause = min(longest, first * 2 ** min(self._failures, 10)) * random.uniform(0.8, 1.2)  # noqa: S311
        self._failures += 1
        return pause if named_s is None else max(named_s, 0.1)
