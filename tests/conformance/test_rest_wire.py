"""The gateway's conformance, second part: errors, headers, deadlines, streams and hostile clients."""

import asyncio
import json
import socket

import grpc
import pytest
from aiohttp import ClientSession
from grpc_health.v1 import health_pb2

from controlplane.gateway.server import build_app
from tests.conformance.toy import SERVICE
from tests.support.stand import TRUST, Stand, serving

STATUS_TABLE = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401]


@pytest.mark.parametrize(("code", "status"), list(enumerate(STATUS_TABLE)))
async def test_case_49_every_code(stand: Stand, code: int, status: int) -> None:
    response = await stand.send("GET", f"/v1/fail/{code}?details=true")
    assert response.status == status
    if code == 0:
        return
    body = await response.json()
    assert (body["code"], body["message"]) == (code, f"failed with {code}")
    assert body["details"][0] == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "TOY",
        "domain": "solward",
        "metadata": {"a": "b"},
    }
    assert response.headers["Retry-After"] == "2"
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if code == 16 else None)


async def test_case_49_unknown_details_and_none(stand: Stand) -> None:
    body = await stand.refused("GET", "/v1/fail/9?unknownDetail=true", 400)
    assert body["details"] == [
        {"@type": "type.googleapis.com/no.such.Type", "value": "AQ=="},
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "value": "/w=="},
    ]
    assert (await stand.refused("GET", "/v1/fail/9", 400))["details"] == []
    # Without details the words may be gRPC's own, about the inside.
    assert (await stand.refused("GET", "/v1/fail/14", 503))["message"] == "the control plane cannot be reached"


async def test_case_50_deadlines(stand: Stand) -> None:
    body = await stand.refused("GET", "/v1/slow", 504, headers={"Grpc-Timeout": "10m"})
    assert body["code"] == 4
    for wrong in ("INVALID", "10", "m", "-1S", "123456789S", "1.5S", "1s"):
        await stand.refused("GET", "/v1/slow", 400, headers={"Grpc-Timeout": wrong})
    stand.toy.started.clear()
    task = asyncio.create_task(stand.send("GET", "/v1/slow"))
    await stand.toy.started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert stand.toy.deadline_s is not None
    assert 4 < stand.toy.deadline_s < 5.5


async def test_cases_51_59_only_known_headers_pass(stand: Stand) -> None:
    headers = {
        "Authorization": "Bearer token",
        "solward-second-factor": "proof",
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        "X-Forwarded-For": "6.6.6.6",
        "solward-client-ip": "6.6.6.6",
        "solward-gateway-secret": "guess",
        "Grpc-Metadata-X": "x",
        "Grpc-Metadata-x-bin": "***",
        "grpcgateway-authorization": "x",
        "x-agent-id": "x",
        "grpc-status": "0",
        "Cookie": "session=x",
        "Foo!Bar": "x",
    }
    pairs = (await stand.get("/v1/metadata", headers=headers))["pairs"]
    assert pairs.pop("user-agent").startswith("grpc-python-asyncio")
    assert pairs == {
        "authorization": "Bearer token",
        "solward-second-factor": "proof",
        "traceparent": headers["traceparent"],
        "solward-client-ip": "127.0.0.1",
        "solward-raw-peer": "127.0.0.1",
        "solward-gateway-secret": "the-secret",
    }


async def test_case_51_a_value_that_grpc_cannot_carry_is_left_out(stand: Stand) -> None:
    text = "GET /v1/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\ntraceparent: é\r\n\r\n"
    reply = await stand.raw(text.encode())
    assert reply.startswith(b"HTTP/1.1 200")
    assert b"traceparent" not in reply


async def test_a_credential_twice_is_refused(stand: Stand) -> None:
    line = "Authorization: Bearer a\r\n"
    text = f"GET /v1/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{line}{line}\r\n"
    assert (await stand.raw(text.encode())).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("path", ["/v1/slow", "/v1/stream?count=1000&pauseMs=20"])
