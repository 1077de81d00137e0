"""The tip stream: a WebSocket that tells what others tipped, as it changes.

Wire: Jito's documentation (tip_stream): nothing is asked for; each text frame is the array that tip_floor answers with.
How often one comes is not said.
"""

import asyncio
import random
import time
from collections.abc import Callable

import aiohttp
import structlog
import yarl

from common.breaker import Breaker, BreakerOpen
from controlplane.mev.tips import Floor, read_floor

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 10.0
# Without a floor that can be read for so long, the stream is open and yet dead.
SILENT_SECONDS = 15.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
MOST_BYTES = 65_536
PING_SECONDS = 10.0


class TipStream:
    """Listens until cancelled, and connects anew when it breaks or falls silent.

    Args:
        url: ws or wss.
        take: is given each floor.
        silent_s: seconds without one that end a connection.
    """

    def __init__(self, url: yarl.URL, take: Callable[[Floor], None], silent_s: float = SILENT_SECONDS) -> None:
        self._url = url
        self._take = take
        self._silent_s = silent_s
        self._heard = float("-inf")
        self._failures = 0

    @property
    def live(self) -> bool:
        """Whether a floor came of late."""
        return time.monotonic() - self._heard <= self._silent_s

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Listen until cancelled."""
        breaker = Breaker("the tip stream")
        try:
            while True:
                try:
                    breaker.before()
                    why = await self._once(session, breaker)
                except BreakerOpen as error:
                    await asyncio.sleep(error.retry_s)
                    continue
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    why = type(error).__name__
                breaker.failed()
                self._failures += 1
                wait_s = self._wait_s()
                log.info("the tip stream is opened again", why=why, seconds=round(wait_s, 1))
                await asyncio.sleep(wait_s)
        finally:
            breaker.close()

    async def _once(self, session: aiohttp.ClientSession, breaker: Breaker) -> str:
        """Read one connection to its end; says why it ended."""
        async with asyncio.timeout(CONNECT_SECONDS):
            socket = await session.ws_connect(self._url, heartbeat=PING_SECONDS, max_msg_size=MOST_BYTES)
        async with socket:
            until = time.monotonic() + self._silent_s
            while (left := until - time.monotonic()) > 0:
                try:
                    message = await socket.receive(timeout=left)
                except TimeoutError:
                    break
                if message.type is not aiohttp.WSMsgType.TEXT:
                    if message.type is aiohttp.WSMsgType.BINARY:
                        continue
                    return "it ended"
                if self._read(message.data):
                    until = time.monotonic() + self._silent_s
                    self._failures = 0
                    breaker.succeeded()
        return "it is silent"

    def _read(self, text: str) -> bool:
        try:
            floor = read_floor(text)
        except ValueError as error:
            log.warning("the tip stream tells no floor", why=str(error))
            return False
        self._heard = time.monotonic()
        self._take(floor)
        return True

    def _wait_s(self) -> float:
        ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(self._failures - 1, 8))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311
