"""The harm that test_wire.py does to REST, done to its other doors: Connect, streams of a client, and events."""

import asyncio
import base64
import gzip
import io
import json
import time
from collections.abc import AsyncIterator
from typing import NamedTuple
from urllib.parse import quote

import psutil
import pytest

from tests.security.test_wire import trickle
from tests.support.browser import Browser
from tests.support.plane import Plane
from tests.support.stand import Stand
from tests.support.stand import stand as stand

MEGABYTE = 1 << 20
ECHO = "/solward.toy.v1.Toy/Echo"
COLLECT = "/v1/collect"
JSON, PROTO = "application/json", "application/proto"
# Fields of Everything on the wire: numbers (11) packed, nested (12), many (13), and one that there is not (99).
NUMBERS, NESTED, MANY, UNKNOWN = b"\x5a", b"\x62", b"\x6a", b"\x9a\x06"


class Door(NamedTuple):
    """A way in that takes a body."""

    path: str
    content: str
    encoded: int

    def head(self, *lines: str) -> str:
        """Write the head of a request."""
        return "\r\n".join((f"POST {self.path} HTTP/1.1", "Host: x", f"Content-Type: {self.content}", *lines, "", ""))


DOORS = [
    pytest.param(Door(ECHO, JSON, 501), id="connect json"), pytest.param(Door(ECHO, PROTO, 501), id="connect proto"),
    pytest.param(Door(COLLECT, JSON, 415), id="client stream"),
]  # fmt: skip


def rss() -> int:
    return int(psutil.Process().memory_info().rss)


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def deep(levels: int) -> bytes:
    """Nest a message within itself, `nested` first and `deeper` (3) below it."""
    text = b""
    for level in range(levels):
        text = (NESTED if level == levels - 1 else b"\x1a") + varint(len(text)) + text
    return text


def raw_reason(said: bytes) -> str:
    """Give the reason that a body tells, in REST's words or in Connect's."""
    (detail,) = json.loads(said.partition(b"\r\n\r\n")[2])["details"]
    return str(detail.get("reason") or detail["debug"]["reason"])


async def post(stand: Stand, door: Door, body: bytes, **headers: str) -> int:
    sent = {"Content-Type": door.content} | {name.replace("_", "-"): value for name, value in headers.items()}
    return (await stand.send("POST", door.path, data=io.BytesIO(body), headers=sent)).status


@pytest.mark.parametrize("door", DOORS)
async def test_case_49_bomb_in_a_body_is_not_unpacked(stand: Stand, door: Door) -> None:
    bomb, before = gzip.compress(b"0" * (256 * MEGABYTE), 9), rss()
    for encoding in ("gzip", "deflate", "br", "zstd", "gzip, identity"):
        assert await post(stand, door, bomb, Content_Encoding=encoding) == door.encoded
    assert rss() - before < 64 * MEGABYTE


@pytest.mark.parametrize("path", [ECHO, COLLECT])
@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ('{"numbers": [' + "1," * 1_000_000 + "1]}", {413}),
        ('{"numbers": [' + "1," * 500_000 + "1]}", {200, 413}),
        ('{"nested": ' * 90_000, {400}),
        ('{"nested": ' * 5_000 + "1" + "}" * 5_000, {400}),
        ('{"nested": {"free": ' + '{"a": [' * 60_000 + "]}" * 60_000 + "}}", {400}),
        ('{"int64": ' + "9" * 900_000 + "}", {400}),
        ('{"' + '","'.join(f'k{n}":"' for n in range(50_000)) + '"}', {400}),
    ],
    ids=["million", "half a million", "deep objects", "deep whole", "deep mixed", "long number", "keys"],
)
async def test_case_49_json_that_is_dear_to_read_is_bounded(
    stand: Stand, path: str, text: str, statuses: set[int]
) -> None:
    before, began = rss(), time.monotonic()
    assert await post(stand, Door(path, JSON, 0), text.encode()) in statuses
    assert time.monotonic() - began < 5
    assert rss() - before < 256 * MEGABYTE


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (NUMBERS + varint(1_000_000) + b"\x01" * 1_000_000, {200, 413}),
        (MANY + b"\x00" + (MANY + b"\x00") * 500_000, {200, 413}),
        (deep(5_000), {400}),
        (deep(200_000), {400}),
        (b"\x0b" * 1_000_000, {400}),
        (UNKNOWN + varint(1_000_000) + b"x" * 1_000_000, {200}),
        (NUMBERS + varint(1 << 31), {400}),
        (b"\xff" * 1_000_000, {400}),
        (b"x" * (2 * MEGABYTE), {413}),
    ],
    ids=["million", "messages", "deep", "deeper", "groups", "unknown", "long length", "no wire", "oversize"],
)
async def test_case_49_protobuf_that_is_dear_to_read_is_bounded(stand: Stand, body: bytes, statuses: set[int]) -> None:
    before, began = rss(), time.monotonic()
    assert await post(stand, Door(ECHO, PROTO, 0), body) in statuses
    assert time.monotonic() - began < 5
    assert rss() - before < 256 * MEGABYTE


