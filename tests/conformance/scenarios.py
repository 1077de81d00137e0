"""Cases that take more than a request and its answer."""

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator
from urllib.parse import quote

from grpc_health.v1 import health_pb2

from tests.support.stand import Stand

JSON = {"Content-Type": "application/json"}
STRINGS = ["é€😀", "a b", '"', "%", "a/b", "?#&=+", "\\", "<>", "a:b", "~.-_", "%2F", "\u202e", "\x01"]
LARGE = 1 << 20


async def a_path_without_a_slash(stand: Stand) -> None:
    reply = await stand.raw(b"GET v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b" 400 " in reply.splitlines()[0]


async def broken_escapes(stand: Stand) -> None:
    for path in ("/foo/%", "/foo/%zz", "/v1/echo/text/%2", "/v1/echo/text/%ff"):
        reply = await stand.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert reply.startswith(b"HTTP/1.1 400"), path


async def everything_goes_round(stand: Stand) -> None:
    for text in STRINGS:
        escaped = quote(text, safe="")
        assert await stand.get(f"/v1/echo/text/{escaped}") == {"text": text}
        assert await stand.get(f"/v1/echo?text={escaped}") == {"text": text}
        response = await stand.send("POST", "/v1/echo", json={"text": text})
        assert await response.json() == {"text": text}
        response = await stand.send("PUT", f"/v1/echo/{escaped}", json={"subValue": text})
        assert await response.json() == {"text": text, "nested": {"subValue": text}}


async def bodies_that_do_not_fit(stand: Stand) -> None:
    for body in (
        b'{"text":"\xff"}', b'{"text":"\\ud800"}', b"\xef\xbb\xbf{}", b'{"int64":' + b"9" * 5000 + b"}", b"[" * 100_000,
        b'{"nested":' * 5000 + b"{}" + b"}" * 5000, b'{"nested":{"deeper":' + b'{"deeper":' * 70 + b"{}" + b"}" * 72,
    ):  # fmt: skip
        await stand.refused("POST", "/v1/echo", 400, data=body, headers=JSON)
    await stand.refused("GET", "/v1/echo", 400, json={})
    assert (await stand.send("DELETE", "/v1/nothing")).status == 200
    await stand.refused("DELETE", "/v1/nothing", 400, json={})


async def a_body_over_the_limit(stand: Stand) -> None:
    large = b'{"text":"' + b"x" * LARGE + b'"}'
    await stand.refused("POST", "/v1/echo", 413, data=io.BytesIO(large), headers=JSON)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    await stand.refused("POST", "/v1/echo", 413, data=chunks(), headers=JSON)
    fits = b'{"text":"' + b"x" * (LARGE - 11) + b'"}'
    assert (await stand.send("POST", "/v1/echo", data=io.BytesIO(fits), headers=JSON)).status == 200


async def compressed_bodies(stand: Stand) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    await stand.refused("POST", "/v1/echo", 415, data=bomb, headers=JSON | {"Content-Encoding": "gzip"})


async def raw_bodies(stand: Stand) -> None:
    response = await stand.send("GET", "/v1/raw?text=text/csv;charset%3Dutf-8&data=YSxi")
    assert (await response.read(), response.headers["Content-Type"]) == (b"a,b", "text/csv;charset=utf-8")
    response = await stand.send("GET", "/v1/raw?text=a%0D%0ASet-Cookie:x&data=YSxi")
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert "Set-Cookie" not in response.headers


async def unknown_details_and_none(stand: Stand) -> None:
    body = await stand.refused("GET", "/v1/fail/9?details=true", 400)
    info = {"reason": "TOY", "domain": "solward", "metadata": {"a": "b"}}
    assert body["details"][0] == {"@type": "type.googleapis.com/google.rpc.ErrorInfo"} | info
    assert (await stand.send("GET", "/v1/fail/9?details=true")).headers["Retry-After"] == "2"
    body = await stand.refused("GET", "/v1/fail/9?unknownDetail=true", 400)
    assert body["details"] == [
        {"@type": "type.googleapis.com/no.such.Type", "value": "AQ=="},
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "value": "/w=="},
    ]
    assert (await stand.refused("GET", "/v1/fail/9", 400))["details"] == []
    # Without details the words may be gRPC's own, about the inside.
    assert (await stand.refused("GET", "/v1/fail/14", 503))["message"] == "the control plane cannot be reached"


