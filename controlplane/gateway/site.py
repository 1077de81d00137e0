"""The site: an application on a port, with limits on slow and hostile clients from the first packet on."""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

import structlog
from aiohttp import web
from prometheus_client import Counter as Total
from prometheus_client import Gauge

from controlplane.gateway import errors, replies
from controlplane.guard.peers import address_bucket
from controlplane.networks import Network, within

log = structlog.get_logger(__name__)

_BACKLOG = 1024
_HELD = Gauge("solward_http_connections", "Connections of HTTP clients that are held.")
_REFUSED = Total("solward_http_connections_refused_total", "Connections closed at once, by which cap.", ("cap",))

# aiohttp reports each malformed request as an error with its traceback; anyone could fill the log with them.
_http_log = logging.getLogger(f"{__name__}.http")
_http_log.setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Limits:
    """What one HTTP client may ask for.

    Args:
        body_bytes: the greatest body.
        body_s: how long a body, or one message of a stream, may take to arrive, in seconds.
        collect_s: how long a client may stream without a deadline of its own, in seconds.
        unary_s: the deadline of a unary call without Grpc-Timeout, in seconds.
        write_s: how long a client may take to read one message of a stream, in seconds.
        headers_s: how long a connection may be without a whole request, in seconds.
    """

    body_bytes: int = 1 << 20
    body_s: float = 15.0
    collect_s: float = 600.0
    unary_s: float = 30.0
    write_s: float = 30.0
    headers_s: float = 30.0


@dataclass(frozen=True)
class Caps:
    """How many connections a site holds, and how long it waits for their clients.

    Args:
        connections: in all.
        per_address: from one address (IPv6: one /64), TLS handshakes under way included.
        exempt: ranges of proxies, behind which many clients stand.
        share_port: other processes of the same user may listen on the port, too.
        handshake_s: how long a TLS handshake may take, in seconds.
        unread_s: how long a client may leave unread what was sent to it, in seconds.
    """

    connections: int = 20_000
    per_address: int = 256
    exempt: tuple[Network, ...] = ()
    share_port: bool = False
    handshake_s: float = 10.0
    unread_s: float = 30.0


class _Connection(web.RequestHandler):
    """One HTTP connection, within its limits."""

    def __init__(self, server: web.Server, limits: Limits) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            auto_decompress=False,
            # Runs from the connection's start too, so it bounds slow headers.
            keepalive_timeout=limits.headers_s,
            lingering_time=1.0,
            max_headers=64,
            access_log=None,  # type: ignore[arg-type]
            logger=_http_log,
        )

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Refuse what is no HTTP as everything else is refused, and repeat nothing of it."""
        if request.writer.output_size:
            raise ConnectionError("an answer was begun already")
        response = replies.refusal(errors.not_http() if status == HTTPStatus.BAD_REQUEST else errors.failed())
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Refuse in JSON, too, what aiohttp refuses before any handler is asked."""
        if isinstance(resp, web.HTTPExpectationFailed):
            resp = replies.refusal(errors.expectation())
            resp.force_close()
        return await super().finish_response(request, resp, start_time)


def connections(runner: web.AppRunner, limits: Limits | None = None) -> Callable[[], asyncio.Protocol]:
    """Give what makes the protocol of each connection to a runner's application.

    Args:
        runner: it has been set up.
        limits: the same as the application has.
    """
    server = runner.server
    if server is None:
        raise RuntimeError("a runner takes connections once it has been set up")
    return partial(_Connection, server, limits or Limits())


@asynccontextmanager
async def listening(
    factory: Callable[[], asyncio.Protocol], host: str, port: int, tls: ssl.SSLContext | None, caps: Caps
) -> AsyncIterator[int]:
    """Take connections for the length of a block; gives the port.

    Args:
        factory: makes the protocol of one connection.
        host: a name or address of this machine.
        port: 0 for any that is free.
        tls: None for plain HTTP.
        caps: on connections.

    Raises:
        OSError: it cannot be listened there.
    """
    door = _Door(factory, tls, caps)
    sockets = await _bind(host, port, share=caps.share_port)
    accepting = [asyncio.create_task(door.accept(one)) for one in sockets]
    try:
        yield int(sockets[0].getsockname()[1])
    finally:
        for task in (*accepting, *door.greeting):
            task.cancel()
        await asyncio.gather(*accepting, *door.greeting, return_exceptions=True)
        for one in sockets:
            one.close()


