"""Clients that speak HTTP and HTTP/2 to do harm: slowly, ambiguously, too much, or never."""

import asyncio
import gzip
import io
import json
import re
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
from prometheus_client import REGISTRY
from solward.auth.v1 import auth_pb2

from controlplane.gateway.site import Caps, listening
from tests.support.plane import Plane
from tests.support.stand import CAPS, Stand
from tests.support.stand import stand as stand

MEGABYTE = 1 << 20
POST = "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = "GET /v1/echo HTTP/1.1\r\nHost: x\r\n"
NEXT = "GET /v1/fail/7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def held() -> float:
    return REGISTRY.get_sample_value("solward_http_connections") or 0.0


async def until(true: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


# 49: too much of anything


async def test_case_49_bomb_in_a_body_is_not_unpacked(stand: Stand) -> None:
    bomb = gzip.compress(b"0" * (256 * MEGABYTE), 9)
    assert len(bomb) < MEGABYTE
    before = psutil.Process().memory_info().rss
    for encoding in ("gzip", "deflate", "br", "zstd", "gzip, identity"):
        headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
        assert (await stand.send("POST", "/v1/echo", data=bomb, headers=headers)).status == 415
    assert psutil.Process().memory_info().rss - before < 64 * MEGABYTE


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ('{"numbers": [' + "1," * 1_000_000 + "1]}", {413}),
        ('{"numbers": [' + "1," * 500_000 + "1]}", {200, 413}),
        ("[" * 500_000, {400}),
        ('{"nested": ' * 90_000, {400}),
        ('{"nested": ' * 5_000 + "1" + "}" * 5_000, {400}),
        ('{"text": "' + "\\u0000" * 150_000 + '"}', {200}),
        ('{"int64": ' + "9" * 900_000 + "}", {400}),
        ('{"' + '","'.join(f'k{n}":"' for n in range(50_000)) + '"}', {400}),
    ],
    ids=["million", "half a million", "deep", "deep objects", "deep whole", "nul", "long number", "keys"],
)
async def test_case_49_bodies_that_are_dear_to_read_are_bounded(stand: Stand, text: str, statuses: set[int]) -> None:
    before = psutil.Process().memory_info().rss
    began = time.monotonic()
    headers = {"Content-Type": "application/json"}
    assert (await stand.send("POST", "/v1/echo", data=io.BytesIO(text.encode()), headers=headers)).status in statuses
    assert time.monotonic() - began < 5
    assert psutil.Process().memory_info().rss - before < 256 * MEGABYTE


# 50: slow clients, and many


async def hear(reader: asyncio.StreamReader) -> bytes:
    """Read what comes until the end, however it ends: a late byte of ours makes the kernel cut the connection."""
    heard = bytearray()
    with suppress(ConnectionError):
        while part := await reader.read(65_536):
            heard += part
    return bytes(heard)