async def test_case_54_a_client_that_leaves_ends_its_call(stand: Stand, path: str) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", stand.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await writer.drain()
    await stand.toy.started.wait()
    writer.close()
    async with asyncio.timeout(1):
        await stand.toy.cancelled.wait()
    await writer.wait_closed()


async def test_case_54_even_with_more_body_than_it_said(stand: Stand) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", stand.port)
    head = b"POST /v1/slow HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    writer.write(head + b"GET /" + b"x" * 4000)
    await writer.drain()
    await stand.toy.started.wait()
    writer.close()
    async with asyncio.timeout(1):
        await stand.toy.cancelled.wait()
    await writer.wait_closed()


async def test_case_55_streams_flush_each_message(stand: Stand) -> None:
    url = f"http://127.0.0.1:{stand.port}/v1/stream?count=3&pauseMs=200"
    loop = asyncio.get_running_loop()
    times = []
    async with stand.session.get(url) as response:
        assert (response.status, response.content_type) == (200, "application/x-ndjson")
        async for line in response.content:
            times.append(loop.time())
            assert json.loads(line).keys() == {"result"}
    assert len(times) == 3
    assert times[2] - times[0] > 0.3


async def test_case_55_errors_before_and_after_the_first_message(stand: Stand) -> None:
    response = await stand.send("GET", "/v1/stream?count=2&failCode=9")
    lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert response.status == 200
    assert [list(line) for line in lines] == [["result"], ["result"], ["error"]]
    assert (lines[2]["error"]["code"], lines[2]["error"]["details"][0]["reason"]) == (9, "TOY")
    assert (await stand.refused("GET", "/v1/stream?failCode=7", 403))["code"] == 7


async def test_case_55_events_where_asked_for(stand: Stand) -> None:
    headers = {"Accept": "text/event-stream"}
    response = await stand.send("GET", "/v1/stream?count=1&failCode=9", headers=headers)
    assert response.content_type == "text/event-stream"
    events = (await response.text()).split("\n\n")
    assert events[0] == 'data: {"result":{}}'
    assert events[1].startswith('data: {"error":{"code":9')
    assert events[2] == ""


async def test_case_56_an_empty_stream(stand: Stand) -> None:
    response = await stand.send("GET", "/v1/stream")
    assert (response.status, await response.read()) == (200, b"")


async def test_a_stream_ends_at_its_deadline_only(stand: Stand) -> None:
    response = await stand.send("GET", "/v1/stream?count=9&pauseMs=50", headers={"Grpc-Timeout": "120m"})
    lines = (await response.text()).splitlines()
    assert 1 <= len(lines) - 1 < 9
    assert json.loads(lines[-1])["error"]["code"] == 4


async def test_a_reader_that_stops_reading_is_dropped(stand: Stand) -> None:
    with socket.create_connection(("127.0.0.1", stand.port)) as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = b"GET /v1/stream?count=1000&size=100000 HTTP/1.1\r\nHost: x\r\n\r\n"
        await asyncio.get_running_loop().sock_sendall(client, head)
        async with asyncio.timeout(5):
            await stand.toy.cancelled.wait()


async def test_case_57_head(stand: Stand) -> None:
    for path, status in (("/v1/echo?text=x", 200), ("/v1/fail/7", 403), ("/v1/stream?count=3", 200)):
        response = await stand.send("HEAD", path)
        assert (response.status, await response.read()) == (status, b"")
    assert (await stand.send("HEAD", "/v1/things")).status == 405
    assert (await stand.send("HEAD", "/health?service=nope")).status == 404


async def test_case_58_method_override_is_ignored(stand: Stand) -> None:
    headers = {"X-HTTP-Method-Override": "DELETE"}
    response = await stand.send("POST", "/v1/echo", json={"text": "x"}, headers=headers)
    assert await response.json() == {"text": "x"}


async def test_case_60_health(stand: Stand) -> None:
    serving = health_pb2.HealthCheckResponse.SERVING
    await stand.health.set("", serving)
    await stand.health.set("part", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert await stand.get("/health") == {"status": "SERVING"}
    for path, status in (("/health?service=part", 503), ("/health?service=nope", 404)):
        assert (await stand.send("GET", path)).status == status


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
