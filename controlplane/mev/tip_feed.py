"""The tip feed: asks again and again what others tipped that landed, and keeps a day of it."""

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
from controlplane.mev.tips import SHARES, STALE_S, Floor, congestion, read_floor

log = structlog.get_logger(__name__)

CALL_SECONDS = 5.0
MOST_BYTES = 65_536
DAY_S = 86_400.0
# Of the history, what is usual is told by the last hour.
USUAL_S = 3_600.0


class TipFeed:
    """Asks, until it is cancelled.

    Args:
        url: where; empty: nowhere, and nothing is known.
        every_s: how often.
        keep: is given each one that is new.
    """

    def __init__(self, url: str, every_s: float, keep: Callable[[Floor], None]) -> None:
        self._url = yarl.URL(url) if url else None
        self._every_s = every_s
        self._keep = keep
        self._breaker = Breaker("the tip floor") if url else None
        self._received = float("-inf")
        self.history: deque[Floor] = deque()

    @property
    def newest(self) -> Floor | None:
        """The newest floor, be it stale."""
        return self.history[-1] if self.history else None

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

    async def run(self) -> None:
        """Ask until cancelled."""
        if self._url is None or self._breaker is None:
            await asyncio.Event().wait()
            return
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        try:
            async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
                while True:
                    await self._ask(session, self._url, self._breaker)
                    await asyncio.sleep(self._every_s)
        finally:
            self._breaker.close()

    async def _ask(self, session: aiohttp.ClientSession, url: yarl.URL, breaker: Breaker) -> None:
        try:
            breaker.before()
            async with session.get(url, allow_redirects=False) as answer:
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
        self._received = time.monotonic()
        if self.history and floor.unix_s <= self.history[-1].unix_s:
            return
        self.history.append(floor)
        while floor.unix_s - self.history[0].unix_s > DAY_S:
            self.history.popleft()
        for share, tip in zip(SHARES, floor.tips, strict=True):
            figures.FLOOR.labels(f"p{share * 100:.0f}").set(tip)
        figures.FLOOR.labels("ema_p50").set(floor.ema_p50)
        figures.CONGESTION.set(self.congestion)
        self._keep(floor)
