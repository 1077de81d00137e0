"""What a client meets besides the cases: hardening, credentials twice, readers that stop, a server that is away."""

import asyncio
import socket

import grpc
import pytest
from aiohttp import ClientSession

from controlplane.gateway import replies
from controlplane.gateway.server import build_app
from tests.conformance.toy import SERVICE
from tests.support.stand import TRUST, Stand, serving


async def test_a_credential_twice_is_refused(stand: Stand) -> None:
    line = "Authorization: Bearer a\r\n"
    text = f"GET /v1/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}{line}\r\n"
    assert (await stand.raw(text.encode())).startswith(b"HTTP/1.1 400")


async def test_a_reader_that_stops_reading_is_dropped(stand: Stand) -> None:
    with socket.create_connection(("127.0.0.1", stand.port)) as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = b"GET /v1/stream?count=1000&size=100000 HTTP/1.1\r\nHost: x\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(client, head)
        async with asyncio.timeout(5):
            await stand.toy.cancelled.wait()


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream"])
async def test_a_stream_that_has_nothing_to_say_yet_is_begun(
    stand: Stand, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "FIRST_S", 0.1)
    monkeypatch.setattr(replies, "QUIET_S", 0.2)
    began = asyncio.get_running_loop().time()
    url, headers = f"http://127.0.0.1:{stand.port}/v1/stream", {"Accept": accept}
    asked = {"count": "1", "waitMs": "1000", "failCode": "9"}
    async with stand.session.get(url, params=asked, headers=headers) as response:
        assert asyncio.get_running_loop().time() - began < 0.5
        assert (response.status, response.content_type) == (200, accept)
        text = await response.text()
    # Events are kept alive with comments, which their readers pass over; lines are left as they are.
    assert (text.count(":\n\n") >= 2) == (accept == "text/event-stream")
    told = [line for line in text.splitlines() if "result" in line or "error" in line]
    assert len(told) == 2
    # What fails before anything was said, and soon, has a status of its own.
    assert (await stand.send("GET", "/v1/stream?count=0&failCode=9")).status == 400


async def test_responses_are_hardened(stand: Stand) -> None:
    for path in ("/v1/echo", "/nothing", "/health", "/v1/stream?count=1"):
        headers = (await stand.send("GET", path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"] == "solward"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


async def test_an_unreachable_server_is_503_without_its_address() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        app = build_app(channel, [SERVICE], TRUST)
        async with serving(app) as port, ClientSession() as session:
            for path in ("/v1/echo", "/health"):
                async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                    assert response.status == 503
                    assert "127.0.0.1" not in await response.text()
