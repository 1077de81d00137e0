"""The least HTTP/1.1 that timing a server needs: POST, or GET, on kept-alive connections, with stamped answers.

A general client costs over a millisecond of CPU a call, and blurs a latency by as much; this one does neither.
"""

import base64
import ipaddress
import re
import socket
import ssl
import time
from asyncio import get_running_loop
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from agent.probes.http1_reader import Reader
from agent.probes.wire import Address, Endpoint, Wire

_NAMES_TTL_S = 30.0
_IDLE_WIRES = 32
JSON: Mapping[str, str] = MappingProxyType({"Content-Type": "application/json"})


class _Stale(ConnectionError):
    """The connection broke before a byte of the answer."""


@dataclass(frozen=True)
class Answer:
    """An answer, and the seconds from the first byte sent to the last byte received."""

    status: int
    body: bytes
    seconds: float
    retry_after_s: float | None = None


class Pool(NamedTuple):
    """How the kept connections stand, and what became of them since that was last asked.

    Attributes:
        dropped: connections that their peer closed while they were kept.
    """

    idle: int
    busy: int
    opened: int
    dropped: int


class HttpTarget:
    """One URL to POST to or to GET, and its kept-alive connections.

    Args:
        url: http or https; credentials in it go into a Basic authorization header.
        tls: the context of an https URL; by default the system's authorities are trusted.
        headers: to be sent besides; those of a JSON call by default.

    Raises:
        ValueError: for any other URL, and for a header that is more than a line.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None = None, headers: Mapping[str, str] = JSON) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", url):
            raise ValueError("the target must be an http or https URL")
        if any(re.search(r"[\r\n\0]", f"{name}{value}") for name, value in headers.items()):
            raise ValueError("a header must be one line")
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
        self._get = head.replace("POST", "GET", 1) + "Accept: text/plain\r\nAccept-Encoding: identity\r\n\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._head = head + "Accept-Encoding: identity\r\nContent-Length: "
        self._idle: list[Wire] = []
        self._addresses: list[Address] = []
        self._resolved_at = 0.0
        self._busy = self._opened = self._dropped = 0

    def take_pool(self) -> Pool:
        """Say how the kept connections stand; what is counted is counted from here on."""
        pool = Pool(len(self._idle), self._busy, self._opened, self._dropped)
        self._opened = self._dropped = 0
        return pool

    def request(self, body: bytes) -> bytes:
        """Encode a request once, to be posted again and again."""
        return f"{self._head}{len(body)}\r\n\r\n".encode() + body

    def getting(self) -> bytes:
        """Encode a GET of the URL."""
        return self._get.encode()

    async def post(self, request: bytes, limit: int) -> Answer:
        """Send an encoded request and read the whole answer; redirects are answers like any other.

        Args:
            request: what `request` or `getting` made.
            limit: the most bytes of body that are held.

        Raises:
            OSError: the peer could not be reached or broke off.
            InvalidAnswer, TooLarge: see `Reader`.
        """
        self._busy += 1
        try:
            kept = self._kept()
            if kept is not None:
                try:
                    return await self._exchange(kept, request, limit)
                except _Stale:
                    # The peer closed it while it was idle, so the request was never taken; a fresh one decides.
                    self._drop(kept)
            wire = await self.connect()
            self._opened += 1
            return await self._exchange(wire, request, limit)
        finally:
            self._busy -= 1

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
        return Answer(reader.status, reader.body, at - sent_at, reader.retry_after_s)

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
            self._drop(wire)
        return None

    def _drop(self, wire: Wire) -> None:
        self._dropped += 1
        wire.close()

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
