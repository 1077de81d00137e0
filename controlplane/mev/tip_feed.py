"""The tip feed: what others tipped that landed, from the stream or asked for while that is silent; a day is kept."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

import aiohttp
import structlog
import yarl

from common.breaker import Breaker, BreakerOpen
from controlplane.bodies import TooLong, read_body
from controlplane.mev import figures
from controlplane.mev.tip_stream import TipStream
from controlplane.mev.tips import SHARES, STALE_S, Floor, congestion, read_floor

log = structlog.get_logger(__name__)

CALL_SECONDS = 5.0
TIMEOUT = aiohttp.ClientTimeout(total=CALL_SECONDS)
MOST_BYTES = 65_536
DAY_S = 86_400.0
# Of a stream that tells more often, the history keeps no more.
APART_S = 1.0
# How far ahead of ours the clock of whoever tells it may be.
AHEAD_S = 60.0
# Of the history, what is usual is told by the last hour.
USUAL_S = 3_600.0


class TipFeed:
    """Asks, until it is cancelled.

    Args:
        url: where; empty: nowhere, and nothing is known.
        every_s: how often.
        keep: is given each one that is new.
        stream_url: a WebSocket that tells it; empty: it is asked for alone.
    """

    def __init__(self, url: str, every_s: float, keep: Callable[[Floor], None], stream_url: str = "") -> None:
        self._url = yarl.URL(url) if url else None
        self._every_s = every_s
        self._keep = keep
        self._breaker = Breaker("the tip floor") if url else None
        self._stream = TipStream(yarl.URL(stream_url), self.take) if stream_url else None
        self._received = float("-inf")
        self._newest: Floor | None = None
        self.history: deque[Floor] = deque()

    @property
    def newest(self) -> Floor | None:
        """The newest floor, be it stale."""
        return self._newest

    @property
    def age_s(self) -> float:
        """Seconds since the newest came; infinite where none did."""
        return time.monotonic() - self._received

    @property
    def stale(self) -> bool:
        """Whether nothing came for too long to be believed."""
        return self.age_s > STALE_S

    @property
    def congestion(self) -> float:
        """How far the newest median is above that of the last hour."""
        newest = self.newest
        return congestion([one for one in self.history if newest and newest.unix_s - one.unix_s <= USUAL_S])

    @property
    def source(self) -> str:
        """Where the newest comes from: "stream", "poll", or "" where nothing is told now."""
        if self._stream and self._stream.live:
            return "stream"
        return "" if self.stale else "poll"

    async def run(self) -> None:
        """Listen, and ask while nothing is heard, until cancelled."""
        settled = aiohttp.TraceConfig()
        settled.on_request_redirect.append(_stay)
        async with (
            aiohttp.ClientSession(trust_env=False, trace_configs=[settled]) as session,
            asyncio.TaskGroup() as group,
        ):
            if self._stream:
                group.create_task(self._stream.run(session))
            if self._url and self._breaker:
                group.create_task(self._ask_on(session, self._url, self._breaker))
            await asyncio.Event().wait()

    async def _ask_on(self, session: aiohttp.ClientSession, url: yarl.URL, breaker: Breaker) -> None:
        try:
            while True:
                if not (self._stream and self._stream.live):
                    await self._ask(session, url, breaker)
                await asyncio.sleep(self._every_s)
        finally:
            breaker.close()

    async def _ask(self, session: aiohttp.ClientSession, url: yarl.URL, breaker: Breaker) -> None:
        try:
            breaker.before()
            async with session.get(url, allow_redirects=False, timeout=TIMEOUT) as answer:
                body = await read_body(answer, MOST_BYTES)
                if answer.status != 200:
                    raise ValueError(f"HTTP {answer.status}")
            self.take(read_floor(body))
        except BreakerOpen:
            return
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, TooLong) as error:
            breaker.failed()
            why = str(error) if isinstance(error, ValueError | TooLong) else type(error).__name__
            log.warning("the tip floor is not told", why=why)
        else:
            breaker.succeeded()

    def take(self, floor: Floor) -> None:
        """Take a floor in; one that is older than the newest, or the same, is only proof that it is told."""
        if floor.unix_s > time.time() + AHEAD_S:
            # Whatever came after it would seem to be older, for as long as it is ahead.
            log.warning(
                "a tip floor is dated ahead of our clock, and not taken", ahead_s=round(floor.unix_s - time.time())
            )
            return
        self._received = time.monotonic()
        if self._newest and floor.unix_s <= self._newest.unix_s:
            return
        self._newest = floor
        if self.history and floor.unix_s - self.history[-1].unix_s < APART_S:
            return
        self.history.append(floor)
        while floor.unix_s - self.history[0].unix_s > DAY_S:
            self.history.popleft()
        for share, tip in zip(SHARES, floor.tips, strict=True):
            figures.FLOOR.labels(f"p{share * 100:.0f}").set(tip)
        figures.FLOOR.labels("ema_p50").set(floor.ema_p50)
        figures.CONGESTION.set(self.congestion)
        self._keep(floor)


async def _stay(*_: object) -> None:
    # Whom to ask stands in the settings, and is not for the one who answers to say.
    raise aiohttp.ClientError("it leads elsewhere")