async def trickle(port: int, head: str, drop: str, every_s: float = 0.1, most_s: float = 5.0) -> tuple[float, bytes]:
    """Send a byte now and then; give after how long the server ended it, and what it said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode())
    began = time.monotonic()
    said = asyncio.create_task(hear(reader))
    try:
        while time.monotonic() - began < most_s and not said.done():
            writer.write(drop.encode())
            await asyncio.wait({said}, timeout=every_s)
        return time.monotonic() - began, await said
    finally:
        writer.close()


@pytest.mark.parametrize("drop", ["x", "X: y\r\n"])
async def test_case_50_headers_that_trickle_are_cut_off(stand: Stand, drop: str) -> None:
    found = await asyncio.gather(*(trickle(stand.port, GET, drop, 0.2) for _ in range(10)))
    assert all(seconds < 2.5 for seconds, _ in found)
    assert not any(b"200" in said for _, said in found)


async def test_case_50_bodies_that_trickle_are_cut_off(stand: Stand) -> None:
    for head in (POST + "Content-Length: 900\r\n\r\n{", POST + "Transfer-Encoding: chunked\r\n\r\n"):
        drop = "x" if "Length" in head else "1\r\n \r\n"
        seconds, said = await trickle(stand.port, head, drop)
        assert seconds < 2.5
        assert said.startswith(b"HTTP/1.1 408")
        assert b"BODY_TOO_SLOW" in said


async def test_case_50_a_connection_that_says_nothing_is_closed(stand: Stand) -> None:
    for begin in ("", GET + "\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", stand.port)
        writer.write(begin.encode())
        async with asyncio.timeout(3):
            await reader.read()
        writer.close()


async def test_case_50_one_address_has_a_bounded_number_of_connections(stand: Stand) -> None:
    before = held()
    opened = [await asyncio.open_connection("127.0.0.1", stand.port) for _ in range(CAPS.per_address + 15)]
    await until(lambda: held() - before == CAPS.per_address, 3)
    # Those over the cap end at once, long before the others' patience is over.
    async with asyncio.timeout(0.5):
        for reader, _ in opened[CAPS.per_address :]:
            with suppress(ConnectionError):
                assert await reader.read() == b""
    # Another address is served as ever.
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.port, local_addr=("127.0.0.2", 0))
    writer.write((GET + "Connection: close\r\n\r\n").encode())
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    for _, one in [*opened, (reader, writer)]:
        one.close()
    await until(lambda: held() == before, 3)
    assert (await stand.send("GET", "/v1/echo")).status == 200


class Silent(asyncio.Protocol):
    """Takes everything, and says nothing."""


async def test_case_50_a_thousand_connections_in_all_are_bounded_and_given_back() -> None:
    before = held()
    async with listening(Silent, "127.0.0.1", 0, None, Caps(connections=50, per_address=1000)) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
        await until(lambda: held() - before == 50, 3)
        for _, writer in opened:
            writer.close()
        await until(lambda: held() == before, 3)


async def test_case_50_a_handshake_that_is_never_made_counts_and_ends(plane: Plane) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    before = held()
    caps = Caps(per_address=2, handshake_s=0.5)
    async with listening(Silent, "127.0.0.1", 0, context, caps) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        opened[0][1].write(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: held() == before, 3)
        for _, writer in opened:
            writer.close()


async def test_case_50_a_client_that_reads_nothing_is_given_up(stand: Stand) -> None:
    before = held()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", stand.port))
        body = json.dumps({"text": "x" * 900_000})
        request = f"{POST}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        await until(lambda: held() > before, 1)
        try:
            async with asyncio.timeout(6):
                for _ in range(30):
                    await loop.sock_sendall(client, request)
        except (TimeoutError, ConnectionError):
            pass
        await until(lambda: held() == before, 6)


FRAME_SETTINGS, FRAME_PING, FRAME_GOAWAY, FRAME_RESET, FRAME_HEADERS = 4, 6, 7, 3, 1
MAX_CONCURRENT_STREAMS = 3


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


@asynccontextmanager
async def http2(plane: Plane) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = ssl.create_default_context(cadata=plane.installation.ca.pem)
    context.set_alpn_protocols(["h2"])
    port = plane.app.servers.tls_port
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(FRAME_SETTINGS))
    try:
        yield reader, writer
    finally:
        writer.close()


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    while True:
        try:
            head = await reader.readexactly(9)
            yield head[3], await reader.readexactly(int.from_bytes(head[:3], "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return


async def test_case_50_flood_of_pings_ends_the_connection(plane: Plane) -> None:
    async with http2(plane) as (reader, writer):

        async def listen() -> list[bytes]:
            return [payload async for kind, payload in frames(reader) if kind == FRAME_GOAWAY]

        listening_for = asyncio.create_task(listen())
        # One at a time: what comes after the end would throw away the words that say why.
        for _ in range(20):
            if not listening_for.done():
                writer.write(frame(FRAME_PING, b"12345678"))
                await asyncio.wait({listening_for}, timeout=0.05)
        async with asyncio.timeout(5):
            said = await listening_for
    # ENHANCE_YOUR_CALM
    assert any(payload[4:8] == struct.pack(">I", 11) for payload in said)


async def test_case_50_streams_of_a_connection_are_bounded(plane: Plane) -> None:
    async with http2(plane) as (reader, _), asyncio.timeout(5):
        async for kind, payload in frames(reader):
            if kind == FRAME_SETTINGS and payload:
                settings = dict(struct.iter_unpack(">HI", payload))
                assert settings[MAX_CONCURRENT_STREAMS] == 500
                return
    raise AssertionError("no settings came")


async def test_case_50_streams_opened_and_reset_at_once_keep_nobody_else_out(plane: Plane) -> None:
    person = await plane.sign_in()
    method = "solward.auth.v1.AuthService/GetCaller"

    def literal(name: str, value: str) -> bytes:
        return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

    head = b"".join(
        literal(name, value)
        for name, value in {
            ":method": "POST", ":scheme": "https", ":path": f"/{method}", ":authority": "localhost",
            "content-type": "application/grpc", "te": "trailers",
        }.items()
    )  # fmt: skip
    channel = plane.channel()
    await plane.call(method, auth_pb2.GetCallerRequest(), auth_pb2.Caller, person, channel=channel)
    before = psutil.Process().memory_info().rss
    async with http2(plane) as (_, writer):
        for number in range(1, 10_001, 2):
            writer.write(frame(FRAME_HEADERS, head, 4, number))
            writer.write(frame(FRAME_RESET, struct.pack(">I", 8), 0, number))
        try:
            async with asyncio.timeout(10):
                await writer.drain()
        except ConnectionError:
            pass
        began = time.monotonic()
        await plane.call(method, auth_pb2.GetCallerRequest(), auth_pb2.Caller, person, channel=channel)
        assert time.monotonic() - began < 5
    assert psutil.Process().memory_info().rss - before < 128 * MEGABYTE


# 51: requests that two readers would read in two ways


@pytest.mark.parametrize("path", ["/v1/echo", "/solward.toy.v1.Toy/Echo", "/v1/collect", "/api/rpc/events"])
@pytest.mark.parametrize(
    "text",
    [
        POST + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        POST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        POST + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        POST + "Content-Length: +2\r\n\r\n{}",
        POST + "Content-Length: 0x2\r\n\r\n{}",
        POST + "Content-Length: 2, 2\r\n\r\n{}",
        POST + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}",
        POST + "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}",
        GET + "X: a\r\n b\r\n\r\n",
        GET + "X: a\r\n\tb\r\n\r\n",
        GET.replace("\r\n", "\n") + "\n",
        GET + "X: a\nY: b\r\n\r\n",
        GET + "X: a\rY: b\r\n\r\n",
        GET + "X: a\0b\r\n\r\n",
        GET + "X y: z\r\n\r\n",
        GET + "X: y\r\n" * 200 + "\r\n",
        GET + "X: " + "y" * 16_384 + "\r\n\r\n",
        "GET /" + "y" * 20_000 + " HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "CONNECT evil:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        GET + "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /v1/echo HTTP/9.9\r\nHost: x\r\n\r\n",
    ],
)  # fmt: skip
async def test_case_51_requests_in_doubt_are_refused_and_closed(stand: Stand, text: str, path: str) -> None:
    reply = await stand.raw((text.replace("/v1/echo", path) + NEXT).encode())
    assert b" 400 " in reply.splitlines()[0] or b" 405 " in reply.splitlines()[0]
    # What came after it was not taken for a request of its own.
    assert len(re.findall(rb"^HTTP/1\.[01] [0-9]{3} ", reply, re.MULTILINE)) == 1


@pytest.mark.parametrize("text", [
    "GET /v1/echo\x01secret HTTP/1.1\r\nHost: x\r\n\r\n", "secret\r\n\r\n",
    "GET /v1/echo HTTP/1.1\r\nHost: x\r\nsecret\r\n\r\n",
    f"GET /v1/echo HTTP/1.1\r\nHost: x\r\nX: secret{'x' * 20_000}\r\n\r\n",
    "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: secret\r\n\r\n",
], ids=["path", "first line", "header", "long header", "length"])  # fmt: skip
async def test_what_is_no_http_is_refused_in_json_and_repeated_nowhere(stand: Stand, text: str) -> None:
    head, _, body = (await stand.raw(text.encode())).partition(b"\r\n\r\n")
    # By the older version, the connection ends with the answer.
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert head.startswith(b"HTTP/1.0") or b"connection: close" in head.lower()
    assert b"content-type: application/json" in head.lower()
    error = json.loads(body)
    assert error["code"] == 3
    assert error["details"][0]["reason"] == "HTTP_MALFORMED"
    assert b"secret" not in body + head


@pytest.mark.parametrize("path", ["/v1/echo", "/solward.toy.v1.Toy/Echo", "/health", "/nothing"])
async def test_an_expectation_that_nobody_knows_is_refused_in_json(stand: Stand, path: str) -> None:
    text = f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: secret\r\nContent-Length: 2\r\n\r\n{{}}" + NEXT
    reply = await stand.raw(text.encode())
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 417 ")
    assert json.loads(body)["details"][0]["reason"] == "EXPECTATION_UNKNOWN"
    assert b"secret" not in reply


@pytest.mark.parametrize("path", ["/v1/echo", "/solward.toy.v1.Toy/Echo"])
async def test_half_of_a_surrogate_pair_is_refused_and_fills_no_log(stand: Stand, path: str) -> None:
    for text in (r'{"\ud800":1}', r'{"text":"\ud800"}', r'{"text":"\udc00\ud800"}'):
        response = await stand.send("POST", path, data=text.encode(), headers={"Content-Type": "application/json"})
        assert response.status == 400
        assert "surrogate" in await response.text()
