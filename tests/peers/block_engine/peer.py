"""The peer as a whole: regions that serve, are taken down, and come back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import grpc
import grpc.aio
from aiohttp import web

from tests.peers.block_engine.grpc_side import Searcher, Tokens, add_services
from tests.peers.block_engine.http_side import Http
from tests.peers.block_engine.region import Faults, Region
from tests.peers.block_engine.world import World
from tests.support.ports import free_ports

# Clients ping as Envoy lets them.
_OPTIONS = (("grpc.http2.min_ping_interval_without_data_ms", 1_000), ("grpc.keepalive_permit_without_calls", 1))


class Pair(NamedTuple):
    """A certificate and its key, PEM."""

    key: bytes
    certificate: bytes


class Served:
    """One region that is served, or down."""

    def __init__(self, region: Region, names: list[str], ports: tuple[int, int], tls: Pair | None) -> None:
        self.region, self.http, self.tokens = region, Http(region), Tokens(region)
        self._names, (self.grpc_port, self.http_port), self._tls = names, ports, tls
        self._server: grpc.aio.Server | None = None
        self._runner: web.AppRunner | None = None
        self.searcher: Searcher | None = None

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self.grpc_port}"

    @property
    def json_rpc(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def faults(self) -> Faults:
        return self.region.faults

    async def up(self) -> None:
        if self._server:
            return
        self._server = grpc.aio.server(options=_OPTIONS)
        self.searcher = add_services(self._server, self.region, self.tokens, self._names)
        address = f"127.0.0.1:{self.grpc_port}"
        if self._tls:
            self._server.add_secure_port(address, grpc.ssl_server_credentials([self._tls]))
        else:
            self._server.add_insecure_port(address)
        await self._server.start()
        self._runner = web.AppRunner(self.http.app(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.http_port).start()

    async def down(self) -> None:
        """Let nobody in any more."""
        if self._server:
            await self._server.stop(None)
            self._server = None
        if self._runner:
            await self._runner.cleanup()
            self._runner = None


class Peer:
    """A block engine."""

    def __init__(
        self,
        names: Sequence[str],
        ports: Sequence[tuple[int, int]],
        world: World,
        per_second: float,
        tls: Pair | None,
    ) -> None:
        self.world = world
        self.regions = {
            name: Served(Region(name, world, per_second), list(names), pair, tls)
            for name, pair in zip(names, ports, strict=True)
        }

    def __getitem__(self, name: str) -> Served:
        return self.regions[name]


@asynccontextmanager
async def block_engine(
    *names: str, per_second: float = 1e6, slot_s: float = 0.05, final_slots: int = 4,
    ports: Sequence[tuple[int, int]] = (), tls: Pair | None = None,
) -> AsyncIterator[Peer]:  # fmt: skip
    """Serve a block engine.

    Args:
        names: its regions.
        per_second: calls a second that one address may make of one region.
        slot_s: seconds of a slot.
        final_slots: slots until one is rooted.
        ports: of each region, gRPC's and HTTP's; by default free ones.
        tls: serve gRPC with it.
    """
    names = names or ("ny",)
    if not ports:
        free = free_ports(2 * len(names))
        ports = list(zip(free[::2], free[1::2], strict=True))
    peer = Peer(names, ports, World(slot_s, final_slots), per_second, tls)
    running = [asyncio.create_task(served.region.run()) for served in peer.regions.values()]
    try:
        for served in peer.regions.values():
            await served.up()
        yield peer
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for served in peer.regions.values():
            await served.down()
