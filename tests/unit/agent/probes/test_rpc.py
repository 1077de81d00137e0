"""The RPC probe: what it measures, and that every failure of a target is a reading."""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probes.http1_reader import InvalidAnswer, Reader, TooLarge
from agent.probes.rpc import RpcProbe, RpcTarget
from agent.probes.rpc_call import MAX_ANSWER_BYTES, error_class
from agent.probes.rpc_methods import RpcMethod
from tests.peers.fixtures import validator_peer
from tests.support import sink as support

OK = b'{"jsonrpc":"2.0","result":1,"id":1}'
SLOT = ("getSlot",)


class Kept(support.Kept):
    def errors(self) -> Counter[str]:
        return Counter({
            dict(series.labels)["class"]: len(values)
            for series, values in self.values.items()
            if series.name == "solana_rpc_errors"
        })  # fmt: skip


def aim(url: str, names: Sequence[str], *, period_s: float = 1.0, timeout_s: float = 5.0) -> RpcTarget:
    """Aim at some methods, each in the same period."""
    return RpcTarget(url, tuple(RpcMethod(name, period_seconds=period_s) for name in names), period_s, timeout_s)


async def probe(target: RpcTarget, seconds: float, tls: ssl.SSLContext | None = None) -> Kept:
    kept = Kept()
    task = asyncio.create_task(RpcProbe(target, tls).run(kept))
    await asyncio.sleep(seconds)
    assert not task.done(), "a probe ended by itself"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return kept


def response(body: bytes, status: bytes = b"200 OK", extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), extra, body)


