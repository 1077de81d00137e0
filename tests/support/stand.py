"""The toy server, a gateway before it, and a client, for each test of the gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from aiohttp import ClientResponse, ClientSession, ClientTimeout, web
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from yarl import URL

from controlplane.gateway.server import Trust, build_app
from controlplane.gateway.site import Caps, Limits
from controlplane.web import serve_site
from tests.conformance.toy import SERVICE, Toy

LIMITS = Limits(body_s=0.5, unary_s=5.0, write_s=1.0, headers_s=1.0)
CAPS = Caps(unread_s=1.0, per_address=20)
TRUST = Trust("the-secret", "c" * 32)
add_health: Any = health_pb2_grpc.add_HealthServicer_to_server


@dataclass
class Stand:
    """A toy server, a gateway before it, and a client."""

    toy: Toy
    health: Any
    port: int
    session: ClientSession

    async def send(self, method: str, path: str, **options: Any) -> ClientResponse:
        url = URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)
        response = await self.session.request(method, url, **options)
        await response.read()
        return response

    async def get(self, path: str, **options: Any) -> Any:
        response = await self.send("GET", path, **options)
        assert response.status == 200, await response.text()
        return await response.json()

    async def refused(self, method: str, path: str, status: int, **options: Any) -> Any:
        response = await self.send(method, path, **options)
        assert response.status == status, await response.text()
        body = await response.json()
        assert body.keys() == {"code", "message", "details"}
        return body

    async def raw(self, text: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text)
        await writer.drain()
        try:
            async with asyncio.timeout(5):
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[int]:
    async with serve_site(app, "127.0.0.1:0", caps=CAPS, limits=LIMITS) as port:
        yield port


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    server = grpc.aio.server()
    toy = Toy()
    servicer = HealthServicer()
    add_health(servicer, server)
    server.add_generic_rpc_handlers((toy,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        app = build_app(channel, [SERVICE], TRUST, LIMITS)
        async with serving(app) as http_port, ClientSession(timeout=ClientTimeout(20)) as session:
            yield Stand(toy, servicer, http_port, session)
    await server.stop(None)