async def test_case_49_a_message_in_a_query_is_bounded_too(plane: Plane) -> None:
    before = rss()
    list_hosts = "/solward.hosts.v1.HostsService/ListHosts"
    async with Browser(plane) as browser:

        async def ask(encoding: str, message: str, more: str = "") -> int:
            query = f"encoding={encoding}&message={quote(message, safe='')}{more}"
            return (await browser.send("GET", f"{list_hosts}?{query}")).status

        # Whole, it is passed on, and who asks is not known.
        assert await ask("json", "{}") == 401
        assert await ask("json", '{"pageSize":' * 300 + "1" + "}" * 300) == 400
        assert await ask("json", "[" * 2_000) == 400
        groups = base64.urlsafe_b64encode(b"\x0b" * 5_000).decode()
        assert await ask("proto", groups, "&base64=1") == 400
        assert await ask("json", "x" * 9_000) == 400
        assert await ask("json", "{}", "&compression=gzip") == 501
        assert await ask("json", "{}", "&message=x") == 400
    assert rss() - before < 64 * MEGABYTE


@pytest.mark.parametrize("path", [ECHO, "/v1/stream", "/api/rpc/events", "/api/rpc/ws"])
async def test_case_49_a_long_query_is_refused_at_every_door(stand: Stand, path: str) -> None:
    before = rss()
    said = await stand.raw(f"GET {path}?message={'x' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert b" 400 " in said.splitlines()[0]
    assert rss() - before < 64 * MEGABYTE


@pytest.mark.parametrize("door", DOORS)
async def test_case_49_what_is_too_large_is_refused_before_it_is_read(stand: Stand, door: Door) -> None:
    before = rss()
    # By its length, before a byte of it has come, where all of it is one message.
    if door.path == ECHO:
        said = await stand.raw(door.head(f"Content-Length: {1 << 40}").encode())
        assert said.startswith(b"HTTP/1.1 413 ")
        assert raw_reason(said) == "BODY_TOO_LARGE"

    async def endless() -> AsyncIterator[bytes]:
        yield b'{"text": "'
        for _ in range(256):
            yield b"x" * MEGABYTE

    response = await stand.send("POST", door.path, data=endless(), headers={"Content-Type": door.content})
    assert response.status == 413
    assert rss() - before < 64 * MEGABYTE


async def test_case_49_a_long_stream_of_small_objects_is_not_kept(stand: Stand) -> None:
    async def objects() -> AsyncIterator[bytes]:
        line = json.dumps({"text": "x" * 60_000}).encode() + b"\n"
        for _ in range(1_000):
            yield line

    before = rss()
    response = await stand.send("POST", COLLECT, data=objects(), headers={"Content-Type": JSON})
    # 60 MB went through; each object waits until the server has taken the one before it, and the answer, which is too
    # large for gRPC, is the server's own matter.
    assert response.status == 429, await response.text()
    assert rss() - before < 256 * MEGABYTE


@pytest.mark.parametrize("path", [ECHO, COLLECT, "/v1/stream", "/api/rpc/events", "/api/rpc/ws"])
@pytest.mark.parametrize(
    "lines",
    [["X: " + "y" * 16_384], ["X: y"] * 100, ["Cookie: " + "a=b; " * 4_000], ["Authorization: " + "x" * 9_000]],
    ids=["long", "many", "cookies", "credential"],
)  # fmt: skip
async def test_case_49_headers_over_the_bounds_are_refused_at_every_door(
    stand: Stand, path: str, lines: list[str]
) -> None:
    head = "\r\n".join((f"GET {path} HTTP/1.1", "Host: x", "Accept: text/event-stream", *lines, "", ""))
    reply = await stand.raw(head.encode())
    assert b" 400 " in reply.splitlines()[0]


@pytest.mark.parametrize("door", DOORS)
async def test_case_50_bodies_that_trickle_are_cut_off(stand: Stand, door: Door) -> None:
    """A byte now and then is as slow as none, also within one object of a client's stream."""
    for length in ("Content-Length: 900", "Transfer-Encoding: chunked"):
        begin, drop = ('{"text":"', "x") if "Content" in length else ('9\r\n{"text":"\r\n', "1\r\nx\r\n")
        seconds, said = await trickle(stand.port, door.head(length) + begin, drop)
        assert seconds < 2.5
        assert said.startswith(b"HTTP/1.1 408 ")
        assert raw_reason(said) == "BODY_TOO_SLOW"


async def test_case_50_a_client_that_streams_steadily_may_take_longer_than_one_body(stand: Stand) -> None:
    async def steadily() -> AsyncIterator[bytes]:
        for number in range(8):
            yield json.dumps({"text": str(number)}).encode()
            await asyncio.sleep(0.2)

    response = await stand.send("POST", COLLECT, data=steadily(), headers={"Content-Type": JSON})
    assert response.status == 200, await response.text()


@pytest.mark.parametrize("path", [ECHO, COLLECT, "/v1/stream", "/api/rpc/events"])
async def test_case_50_headers_that_trickle_are_cut_off_at_every_door(stand: Stand, path: str) -> None:
    seconds, said = await trickle(stand.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n", "X: y\r\n", 0.2)
    assert seconds < 2.5
    assert b" 200 " not in said[:20]
