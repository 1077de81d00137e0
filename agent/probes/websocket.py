"""The client's side of one WebSocket (RFC 6455) over a wire, for text messages of a bounded size."""

import asyncio
from typing import Final
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Ping, RejectConnection, Request
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from agent.probes.http1 import HttpTarget
from agent.probes.wire import Wire

CONNECT_S: Final = 10.0
MAX_MESSAGE_BYTES: Final = 64 * 1024
_HTTP = {"ws": "http", "wss": "https"}


class WebSocketError(Exception):
    """The socket is over, or never was; `kind` is `transport`, `timeout`, `refused` or `invalid`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class WebSocketTarget:
    """One ws or wss URL.

    Raises:
        ValueError: for any other URL.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _HTTP:
            raise ValueError("the websocket must be a ws or wss URL")
        self._http = HttpTarget(parts._replace(scheme=_HTTP[parts.scheme]).geturl())
        self._host = parts.netloc.rpartition("@")[2]
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    async def open(self) -> "WebSocket":
        """Connect and shake hands; raises WebSocketError."""
        wire: Wire | None = None
        socket: WebSocket | None = None
        try:
            async with asyncio.timeout(CONNECT_S):
                wire = await self._http.connect()
                fresh = WebSocket(wire)
                await fresh.shake_hands(Request(host=self._host, target=self._path))
                socket = fresh
                return socket
        except (OSError, RemoteProtocolError, LocalProtocolError) as error:
            raise _as_ours(error) from None
        finally:
            if wire is not None and socket is None:
                wire.close()


class WebSocket:
    """An open socket.

    Args:
        wire: a connection that nothing was sent on.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._parts: list[str] = []

    async def shake_hands(self, request: Request) -> None:
        """Become a WebSocket; raises WebSocketError or what the wire raises."""
        await self._send(request)
        while True:
            for event in await self._events():
                if isinstance(event, AcceptConnection):
                    return
                if isinstance(event, RejectConnection | CloseConnection):
                    raise WebSocketError("refused")

    async def send(self, text: str) -> None:
        """Send one message; raises WebSocketError."""
        try:
            await self._send(Message(data=text))
        except (OSError, LocalProtocolError) as error:
            raise _as_ours(error) from None

    async def receive(self) -> list[str]:
        """Read what came next, which may end no message, one, or several; raises WebSocketError."""
        texts: list[str] = []
        try:
            for event in await self._events():
                if isinstance(event, Ping):
                    await self._send(event.response())
                elif isinstance(event, CloseConnection):
                    raise WebSocketError("transport")
                elif isinstance(event, Message):
                    self._take(event, texts)
        except (OSError, RemoteProtocolError, LocalProtocolError) as error:
            raise _as_ours(error) from None
        return texts

    def close(self) -> None:
        """Close the connection at once."""
        self._wire.close()

    async def _send(self, event: Event) -> None:
        await self._wire.send(self._protocol.send(event))

    async def _events(self) -> list[Event]:
        data, _ = await self._wire.receive()
        if not data:
            raise WebSocketError("transport")
        self._protocol.receive_data(data)
        return list(self._protocol.events())

    def _take(self, event: Message, texts: list[str]) -> None:  # type: ignore[type-arg]
        if not isinstance(event.data, str):
            raise WebSocketError("invalid")
        self._parts.append(event.data)
        if sum(map(len, self._parts)) > MAX_MESSAGE_BYTES:
            raise WebSocketError("invalid")
        if event.message_finished:
            texts.append("".join(self._parts))
            self._parts.clear()


def _as_ours(error: Exception) -> WebSocketError:
    if isinstance(error, TimeoutError):
        return WebSocketError("timeout")
    return WebSocketError("transport" if isinstance(error, OSError) else "invalid")
