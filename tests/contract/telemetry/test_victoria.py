"""A VictoriaMetrics that is dead, frozen, or says something odd."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator

import numpy as np
import pytest
from aiohttp import web

from controlplane.telemetry.store import victoria as module
from controlplane.telemetry.store.keeper import Keeper
from controlplane.telemetry.store.model import Aggregation, Batch, QueryRefused, StoreDown
from controlplane.telemetry.store.settings import HotSettings
from controlplane.telemetry.store.victoria import VictoriaStore
from tests.support.ports import free_ports
from tests.support.victoria import VictoriaServer, victoria

NOW = int(time.time()) * 1000
Answer = Callable[[], web.Response]
SUM = Aggregation("sum")


@pytest.fixture
def server() -> Iterator[VictoriaServer]:
    with victoria() as running:
        yield running


def batch(store: VictoriaStore, count: int = 1, at: int = NOW) -> Batch:
    number = store.book.intern("a", "m", {})
    return Batch(np.full(count, number, np.int32), at - 1000 * np.arange(count), np.ones(count))


async def test_what_waits_is_written_when_it_is_back(server: VictoriaServer) -> None:
    store = VictoriaStore(server.url, HotSettings())
    keeper = Keeper(store)
    number = keeper.define("a", "m", {})
    server.kill()
    for second in range(6):
        keeper.put(NOW - second * 1000, np.array([number]), np.array([1.0]))
        assert not await keeper.flush()
    with pytest.raises(StoreDown, match="failed too often"):
        await store.append(batch(store))
    await asyncio.to_thread(server.start)
    await asyncio.sleep(1.3)
    assert await keeper.flush()
    await asyncio.to_thread(server.show)
    frame = await store.query_range("m", [], NOW - 60_000, NOW + 1000, 1000, SUM)
    assert np.nansum(frame.values) == 6
    await store.close()


async def test_many_samples_go_in_several_requests(server: VictoriaServer) -> None:
    store = VictoriaStore(server.url, HotSettings())
    await store.append(batch(store, 25_000))
    await asyncio.to_thread(server.show)
    frame = await store.query_range("m", [], NOW - 26_000_000, NOW + 1000, 86_400_000 * 2, Aggregation("count"))
    assert np.nansum(frame.values) == 25_000
    await store.close()


@pytest.fixture
async def odd() -> AsyncIterator[tuple[str, dict[str, Answer]]]:
    """A server that answers as it is told: its URL, and what it says next."""
    says: dict[str, Answer] = {}

    async def answer(_: web.Request) -> web.Response:
        return says["next"]()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://user:hidden-word@127.0.0.1:{port}/sub", says
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [(500, b"", StoreDown), (503, b"", StoreDown), (401, b"", StoreDown), (302, b"", StoreDown),
     (422, b"bad", QueryRefused), (200, b"no JSON", StoreDown),
     (200, b'{"data":{}}', StoreDown), (200, b'[]', StoreDown),
     (200, b'{"data":{"result":[{"metric":{},"values":[[1,"x"]]}]}}', StoreDown),
     (200, b'{"data":{"result":[{"metric":{},"values":[[1e12,"1"]]}]}}', StoreDown),
     (200, b'{"data":{"result":[{"metric":{},"values":[[1,"1"]]}]}}', StoreDown)],
)  # fmt: skip
async def test_an_odd_answer_is_an_error_that_tells_no_secret(
    odd: tuple[str, dict[str, Answer]], status: int, body: bytes, error: type[Exception]
) -> None:
    url, says = odd
    says["next"] = lambda: web.Response(status=status, body=body, headers={"location": "http://example.net"})
    store = VictoriaStore(url, HotSettings())
    with pytest.raises(error) as raised:
        await store.query_range("m", [], NOW - 1000, NOW, 1000, SUM)
    assert "hidden-word" not in str(raised.value)
    await store.close()


async def test_an_answer_without_end_is_cut(
    odd: tuple[str, dict[str, Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, says = odd
    monkeypatch.setattr(module, "MAX_ANSWER", 1_000_000)
    says["next"] = lambda: web.Response(body=b"x" * 2_000_000)
    store = VictoriaStore(url, HotSettings())
    with pytest.raises(QueryRefused, match="too long"):
        await store.query_range("m", [], NOW - 1000, NOW, 1000, SUM)
    await store.close()


async def test_a_frozen_one_costs_a_deadline(server: VictoriaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALL_SECONDS", 0.5)
    store = VictoriaStore(server.url, HotSettings())
    await store.append(batch(store))
    with server.frozen():
        began = time.monotonic()
        with pytest.raises(StoreDown, match="does not answer"):
            await store.append(batch(store))
        assert time.monotonic() - began < 2
    await store.close()
