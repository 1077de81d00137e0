"""The peer as a whole: it serves, is taken down, and comes back."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
import grpc.aio
from aiohttp import WSMsgType, web
from yellowstone.geyser_pb2_grpc import add_GeyserServicer_to_server

from tests.peers.yellowstone.node import Faults, Node, Slot
from tests.peers.yellowstone.service import PING_S, Geyser
from tests.support.ports import free_ports

_OPTIONS = (
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_send_message_length", -1),
)


class Pair(NamedTuple):
    """A certificate and its key, PEM."""

    key: bytes
    certificate: bytes


class Peer:
    """One plugin and its node."""

    def __init__(self, node: Node, service: Geyser, port: int, tls: Pair | None) -> None:
        self.node, self.service = node, service
        self._port, self._tls = port, tls
        self._server: grpc.aio.Server | None = None
        self.ws_url = ""

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def faults(self) -> Faults:
        return self.node.faults

    async def up(self) -> None:
        if self._server:
            return
        self._server = grpc.aio.server(options=_OPTIONS)
        add_GeyserServicer_to_server(self.service, self._server)  # type: ignore[no-untyped-call]
        address = f"127.0.0.1:{self._port}"
        if self._tls:
            self._server.add_secure_port(address, grpc.ssl_server_credentials([self._tls]))
        else:
            self._server.add_insecure_port(address)
        await self._server.start()

    async def down(self) -> None:
        """Let go of every stream, and let nobody in any more."""
        if self._server:
            await self._server.stop(None)
            self._server = None


def pubsub(node: Node) -> web.Application:
    """Serve the node's own subscriptions to slots; both methods push at the moment when a slot is made."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        queue: asyncio.Queue[Slot] = asyncio.Queue()
        node.listeners.add(queue.put_nowait)
        pushing = asyncio.create_task(_push(socket, queue, node))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    call: dict[str, Any] = json.loads(message.data)
                    await socket.send_str(json.dumps({"jsonrpc": "2.0", "result": call["id"], "id": call["id"]}))
        finally:
            node.listeners.discard(queue.put_nowait)
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    return app


async def _push(socket: web.WebSocketResponse, queue: "asyncio.Queue[Slot]", node: Node) -> None:
    while True:
        slot = await queue.get()
        node.pushed_at.setdefault(slot.number, time.monotonic())
        results: dict[str, dict[str, object]] = {
            "slotsUpdates": {"type": "frozen", "slot": slot.number, "timestamp": 1, "stats": {}},
            "slot": {"slot": slot.number, "parent": slot.parent, "root": slot.number - 32},
        }
        for method, result in results.items():
            params = {"result": result, "subscription": 1}
            await socket.send_str(json.dumps({"jsonrpc": "2.0", "method": f"{method}Notification", "params": params}))


@asynccontextmanager
async def yellowstone(
    *, slot_ms: float = 50.0, token: str = "", tls: Pair | None = None, ping_s: float = PING_S, port: int = 0,
    ws_port: int = 0, first_slot: int = 1_000,
) -> AsyncIterator[Peer]:  # fmt: skip
    """Serve a plugin and its node.

    Args:
        token: what x-token must be; empty: anything.
        tls: serve with it.
        ping_s: seconds between two pings.
        first_slot: where its node begins.
        port, ws_port: of gRPC and of the node's subscriptions; 0: free ones.
    """
    node = Node(slot_ms, first_slot)
    peer = Peer(node, Geyser(node, token, ping_s), port or free_ports(1)[0], tls)
    running = asyncio.create_task(node.run())
    runner = web.AppRunner(pubsub(node), access_log=None, shutdown_timeout=0.1)
    try:
        await peer.up()
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", ws_port).start()
        peer.ws_url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
        yield peer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await runner.cleanup()
        await peer.down()
