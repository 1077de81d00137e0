"""The least HTTP/1.1 that timing a server needs: POST on kept-alive connections, with stamped answers.

A general client costs over a millisecond of CPU a call, and blurs a latency by as much; this one does neither.
"""

import base64
import ipaddress
import re
import socket
import ssl
import time
from asyncio import get_running_loop
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from agent.probes.wire import Address, Endpoint, Wire

_HEAD_BYTES = 64 * 1024
_NAMES_TTL_S = 30.0
_IDLE_WIRES = 32
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [^\r\n]*)?")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?")


class InvalidAnswer(Exception):
    """What came is not HTTP/1.1."""


class TooLarge(Exception):
    """The body is larger than the reader holds."""


class _Stale(ConnectionError):
    """The connection broke before a byte of the answer."""


@dataclass(frozen=True)
class Answer:
    """An answer, and the seconds from the first byte sent to the last byte received."""

    status: int
    body: bytes
    seconds: float


class Reader:
    """Takes the bytes of one response as they come, in any cut.

    Args:
        limit: the most bytes of body that are held.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._body: list[bytes] = []
        self._size = 0
        self._left = -1
        self._chunked = self._last_chunk = False
        self.status = 0
        self.keep = False
        self.done = False

    @property
    def body(self) -> bytes:
        """The body so far."""
        return b"".join(self._body)

    def feed(self, data: bytes) -> bool:
        """Take the next bytes (none: the peer closed) and say whether the response is complete.

        Raises:
            InvalidAnswer: it is not HTTP/1.1.
            TooLarge: the body is over the limit.
            ConnectionResetError: the peer closed before the end.
        """
        if not data:
            return self._closed()
        if not self.status:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > _HEAD_BYTES:
                    raise InvalidAnswer("no end of the headers")
                return False
            data = bytes(self._buffer[end + 4 :])
            self._head(bytes(self._buffer[:end]))
            self._buffer.clear()
        if self._chunked:
            self._buffer += data
            self._chunks()
            # What follows the last chunk belongs to no request of ours.
            self.keep = self.keep and not (self.done and self._buffer)
        else:
            self._take(data)
            self.done = self._left == 0
        return self.done

    def _closed(self) -> bool:
        if not self.status or self._chunked or self._left > 0:
            raise ConnectionResetError("closed in the middle of an answer")
        self.keep, self.done = False, True
        return True

    def _head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        found = _STATUS.fullmatch(first)
        if found is None or found[2] < b"200":
            raise InvalidAnswer("no HTTP/1.1 status line")
        headers: dict[bytes, bytes] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon:
                raise InvalidAnswer("a header without a colon")
            headers[name.lower()] = value.strip()
        self.status = int(found[2])
        connection = headers.get(b"connection", b"").lower()
        self.keep = found[1] == b"1" and b"close" not in connection
        self._chunked = b"chunked" in headers.get(b"transfer-encoding", b"").lower()
        length = headers.get(b"content-length")
        if length is not None and not self._chunked:
            if not length.isdigit():
                raise InvalidAnswer("no number in content-length")
            self._left = int(length)
            if self._left > self._limit:
                raise TooLarge(f"{self._left} bytes")
        elif self.status in (204, 304):
            self._left = 0

    def _take(self, data: bytes) -> None:
        if self._left >= 0:
            if len(data) > self._left:
                raise InvalidAnswer("bytes after the end of the body")
            self._left -= len(data)
        self._keep_part(data)

    def _keep_part(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise TooLarge(f"over {self._limit} bytes")
        self._body.append(data)

    def _chunks(self) -> None:
        while not self.done:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                if len(self._buffer) > _HEAD_BYTES:
                    raise InvalidAnswer("no end of a chunk's size")
                return
            line = bytes(self._buffer[:end])
            if self._last_chunk:
                # Trailers end with an empty line.
                del self._buffer[: end + 2]
                self.done = not line
                continue
            found = _CHUNK_SIZE.fullmatch(line)
            if found is None:
                raise InvalidAnswer("no size of a chunk")
            size = int(found[1], 16)
            if self._size + size > self._limit:
                raise TooLarge(f"over {self._limit} bytes")
            if size == 0:
                self._last_chunk = True
                del self._buffer[: end + 2]
                continue
            whole = end + 2 + size + 2
            if len(self._buffer) < whole:
                return
            self._keep_part(bytes(self._buffer[end + 2 : whole - 2]))
            del self._buffer[:whole]


class HttpTarget:
    """One URL to POST to, and its kept-alive connections.

    Args:
        url: http or https; credentials in it go into a Basic authorization header.
        tls: the context of an https URL; by default the system's authorities are trusted.

    Raises:
        ValueError: for any other URL.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", url):
            raise ValueError("the target must be an http or https URL")
        secure = parts.scheme == "https"
        if secure and tls is None:
            tls = ssl.create_default_context()
        port = parts.port or (443 if secure else 80)
        self.endpoint = Endpoint(parts.hostname, port, tls if secure else None)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            head += f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
        self._head = head + "Content-Type: application/json\r\nAccept-Encoding: identity\r\nContent-Length: "
        self._idle: list[Wire] = []
        self._addresses: list[Address] = []
        self._resolved_at = 0.0

    def request(self, body: bytes) -> bytes:
        """Encode a request once, to be posted again and again."""
        return f"{self._head}{len(body)}\r\n\r\n".encode() + body

    async def post(self, request: bytes, limit: int) -> Answer:
        """Send an encoded request and read the whole answer; redirects are answers like any other.

        Args:
            request: what `request` made.
            limit: the most bytes of body that are held.

        Raises:
            OSError: the peer could not be reached or broke off.
            InvalidAnswer, TooLarge: see `Reader`.
        """
        kept = self._kept()
        if kept is not None:
            try:
                return await self._exchange(kept, request, limit)
            except _Stale:
                # The peer closed it while it was idle, so the request was never taken; a fresh one decides.
                kept.close()
        return await self._exchange(await self.connect(), request, limit)

    async def _exchange(self, wire: Wire, request: bytes, limit: int) -> Answer:
        reader, begun = Reader(limit), False
        try:
            await wire.send(request)
            sent_at = wire.sent_at
            while True:
                data, at = await wire.receive()
                begun = begun or bool(data)
                if reader.feed(data):
                    break
        except ConnectionError as error:
            wire.close()
            raise error if begun else _Stale(str(error)) from error
        except BaseException:
            wire.close()
            raise
        if reader.keep and len(self._idle) < _IDLE_WIRES:
            self._idle.append(wire)
        else:
            wire.close()
        return Answer(reader.status, reader.body, at - sent_at)

    async def connect(self) -> Wire:
        """Open a fresh connection to the first address of the host that takes it; raises OSError."""
        addresses = await self.resolve()
        for address in addresses[:-1]:
            try:
                return await Wire.open(self.endpoint, address)
            except ConnectionError:
                continue
        return await Wire.open(self.endpoint, addresses[-1])

    async def resolve(self) -> list[Address]:
        """Look the host up, at most every 30 s; raises OSError."""
        now = time.monotonic()
        if not self._addresses or now - self._resolved_at > _NAMES_TTL_S:
            self._addresses = _literal(self.endpoint.host) or await self._look_up()
            self._resolved_at = now
        return self._addresses

    async def _look_up(self) -> list[Address]:
        loop = get_running_loop()
        found = await loop.getaddrinfo(self.endpoint.host, self.endpoint.port, type=socket.SOCK_STREAM)
        return [(family, str(address[0])) for family, _, _, _, address in found]

    def _kept(self) -> Wire | None:
        while self._idle:
            wire = self._idle.pop()
            if wire.idle():
                return wire
            wire.close()
        return None

    def close(self) -> None:
        """Close the kept connections."""
        while self._idle:
            self._idle.pop().close()


def _literal(host: str) -> list[Address]:
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return []
    return [(socket.AF_INET if version == 4 else socket.AF_INET6, host)]
