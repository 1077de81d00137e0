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
from agent.probes.validator_log import Digest
from common.clock import now_ms

log = structlog.get_logger(__name__)

MAX_BODY = 16 << 20
REQUEST_S = 10.0
MAX_CONNECTIONS = 8
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
        try:
            server = await asyncio.start_server(posts.accept, HOST, self.port)
        except OSError as error:
            # The rest of the agent goes on: telemetry of one kind is not worth the hand on the validator.
            log.error("the metrics endpoint cannot listen", port=self.port, why=error.strerror)
            await asyncio.Event().wait()
            return
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            try:
                while True:
                    await asyncio.sleep(1.0)
                    digest.tick(log_lines=False)
            finally:
                await posts.close()


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
            await serve_http(reader, writer, self._take)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _take(self, request: h11.Request, body: bytes) -> tuple[int, str]:
        try:
            return await self._write(request, body)
        except _Refused as refused:
            self._count("refused")
            return refused.status, str(refused)

    async def _write(self, request: h11.Request, body: bytes) -> tuple[int, str]:
        target = urlsplit(request.target.decode())
        query = {key: values[-1] for key, values in parse_qs(target.query).items()}
        if target.path == "/ping":
            return 204, ""
        if target.path != "/write" or request.method != b"POST":
            raise _Refused(404, "only POST /write is served")
        if not self._is_ours(query):
            raise _Refused(401, "the user or password is not the one of solward-agent metrics-config")
        if self._forward:
            self._forward(body)
        await self._digest_body(body.decode(errors="replace"))
        self._count("taken")
        return 204, ""

    def _is_ours(self, query: dict[str, str]) -> bool:
        password = hmac.compare_digest(query.get("p", "").encode(), self._password.encode())
        return password and query.get("u") == USER

    async def _digest_body(self, body: str) -> None:
        now = now_ms()
        for number, point in enumerate(datapoint.from_line_protocol(body)):
            self._digest.point(point, now)
            # A post holds up to 40,000 points; the loop has other things to do in between.
            if number % 200 == 199:
                await asyncio.sleep(0)

    def _count(self, outcome: str) -> None:
        self._sink.sample(POSTS[outcome], 1.0)


Handler = Callable[[h11.Request, bytes], Awaitable[tuple[int, str]]]


async def serve_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handler) -> None:
    """Serve one HTTP/1.1 connection until it ends, is broken, or is idle for too long."""
    connection = h11.Connection(h11.SERVER)
    try:
        while True:
            async with asyncio.timeout(60.0):
                request = await _next_event(connection, reader, writer)
            if not isinstance(request, h11.Request):
                return
            async with asyncio.timeout(REQUEST_S):
                status, text = await handle(request, await _body(connection, reader, writer))
                await _respond(connection, writer, status, text)
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
