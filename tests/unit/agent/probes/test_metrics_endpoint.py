"""The metrics endpoint, spoken to as a validator speaks to InfluxDB, and as others might."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from agent.logs import metrics_config
from agent.probes import metrics_endpoint as module
from agent.probes.metrics_endpoint import MetricsEndpoint
from agent.probes.metrics_forward import MAX_WAITING, MetricsForward
from tests.support.sink import Kept

PASSWORD = "p" * 48
BODY = b"bank_frozen,host_id=x slot=5i 1786710896000000000\nshred_insert_is_full,host_id=x num_repaired=2i 1\n"
GOOD = f"/write?db=solward&u=solward&p={PASSWORD}&precision=n"


@asynccontextmanager
async def endpoint(forward: Callable[[bytes], None] | None = None) -> AsyncIterator[tuple[str, Kept, int]]:
    sink, served = Kept(), MetricsEndpoint(0, PASSWORD, forward)
    task = asyncio.create_task(served.run(sink))
    while not served.port:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{served.port}", sink, served.port
    finally:
        await asyncio.sleep(1.1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_post_becomes_series() -> None:
    forwarded: list[bytes] = []
    async with endpoint(forwarded.append) as (url, sink, _), aiohttp.ClientSession(url) as session:
        for _ in range(2):
            async with session.post(GOOD, data=BODY) as reply:
                assert reply.status == 204
        async with session.get("/ping") as reply:
            assert reply.status == 204
    assert sink.of("solana_validator_frozen_slot") == [5.0, 5.0]
    assert sum(sink.of("solana_validator_repaired_shreds")) == 4.0
    assert sink.of("solana_metrics_posts", outcome="taken") == [1.0, 1.0]
    assert sink.of("solana_log_lag_seconds") == []
    assert forwarded == [BODY, BODY]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/write?db=solward&u=solward&p=wrong", 401),
        ("POST", f"/write?db=solward&u=other&p={PASSWORD}", 401),
        ("POST", "/write", 401),
        ("GET", GOOD, 404),
        ("POST", "/query?q=drop", 404),
    ],
)
async def test_who_is_not_the_validator_is_refused(method: str, path: str, status: int) -> None:
    async with (
        endpoint() as (url, sink, _),
        aiohttp.ClientSession(url) as session,
        session.request(method, path, data=BODY) as reply,
    ):
        assert reply.status == status
        assert PASSWORD not in await reply.text()
    assert sink.of("solana_validator_frozen_slot") == []
    assert sink.of("solana_metrics_posts", outcome="refused") == [1.0]


async def test_a_body_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BODY", 100_000)
    async with endpoint() as (url, _, _port), aiohttp.ClientSession(url) as session:
        # The answer may be lost where the sender is still writing when the connection ends.
        with suppress(aiohttp.ClientError):
            async with session.post(GOOD, data=b"x" * 200_000) as reply:
                assert reply.status == 413
        async with session.post(GOOD, data=BODY) as reply:
            assert reply.status == 204


@pytest.mark.parametrize("sent", [b"", b"\x00\xff\r\n\r\n", b"POST /write HTTP/9.9\r\n\r\n", b"G" * 200_000])
async def test_garbage_ends_its_own_connection_alone(sent: bytes) -> None:
    async with endpoint() as (url, _, port), aiohttp.ClientSession(url) as session:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            writer.write(sent)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        async with session.post(GOOD, data=BODY) as reply:
            assert reply.status == 204


async def test_a_port_that_is_taken_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.05)
    async with endpoint() as (url, _, port):
        sink = Kept()
        second = asyncio.create_task(MetricsEndpoint(port, PASSWORD).run(sink))
        await asyncio.sleep(0.1)
        assert not second.done()
    async with aiohttp.ClientSession(url) as session:
        await asyncio.sleep(0.2)
        async with session.post(GOOD, data=BODY) as reply:
            assert reply.status == 204
        assert sink.of("solana_metrics_posts", outcome="taken") == [1.0]
        second.cancel()
        with suppress(asyncio.CancelledError):
            await second


def config(port: int) -> str:
    return f"host=http://127.0.0.1:{port},db=tds,u=some,p=one"


@asynccontextmanager
async def influx(status: int, posts: list[tuple[str, bytes]]) -> AsyncIterator[int]:
    async def handle(request: aiohttp.web.Request) -> aiohttp.web.Response:
        posts.append((request.path_qs, await request.read()))
        return aiohttp.web.Response(status=status)

    runner = aiohttp.web.AppRunner(application := aiohttp.web.Application())
    application.router.add_post("/write", handle)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def sending(forward: MetricsForward) -> AsyncIterator[Kept]:
    sink = Kept()
    task = asyncio.create_task(forward.run(sink))
    try:
        yield sink
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_posts_are_sent_on_in_order() -> None:
    posts: list[tuple[str, bytes]] = []
    async with influx(204, posts) as port, sending(forward := MetricsForward(config(port))) as sink:
        forward.add(b"one")
        forward.add(b"two")
        while len(posts) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
    assert posts == [("/write?db=tds&u=some&p=one&precision=n", body) for body in (b"one", b"two")]
    assert sink.of("solana_metrics_forwarded", outcome="sent") == [1.0, 1.0]


async def test_what_is_refused_is_not_sent_again() -> None:
    posts: list[tuple[str, bytes]] = []
    async with influx(401, posts) as port, sending(forward := MetricsForward(config(port))) as sink:
        forward.add(b"one")
        while not sink.of("solana_metrics_forwarded", outcome="failed"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    assert len(posts) == 1


async def test_what_waits_too_long_is_dropped_and_counted() -> None:
    forward = MetricsForward(config(1))
    for number in range(MAX_WAITING + 5):
        forward.add(str(number).encode())
    async with sending(forward) as sink:
        await asyncio.sleep(0.05)
    assert sink.of("solana_metrics_forwarded", outcome="dropped") == [5.0]


@pytest.mark.parametrize("text", ["", "host=http://x", "host=ftp://x,db=a,u=b,p=c", "host=http://,db=a,u=b,p=c"])
def test_a_forward_that_cannot_be_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match="forward"):
        metrics_config.parse(text)


def test_the_validator_is_told_where_to_send() -> None:
    assert metrics_config.parse(metrics_config.ours(8086, "secret")) == {
        "host": "http://127.0.0.1:8086", "db": "solward", "u": "solward", "p": "secret",
    }  # fmt: skip