@asynccontextmanager
async def canned(
    answer: Callable[[int], bytes],
    *,
    close: bool = False,
    tls: ssl.SSLContext | None = None,
    asked: list[dict[str, Any]] | None = None,
) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve raw bytes to each request; the list counts the connections that brought one."""
    requests = [0, 0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = True
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                if asked is not None:
                    asked.append(json.loads(body))
                requests[0] += 1
                requests[1] += first
                first = False
                writer.write(answer(requests[0]))
                await writer.drain()
                if close:
                    break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}", requests
    finally:
        server.close()
        await asyncio.sleep(0.02)


async def test_latencies_are_those_of_the_node() -> None:
    methods = ("getSlot", "getVersion", "getLeaderSchedule")
    async with validator_peer(latency_ms={"getSlot": 40}) as peer:
        sink = await probe(aim(peer.rpc_url, methods, period_s=0.2), 2.1)
    slow = sorted(sink.of("solana_rpc_latency_seconds", method="getSlot"))
    assert len(slow) >= 3
    assert 0.040 <= slow[0] < 0.060
    assert min(sink.of("solana_rpc_latency_seconds", method="getVersion")) < 0.02
    assert sink.of("solana_rpc_latency_seconds", method="getLeaderSchedule")
    assert set(sink.of("solana_rpc_requests", method="getSlot")) == {1.0}
    connects = sink.of("solana_rpc_connect_seconds")
    assert len(connects) >= 5 and 0 < min(connects) < 0.05
    assert not sink.errors()


@pytest.mark.parametrize(
    ("faults", "kind", "answered"),
    [
        ({"error_code": {"getSlot": -32005}}, "jsonrpc_-32005", True),
        ({"http_status": 503}, "http_503", False),
        ({"http_status": 429}, "http_429", False),
        ({"hang": "getSlot"}, "timeout", False),
    ],
)
async def test_faults_of_a_node_become_classes(faults: dict[str, Any], kind: str, answered: bool) -> None:
    async with validator_peer(**faults) as peer:
        sink = await probe(aim(peer.rpc_url, SLOT, period_s=0.2, timeout_s=0.3), 1.0)
    assert set(sink.errors()) == {kind}
    assert bool(sink.of("solana_rpc_latency_seconds", method="getSlot")) is answered
    assert len(sink.of("solana_rpc_requests", method="getSlot")) == sink.errors()[kind]


async def test_a_node_that_is_gone_and_comes_back(unused_tcp_port: int) -> None:
    target = aim(f"http://127.0.0.1:{unused_tcp_port}", SLOT, period_s=0.1)
    kept = Kept()
    task = asyncio.create_task(RpcProbe(target).run(kept))
    await asyncio.sleep(0.35)
    assert set(kept.errors()) == {"transport"}
    assert kept.of("solana_rpc_connect_errors", **{"class": "transport"})
    async with validator_peer(rpc_port=unused_tcp_port):
        async with asyncio.timeout(5):
            while not kept.of("solana_rpc_latency_seconds", method="getSlot"):
                await asyncio.sleep(0.02)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_call_still_in_flight_is_skipped_and_holds_up_no_other() -> None:
    methods = ("getSlot", "getVersion")
    async with validator_peer(latency_ms={"getSlot": 250}) as peer:
        sink = await probe(aim(peer.rpc_url, methods, period_s=0.1), 1.05)
    assert len(sink.of("solana_rpc_skipped", method="getSlot")) >= 3
    assert len(sink.of("solana_rpc_latency_seconds", method="getVersion")) >= 5
    assert 1 <= len(sink.of("solana_rpc_latency_seconds", method="getSlot")) <= 4


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (response(b"hello"), "invalid"),
        (response(b'{"jsonrpc":"2.0","id":1}'), "invalid"),
        (response(b'{"jsonrpc":"1.0","result":1,"id":1}'), "invalid"),
        (response(b"[" * 100_000 + b'"error"'), "invalid"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "invalid"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "invalid"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{", "too_large"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", "too_large"),
        (response(b"", b"302 Found", b"Location: http://127.0.0.1:1/\r\n"), "http_302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", "transport"),
        (b"", "transport"),
    ],
)
async def test_what_is_not_an_answer_has_its_class(answer: bytes, kind: str) -> None:
    async with canned(lambda _: answer, close=True) as (url, _):
        sink = await probe(aim(url, SLOT, period_s=0.1), 0.35)
    assert set(sink.errors()) == {kind}
    assert not sink.of("solana_rpc_latency_seconds", method="getSlot")


async def test_an_answer_of_a_byte_a_second_times_out_and_holds_up_no_other_method() -> None:
    serving: list[asyncio.Task[None]] = []

    async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                answer = response(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": 1}).encode())
                dripping = asked["method"] == "getSlot"
                for part in (answer[at : at + 1] for at in range(len(answer))) if dripping else (answer,):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(1.0 if dripping else 0)

    server = await asyncio.start_server(
        lambda *pair: serving.append(asyncio.create_task(answer_one(*pair))), "127.0.0.1", 0
    )
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        sink = await probe(aim(url, ("getSlot", "getHealth"), period_s=0.25, timeout_s=0.6), 2.1)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
    assert set(sink.errors()) == {"timeout"}
    assert 2 <= sink.errors()["timeout"] <= 4
    assert not sink.of("solana_rpc_latency_seconds", method="getSlot")
    assert len(sink.of("solana_rpc_latency_seconds", method="getHealth")) >= 6


async def test_a_body_without_end_is_cut_off() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_ANSWER_BYTES + 1)
    async with canned(lambda _: endless) as (url, _):
        sink = await probe(aim(url, SLOT, period_s=0.3), 0.8)
    assert set(sink.errors()) == {"too_large"}


async def test_connections_are_kept_and_stale_ones_are_no_error() -> None:
    async with canned(lambda _: response(OK)) as (url, requests):
        sink = await probe(aim(url, SLOT, period_s=0.05), 0.6)
    assert not sink.errors()
    assert requests[0] >= 3 and requests[1] == 1

    async with canned(lambda _: response(OK), close=True) as (url, requests):
        sink = await probe(aim(url, SLOT, period_s=0.05), 0.6)
    assert not sink.errors()
    assert requests[0] == requests[1] >= 3


async def test_chunked_and_unsized_bodies_are_read_to_their_end() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x;x=y\r\n%s\r\n0\r\nTrailer: 1\r\n\r\n"
    body = chunked % (OK[:5], len(OK) - 5, OK[5:])
    async with canned(lambda _: body) as (url, requests):
        assert not (await probe(aim(url, SLOT, period_s=0.1), 0.35)).errors()
    assert requests[1] == 1
    async with canned(lambda _: b"HTTP/1.1 200 OK\r\n\r\n" + OK, close=True) as (url, _):
        sink = await probe(aim(url, SLOT, period_s=0.1), 0.35)
    assert not sink.errors() and sink.of("solana_rpc_latency_seconds", method="getSlot")


async def test_https_is_verified_and_measured(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-keyout", str(key), "-out", str(cert), "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.DEVNULL)
    assert await made.wait() == 0
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    big = b'{"jsonrpc":"2.0","result":"%s","id":1}' % (b"x" * 500_000)
    async with canned(lambda count: response(OK if count % 2 else big), tls=server) as (url, requests):
        sink = await probe(aim(url, SLOT, period_s=0.1), 0.55, ssl.create_default_context(cafile=str(cert)))
        assert not sink.errors()
        assert len(sink.of("solana_rpc_latency_seconds", method="getSlot")) >= 2
        assert sink.of("solana_rpc_connect_seconds")
        assert requests[1] <= 2
        distrusted = await probe(aim(url, SLOT, period_s=0.1), 1.0)
        assert set(distrusted.errors()) == {"transport"}
        assert distrusted.of("solana_rpc_connect_errors", **{"class": "transport"})


async def test_a_busy_loop_does_not_lengthen_what_is_measured() -> None:
    async with validator_peer() as peer:
        kept = Kept()
        task = asyncio.create_task(RpcProbe(aim(peer.rpc_url, SLOT, period_s=0.02)).run(kept))
        loop = asyncio.get_running_loop()
        until = loop.time() + 1
        while loop.time() < until:
            busy = loop.time() + 0.05
            while loop.time() < busy:
                pass
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    seen = sorted(kept.of("solana_rpc_latency_seconds", method="getSlot"))
    assert seen[len(seen) // 2] < 0.02


async def test_each_method_has_its_own_period_and_commitment() -> None:
    asked: list[dict[str, Any]] = []
    methods = (
        RpcMethod("getSlot", period_seconds=0.1, commitment="processed"),
        RpcMethod("getVersion", period_seconds=0.4),
    )
    async with canned(lambda _: response(OK), asked=asked) as (url, _):
        sink = await probe(RpcTarget(url, methods), 1.25)
    names = Counter(call["method"] for call in asked)
    assert 10 <= names["getSlot"] <= 14
    assert 3 <= names["getVersion"] <= 4
    assert {json.dumps(call["params"]) for call in asked if call["method"] == "getSlot"} == {
        '[{"commitment": "processed"}]'
    }
    assert not sink.errors()


async def test_a_method_about_a_slot_waits_for_one_and_skipped_slots_are_no_error() -> None:
    asked: list[dict[str, Any]] = []

    def answer(number: int) -> bytes:
        block = asked[number - 1]["method"] == "getBlock"
        skipped = b'{"jsonrpc":"2.0","error":{"code":-32007,"message":"Slot was skipped"},"id":1}'
        return response(skipped if block else b'{"jsonrpc":"2.0","result":1000,"id":1}')

    methods = (RpcMethod("getBlock", period_seconds=0.1), RpcMethod("getSlot", period_seconds=0.1))
    async with canned(answer, asked=asked) as (url, _):
        sink = await probe(RpcTarget(url, methods), 0.55)
    assert asked[0]["method"] == "getSlot"
    assert {call["params"][0] for call in asked if call["method"] == "getBlock"} == {1000 - 64}
    assert sink.of("solana_rpc_skipped", method="getBlock") == [1.0]
    assert sink.of("solana_rpc_latency_seconds", method="getBlock")
    assert not sink.errors()


@pytest.mark.parametrize("code", [-32601, -32010, -32011])
async def test_a_method_that_is_not_offered_is_asked_for_once_and_is_no_failure(code: int) -> None:
    error = b'{"jsonrpc":"2.0","error":{"code":%d,"message":"no"},"id":1}' % code
    async with canned(lambda _: response(error)) as (url, requests):
        sink = await probe(aim(url, SLOT, period_s=0.1), 0.55)
    assert requests[0] == 1
    assert sink.of("solana_rpc_not_offered", method="getSlot").count(1.0) >= 4
    assert not sink.errors()
    assert not sink.of("solana_rpc_requests", method="getSlot")
    assert not sink.of("solana_rpc_latency_seconds", method="getSlot")


@pytest.mark.parametrize(
    "many",
    [
        response(b"slow down", b"429 Too Many Requests", b"Retry-After: 1\r\n"),
        response(b'{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests"},"id":1}'),
    ],
    ids=["http", "jsonrpc"],
)
async def test_a_node_that_asks_for_fewer_calls_is_left_alone(many: bytes) -> None:
    async with canned(lambda number: many if number == 1 else response(OK)) as (url, requests):
        sink = await probe(aim(url, ("getSlot", "getVersion"), period_s=0.1), 0.45)
        assert requests[0] == 1
        assert sum(sink.errors().values()) == 1
        skipped = sink.of("solana_rpc_skipped", method="getSlot") + sink.of("solana_rpc_skipped", method="getVersion")
        assert len(skipped) >= 6
        longer = await probe(aim(url, SLOT, period_s=0.1), 0.5)
    assert not longer.errors()


async def test_kept_connections_are_counted() -> None:
    async with canned(lambda _: response(OK), close=True) as (url, _):
        sink = await probe(aim(url, SLOT, period_s=0.1), 0.55)
    opened = sum(sink.of("solana_rpc_connections_opened"))
    assert opened >= 3
    assert sum(sink.of("solana_rpc_connections_dropped")) >= opened - 2
    async with canned(lambda _: response(OK)) as (url, _):
        sink = await probe(aim(url, SLOT, period_s=0.1), 0.55)
    assert sum(sink.of("solana_rpc_connections_opened")) == 1
    assert max(sink.of("solana_rpc_connections", state="idle")) == 1


def test_only_http_urls_are_targets() -> None:
    for url in ("ftp://x", "127.0.0.1:8899", "http://", "http://x/a b", "http://x:port"):
        with pytest.raises(ValueError):
            RpcProbe(aim(url, SLOT))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (OK, None),
        (b'{"jsonrpc":"2.0","result":null,"id":1}', None),
        (b'{"jsonrpc":"2.0","result":{"error":"no"},"id":1}', None),
        (b'{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}', "jsonrpc_-32601"),
        (b'{"jsonrpc":"2.0","error":{"code":7,"message":""},"id":1}', "jsonrpc_other"),
        (b'{"jsonrpc":"2.0","error":{},"id":1}', "invalid"),
        (b"", "invalid"),
        (b"[]", "invalid"),
        (b'{"jsonrpc":"2.0","result":"' + b"x" * 100_000 + b'","id":1}', None),
        (b'{"jsonrpc":"2.0","result":"' + b"x" * 100_000, "invalid"),
        (b'{"jsonrpc":"2.0","result":"' + b"x" * 100_000 + b'"error"', "invalid"),
    ],
)
def test_bodies_are_judged(body: bytes, kind: str | None) -> None:
    assert error_class(body) == kind


@given(st.binary() | st.text().map(str.encode))
def test_no_body_is_an_exception(body: bytes) -> None:
    assert error_class(body) is None or isinstance(error_class(body), str)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists), st.integers(-33_000, -31_000))
def test_results_and_errors_are_told_apart(value: object, code: int) -> None:
    assert error_class(json.dumps({"jsonrpc": "2.0", "result": value, "id": 1}).encode()) is None
    failure = error_class(json.dumps({"jsonrpc": "2.0", "error": {"code": code}, "id": 1}).encode())
    assert failure in (f"jsonrpc_{code}", "jsonrpc_other")


def cut(data: st.DataObject, stream: bytes) -> list[bytes]:
    places = sorted(data.draw(st.sets(st.integers(0, len(stream)))) | {0, len(stream)})
    return [stream[one:two] for one, two in pairwise(places)]


@given(st.lists(st.binary(min_size=1)), st.booleans(), st.data())
def test_a_response_is_the_same_however_it_is_cut(parts: list[bytes], chunked: bool, data: st.DataObject) -> None:
    body = b"".join(parts)
    if chunked:
        stream = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        stream += b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    else:
        stream = response(body)
    reader = Reader(10_000_000)
    ends = [reader.feed(piece) for piece in cut(data, stream) if piece]
    assert ends[-1] and not any(ends[:-1])
    assert (reader.status, reader.body, reader.keep) == (200, body, True)


@given(st.lists(st.binary() | st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"\r\n", b"Transfer-Encoding: chunked\r\n"])))
def test_the_reader_fails_only_in_the_ways_it_names(pieces: list[bytes]) -> None:
    reader = Reader(1000)
    with suppress(InvalidAnswer, TooLarge, ConnectionResetError):
        for piece in pieces:
            if reader.feed(piece):
                break
    assert len(reader.body) <= 1000