async def deadlines(stand: Stand) -> None:
    for wrong in ("m", "-1S", "1.5S", "1s"):
        await stand.refused("GET", "/v1/slow", 400, headers={"Grpc-Timeout": wrong})
    stand.toy.started.clear()
    task = asyncio.create_task(stand.send("GET", "/v1/slow"))
    await stand.toy.started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert stand.toy.deadline_s is not None
    assert 4 < stand.toy.deadline_s < 5.5
    response = await stand.send("GET", "/v1/stream?count=9&pauseMs=50", headers={"Grpc-Timeout": "120m"})
    lines = (await response.text()).splitlines()
    assert 1 <= len(lines) - 1 < 9
    assert json.loads(lines[-1])["error"]["code"] == 4


async def only_known_headers_pass(stand: Stand) -> None:
    headers = {
        "Authorization": "Bearer token", "solward-second-factor": "proof",
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "X-Forwarded-For": "6.6.6.6",
        "solward-client-ip": "6.6.6.6", "solward-gateway-secret": "guess", "Grpc-Metadata-X": "x",
        "Grpc-Metadata-x-bin": "***", "grpcgateway-authorization": "x", "x-agent-id": "x", "grpc-status": "0",
        "Cookie": "session=x", "Foo!Bar": "x",
    }  # fmt: skip
    pairs = (await stand.get("/v1/metadata", headers=headers))["pairs"]
    assert pairs.pop("user-agent").startswith("grpc-python-asyncio")
    assert pairs == {
        "authorization": "Bearer token", "solward-second-factor": "proof", "traceparent": headers["traceparent"],
        "solward-client-ip": "127.0.0.1", "solward-raw-peer": "127.0.0.1", "solward-gateway-secret": "the-secret",
    }  # fmt: skip


async def a_value_that_grpc_cannot_carry(stand: Stand) -> None:
    text = "GET /v1/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\ntraceparent: é\r\n\r\n"
    reply = await stand.raw(text.encode())
    assert reply.startswith(b"HTTP/1.1 200")
    assert b"traceparent" not in reply


async def no_trailers_pass(stand: Stand) -> None:
    for headers in ({}, {"TE": "trailers"}):
        answer = await stand.send("GET", "/v1/fail/9?details=true", headers=headers)
        assert not [name for name in answer.headers if name.lower().startswith(("grpc-", "trailer"))]


async def a_client_that_leaves(stand: Stand) -> None:
    post = b"POST /v1/slow HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    for head in (
        b"GET /v1/slow HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/stream?count=1000&pauseMs=20 HTTP/1.1\r\nHost: x\r\n\r\n",
        # Even with more body than it said.
        post + b"GET /" + b"x" * 4000,
    ):
        stand.toy.started.clear()
        stand.toy.cancelled.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", stand.port)
        writer.write(head)
        await writer.drain()
        await stand.toy.started.wait()
        writer.close()
        async with asyncio.timeout(1):
            await stand.toy.cancelled.wait()
        await writer.wait_closed()


async def streams_flush_each_message(stand: Stand) -> None:
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
    response = await stand.send("GET", "/v1/stream?count=2&failCode=9")
    lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert response.status == 200
    assert [list(line) for line in lines] == [["result"], ["result"], ["error"]]
    assert (lines[2]["error"]["code"], lines[2]["error"]["details"][0]["reason"]) == (9, "TOY")
    response = await stand.send("GET", "/v1/stream?count=1&failCode=9", headers={"Accept": "text/event-stream"})
    assert response.content_type == "text/event-stream"
    events = (await response.text()).split("\n\n")
    assert events[0] == 'data: {"result":{}}'
    assert events[1].startswith('data: {"error":{"code":9')
    assert events[2] == ""


async def health(stand: Stand) -> None:
    await stand.health.set("", health_pb2.HealthCheckResponse.SERVING)
    await stand.health.set("part", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert await stand.get("/health") == {"status": "SERVING"}
    for path, status in (("/health?service=part", 503), ("/health?service=nope", 404)):
        assert (await stand.send("GET", path)).status == status
    assert (await stand.send("HEAD", "/health?service=nope")).status == 404