def hand_over(transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
    """Have another protocol serve a connection from now on; the one before is told that its own is over.

    Args:
        transport: the connection.
        protocol: its `connection_made` is not called.
    """
    served = transport.get_protocol()
    if isinstance(served, _Counted):
        served.become(protocol).connection_lost(None)
    else:
        transport.set_protocol(protocol)
        served.connection_lost(None)


class _Door:
    """Counts connections from the moment they are accepted; what is over a cap is closed at once."""

    def __init__(self, factory: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None, caps: Caps) -> None:
        self._factory = factory
        self._tls = tls
        self._caps = caps
        self._held: Counter[str] = Counter()
        # Connections whose handshake goes on.
        self.greeting: set[asyncio.Task[None]] = set()

    async def accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError as error:
                # Out of file descriptors, or the client is gone already: the next may do better in a moment.
                log.warning("a connection could not be accepted", why=error.strerror)
                await asyncio.sleep(0.1)
                continue
            bucket = address_bucket(str(address[0]))
            cap = self._full(str(address[0]), bucket)
            if cap:
                _REFUSED.labels(cap).inc()
                connection.close()
                continue
            self._held[bucket] += 1
            _HELD.inc()
            task = asyncio.create_task(self._greet(connection, bucket))
            self.greeting.add(task)
            task.add_done_callback(self.greeting.discard)

    def _full(self, address: str, bucket: str) -> str:
        if self._held.total() >= self._caps.connections:
            return "all"
        if self._held[bucket] >= self._caps.per_address and not within(address, self._caps.exempt):
            return "address"
        if not self._held[bucket]:
            del self._held[bucket]
        return ""

    async def _greet(self, connection: socket.socket, bucket: str) -> None:
        counted = _Counted(self._factory(), partial(self._release, bucket))
        connection.setblocking(False)
        # A client that reads nothing holds what was written to it: the kernel gives up on it.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._caps.unread_s * 1000))
        handshake_s = self._caps.handshake_s if self._tls else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: counted, connection, ssl=self._tls, ssl_handshake_timeout=handshake_s
            )
        except (OSError, TimeoutError):
            # No TLS, bad TLS, slow TLS, or gone: nobody to answer, and anybody could fill a log with it.
            counted.release()
        except BaseException:
            counted.release()
            raise
        finally:
            if not counted.made:
                with suppress(OSError):
                    connection.close()

    def _release(self, bucket: str) -> None:
        self._held[bucket] -= 1
        _HELD.dec()
        if self._held[bucket] <= 0:
            del self._held[bucket]


class _Counted(asyncio.Protocol):
    """Passes everything on to a protocol, and gives its place free once when the connection is over."""

    __slots__ = ("_inner", "_release", "made")

    def __init__(self, inner: asyncio.Protocol, release: Callable[[], None]) -> None:
        self._inner = inner
        self._release: Callable[[], None] | None = release
        self.made = False

    def become(self, inner: asyncio.Protocol) -> asyncio.Protocol:
        before, self._inner = self._inner, inner
        return before

    def release(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made = True
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.release()
        self._inner.connection_lost(exc)


async def _bind(host: str, port: int, *, share: bool) -> list[socket.socket]:
    """Bind every address of a name, to one port; `share`: other processes of the same user may do so, too."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            bound.append(one)
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if share:
                # The kernel spreads connections over all that listen (socket(7)).
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address[0], port, *address[2:]))
            port = one.getsockname()[1]
            one.listen(_BACKLOG)
    except OSError:
        for one in bound:
            one.close()
        raise
    return bound
