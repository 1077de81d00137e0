"""Clients of the live door, and hosts whose telemetry it tells."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from solward.hosts.v1 import link_pb2

from controlplane.telemetry.ingest import Ingest
from tests.support.plane import Plane

PATH = "/api/rpc/ws"


class Samples:
    """Sends a host's samples straight into an ingest, one batch a second of its clock."""

    def __init__(self, ingest: Ingest, host: str, methods: tuple[str, ...] = ("getSlot",)) -> None:
        self._ingest = ingest
        self._host = host
        self._methods = methods
        self._sequence = 0
        ingest.open(host, link_pb2.Hello(spool_id=f"spool-{host}", first_sequence=1))

    def send(self, latency_s: float = 0.01, requests: float = 10.0, timeouts: float = 0.0, second: int = 0) -> None:
        """Send one second."""
        self._sequence += 1
        batch = link_pb2.SampleBatch(sequence=self._sequence, unix_ms=(second or int(time.time())) * 1000)
        for place, method in enumerate(self._methods):
            for kind, (name, value, labels) in enumerate((
                ("solana_rpc_latency_seconds", latency_s, {}),
                ("solana_rpc_requests", requests, {}),
                ("solana_rpc_errors", timeouts, {"class": "timeout"}),
            )):  # fmt: skip
                number = place * 3 + kind
                batch.definitions.add(id=number, name=name, labels={"method": method} | labels, counts=kind > 0)
                batch.series.append(number)
                batch.values.append(value)
        self._ingest.samples(self._host, batch)


class Viewer:
    """One client."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, **wish: Any) -> None:
        """Send a message."""
        await self.socket.send_str(json.dumps(wish))

    async def next(self, *keys: str, within_s: float = 10.0) -> dict[str, Any]:
        """Wait for a message that has these members."""
        async with asyncio.timeout(within_s):
            while True:
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, (message, self.socket.close_code)
                told: dict[str, Any] = json.loads(message.data)
                if all(key in told for key in keys):
                    return told

    async def reason(self) -> str:
        """Wait for an error; gives its reason."""
        return str((await self.next("error"))["error"]["details"][0]["reason"])

    async def close_code(self, within_s: float = 30.0) -> int | None:
        """Read on until the socket is closed; gives the close code."""
        async with asyncio.timeout(within_s):
            while (await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return self.socket.close_code


@asynccontextmanager
async def viewer(plane: Plane, token: str = "", **options: Any) -> AsyncIterator[Viewer]:
    """Connect a client; raises WSServerHandshakeError where it is not let in."""
    context = ssl.create_default_context(cadata=plane.installation.ca.pem)
    headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
    url = f"https://localhost:{plane.app.gateway_port}{options.pop('path', PATH)}"
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.ws_connect(url, headers=headers, **options) as socket,
    ):
        yield Viewer(socket)
