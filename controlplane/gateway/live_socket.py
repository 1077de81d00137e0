"""One WebSocket of the live door, as lean as ten thousand of them must be, and what it costs if nobody reads it."""

import asyncio
import json
import socket
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from prometheus_client import Counter, Gauge
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

if TYPE_CHECKING:
    from controlplane.gateway.live_access import Pass
    from controlplane.gateway.live_feeds import Crowd

log = structlog.get_logger(__name__)

# Close codes of our own; 1000 to 1013 mean what RFC 6455 says.
SIGNED_OUT, NOT_ALLOWED, TOO_MANY, UNCERTAIN = 4401, 4403, 4429, 4503
# While more than this is unsent, a frame is left out: the next one is newer anyway.
UNSENT_BYTES = 32_768
# The kernel keeps as much again for itself, and without this up to megabytes.
_KERNEL_BYTES = 65_536
# A socket that is behind for so long is closed.
BEHIND_S = 5.0
# A client may take so long to answer a close.
CLOSE_S = 3.0
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


class Owner(Protocol):
    """Who a socket belongs to."""

    message_bytes: int

    def pays(self, socket: "Socket", now: float) -> bool:
        """Whether a client may send one more frame."""

    def take(self, socket: "Socket", text: str) -> Awaitable[None]:
        """Do what a message asks for."""

    def gone(self, socket: "Socket") -> None:
        """Forget a socket whose connection is over."""


class Socket(asyncio.Protocol):
    """A client's socket, from the end of its handshake on.

    Args:
        transport: the connection below it.
        access: whose credential opened it.
        owner: whom it belongs to.

    Attributes:
        topics: what it is subscribed to, and among whom.
        heard: when the client last sent anything, by the loop's clock.
        left: how many frames it may send at once, as it stood at the time `paid`.
        asked: whether it was asked if it is still there, and has not answered.
    """

    __slots__ = (
        "_behind_since", "_closing", "_frames", "_messages", "_owner", "_parts", "_transport", "_work",
        "access", "asked", "heard", "left", "paid", "topics",
    )  # fmt: skip

    def __init__(self, transport: asyncio.Transport, access: "Pass", owner: Owner, left: float) -> None:
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        self._owner = owner
        self._behind_since = 0.0
        self._closing: asyncio.TimerHandle | None = None
        self._frames: FrameProtocol | None = None
        self._parts = ""
        self._messages: deque[str] | None = None
        self._work: asyncio.Task[None] | None = None
        self.access = access
        self.topics: dict[str, Crowd] = {}
        self.heard = self.paid = asyncio.get_running_loop().time()
        self.left = left
        self.asked = False

    @staticmethod
    def written(text: str) -> bytes:
        """Write a frame as this kind of client reads it."""
        return wire(text)

    def push(self, frame: bytes, now: float) -> None:
        """Send a frame, without waiting; one that is behind gets a later one, or is closed.

        Args:
            frame: what `written` gave.
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
        self.push(self.written(text), asyncio.get_running_loop().time())

    def ping(self) -> None:
        """Ask whether the client is still there."""
        if not self._closing:
            self.asked = True
            self._transport.write(bytes((0x89, 0)))

    def close(self, code: int, words: str, *, deaf: bool = False) -> None:
        """Begin to close.

        Args:
            code: the close code.
            words: why.
            deaf: read nothing more of what the client sends, not even its answer.
        """
        if self._closing is None:
            if deaf:
                self._transport.pause_reading()
            CLOSED.labels(str(code)).inc()
            self._transport.write(self._parser().close(code, words))
            self._closing = asyncio.get_running_loop().call_later(CLOSE_S, self._transport.abort)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take in what the client sent."""
        self.heard, self.asked = asyncio.get_running_loop().time(), False
        frames = self._parser()
        frames.receive_bytes(data)
        try:
            for frame in frames.received_frames():
                if not self._owner.pays(self, self.heard):
                    self.close(TOO_MANY, "too many messages: see docs/live.md", deaf=True)
                    return
                if self._closing and frame.opcode is not Opcode.CLOSE:
                    continue
                self._frame(frame.opcode, frame.payload, whole=frame.message_finished)
        except ParseFailed as error:
            self.close(error.code, str(error), deaf=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        if self._closing:
            self._closing.cancel()
        if self._work:
            self._work.cancel()
        self._owner.gone(self)

    def _frame(self, opcode: Opcode, payload: Any, *, whole: bool) -> None:
        if opcode is Opcode.PING:
            if self._transport.get_write_buffer_size() <= UNSENT_BYTES:
                self._transport.write(self._parser().pong(bytes(payload)))
        elif opcode is Opcode.CLOSE:
            if not self._closing:
                self._transport.write(self._parser().close(payload[0]))
            self._transport.close()
        elif opcode is Opcode.BINARY:
            self.close(1003, "messages are JSON in text frames")
        elif opcode is Opcode.TEXT:
            self._parts += payload
            if len(self._parts) > self._owner.message_bytes:
                self.close(1009, f"a message has at most {self._owner.message_bytes} bytes", deaf=True)
            elif whole:
                self._message()

    def _message(self) -> None:
        if self._messages is None:
            self._messages = deque()
        self._messages.append(self._parts)
        self._parts = ""
        if self._work is None:
            self._work = asyncio.create_task(self._do(self._messages), name="live message")

    async def _do(self, messages: deque[str]) -> None:
        # One after the other, as they came.
        try:
            while messages:
                await self._owner.take(self, messages.popleft())
        except Exception:
            log.exception("a message of a live client could not be taken")
            self.close(1011, "the gateway failed")
        finally:
            self._work = self._messages = None

    def _parser(self) -> FrameProtocol:
        if self._frames is None:
            self._frames = FrameProtocol(client=False, extensions=[])
        return self._frames
