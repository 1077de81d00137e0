"""One WebSocket of the live door, and what it costs when its client does not read."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from controlplane.gateway.live_access import Pass
    from controlplane.gateway.live_feeds import Crowd

# Close codes of our own; 1000 to 1013 mean what RFC 6455 says.
SIGNED_OUT, NOT_ALLOWED, TOO_MANY, UNCERTAIN = 4401, 4403, 4429, 4503
# While more than this is unsent, a frame is left out: the next one is newer anyway.
UNSENT_BYTES = 32_768
# A socket that is behind for so long is closed.
BEHIND_S = 5.0
_CLOSE_S = 3.0
_TEXT = 0x81

SOCKETS = Gauge("solward_live_sockets", "WebSockets of the live door that are open.")
CLOSED = Counter("solward_live_closed", "WebSockets that the live door closed, by close code.", ("code",))
_SKIPPED = Counter("solward_live_frames_skipped", "Frames that were left out because a client did not read.")


def wire(text: str) -> bytes:
    """Write a text frame as a server sends it (RFC 6455, 5.2): unmasked, so the same bytes for every client."""
    body = text.encode()
    size = len(body)
    if size < 126:
        return bytes((_TEXT, size)) + body
    if size < 65_536:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + body
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + body


class Socket:
    """A client's socket.

    Args:
        ws: prepared.
        transport: the connection below it.
        access: whose credential opened it.

    Attributes:
        topics: what it is subscribed to, and among whom.
    """

    __slots__ = ("_behind_since", "_closing", "_transport", "_ws", "access", "topics")

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport, access: "Pass") -> None:
        self._ws = ws
        self._transport = transport
        self._behind_since = 0.0
        self._closing: asyncio.Task[None] | None = None
        self.access = access
        self.topics: dict[str, Crowd] = {}

    def push(self, frame: bytes, now: float) -> None:
        """Send a frame, without waiting; one that is behind gets a later one, or is closed.

        Args:
            frame: what `wire` wrote.
            now: of the loop, in seconds.
        """
        if self._closing or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() <= UNSENT_BYTES:
            self._behind_since = 0.0
            self._transport.write(frame)
            return
        _SKIPPED.inc()
        if not self._behind_since:
            self._behind_since = now
        elif now - self._behind_since >= BEHIND_S:
            # It would not read the reason either.
            CLOSED.labels("slow").inc()
            self._transport.abort()

    def tell(self, value: dict[str, Any]) -> None:
        """Send a message of its own."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        self.push(wire(text), asyncio.get_running_loop().time())

    def close(self, code: int, words: str) -> None:
        """Begin to close, and say why."""
        if self._closing is None:
            CLOSED.labels(str(code)).inc()
            self._closing = asyncio.create_task(self._close(code, words))

    async def closed(self) -> None:
        """Wait until a close that has begun is over."""
        if self._closing:
            await asyncio.gather(self._closing, return_exceptions=True)

    async def _close(self, code: int, words: str) -> None:
        try:
            async with asyncio.timeout(_CLOSE_S):
                # A close frame has room for 123 bytes of reason.
                await self._ws.close(code=code, message=words.encode()[:120])
        except TimeoutError:
            self._transport.abort()
