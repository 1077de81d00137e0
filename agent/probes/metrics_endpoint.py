"""The metrics endpoint: the validator's InfluxDB on loopback, so that no log need be parsed for its figures.

The validator posts every 10 s what SOLANA_METRICS_CONFIG tells it to (agave metrics/src/metrics.rs): line protocol
to /write?db=D&u=U&p=P&precision=n, with 5 s of patience.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import h11
import structlog

from agent.logs import datapoint
from agent.logs.metrics_config import HOST, USER
from agent.probes.base import Series, Sink
from agent.probes.validator_log import KNOWN, Digest
from common.clock import now_ms

log = structlog.get_logger(__name__)

MAX_BODY = 16 << 20
REQUEST_S = 10.0
MAX_CONNECTIONS = 8
AGAIN_S = 10.0
# How long a connection may say nothing: the validator posts every ten seconds.
IDLE_S = 30.0
READ_BYTES = 1 << 16

POSTS = {outcome: Series.counting("solana_metrics_posts", outcome=outcome) for outcome in ("taken", "refused")}


class _Refused(Exception):
    """The request is not taken; the status to answer with, and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class MetricsEndpoint:
    """Listens on loopback and turns posts into series and events.

    Args:
        port: where to listen; 0 takes a free one, which `port` then tells.
        password: what a post must bear, so that no other user of this host can make figures up.
        forward: whom to send every post on to, if anyone; it never holds a post up.
    """

    name = "metrics endpoint"

    def __init__(self, port: int, password: str, forward: Callable[[bytes], None] | None = None) -> None:
        self.port = port
        self._password = password
        self._forward = forward

    async def run(self, sink: Sink) -> None:
        """Serve until cancelled."""
        digest = Digest(sink, points=True)
        posts = _Posts(sink, digest, self._password, self._forward)
        server = await self._listen(posts)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            try:
                while True:
                    await asyncio.sleep(1.0)
                    digest.tick(log_lines=False)
            finally:
                await posts.close()

    async def _listen(self, posts: "_Posts") -> asyncio.Server:
        while True:
            try:
                return await asyncio.start_server(posts.accept, HOST, self.port)
            except OSError as error:
                # The rest of the agent goes on; whoever holds the port may be a stranger, so this is said each time.
                log.error("the metrics endpoint cannot listen", port=self.port, why=error.strerror)
                await asyncio.sleep(AGAIN_S)


class _Posts:
    """Takes posts in, a connection at a time."""

    def __init__(self, sink: Sink, digest: Digest, password: str, forward: Callable[[bytes], None] | None) -> None:
        self._sink = sink
        self._digest = digest
        self._password = password
        self._forward = forward
        self._connections: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End every connection."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        if task is None or len(self._connections) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        try:
            await serve_http(reader, writer, self._allow, self._take)
        finally:
            self._connections.discard(task)
            writer.close()

    def _allow(self, request: h11.Request) -> int:
        """Judge a request by its head alone; give the status to answer with at once, 0 to read on."""
        target = urlsplit(request.target.decode())
        if target.path == "/ping":
            return 204
        query = {key: values[-1] for key, values in parse_qs(target.query).items()}
        ours = target.path == "/write" and request.method == b"POST"
        status = 0 if ours and self._is_ours(query) else 401 if ours else 404
        if status:
            self._sink.sample(POSTS["refused"], 1.0)
        return status

    async def _take(self, body: bytes) -> None:
        if self._forward:
            self._forward(body)
        await self._digest_body(body.decode(errors="replace"))
        self._sink.sample(POSTS["taken"], 1.0)

    def _is_ours(self, query: dict[str, str]) -> bool:
        password = hmac.compare_digest(query.get("p", "").encode(), self._password.encode())
        return password and query.get("u") == USER

    async def _digest_body(self, body: str) -> None:
        now = now_ms()
        for number, point in enumerate(datapoint.from_line_protocol(body, KNOWN)):
            self._digest.point(point, now)
            # A post holds up to 40,000 points; the loop has other things to do in between.
            if number % 200 == 199:
                await asyncio.sleep(0)


Allow = Callable[[h11.Request], int]
Take = Callable[[bytes], Awaitable[None]]


async def serve_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, allow: Allow, take: Take) -> None:
    """Serve one HTTP/1.1 connection until it ends, is broken, is idle for too long, or is not allowed.

    Args:
        allow: judges a request before its body is read.
        take: takes the body of one that is allowed.
    """
    connection = h11.Connection(h11.SERVER)
    try:
        while True:
            async with asyncio.timeout(IDLE_S):
                request = await _next_event(connection, reader, writer)
            if not isinstance(request, h11.Request):
                return
            if status := allow(request):
                await _respond(connection, writer, status, "", last=True)
                return
            async with asyncio.timeout(REQUEST_S):
                await take(await _body(connection, reader, writer))
                await _respond(connection, writer, 204, "")
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()
    except h11.RemoteProtocolError as error:
        await _refuse(connection, writer, error.error_status_hint, "not HTTP/1.1 as it should be")
    except _Refused as refused:
        await _refuse(connection, writer, refused.status, str(refused))
    except (TimeoutError, ConnectionError):
        log.debug("a connection to the metrics endpoint broke off")


async def _body(connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    body = bytearray()
    while True:
        event = await _next_event(connection, reader, writer)
        if isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise _Refused(413, f"more than {MAX_BODY >> 20} MiB in one post")
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body)
        else:
            raise ConnectionResetError


async def _next_event(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    while True:
        event = connection.next_event()
        if event is not h11.NEED_DATA:
            return event
        if connection.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            writer.write(connection.send(go_on) or b"")
        connection.receive_data(await reader.read(READ_BYTES))


async def _respond(
    connection: h11.Connection, writer: asyncio.StreamWriter, status: int, text: str, *, last: bool = False
) -> None:
    body = text.encode()
    headers = [("content-length", str(len(body)))] if status != 204 else []
    headers += [("connection", "close")] if last else []
    for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
        writer.write(connection.send(event) or b"")
    await writer.drain()


async def _refuse(connection: h11.Connection, writer: asyncio.StreamWriter, status: int, text: str) -> None:
    if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
        try:
            await _respond(connection, writer, status, text, last=True)
        except ConnectionError:
            log.debug("a connection to the metrics endpoint broke off")
