"""Operators' open streams end when the session does."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from google.protobuf.empty_pb2 import Empty
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import link_pb2
from solward.hosts.v1.link_pb2_grpc import LinkServiceStub
from solward.rpc.v1 import rpc_pb2

from common.clock import now_ms
from common.errors import info_of, status_of
from controlplane.store.tables import users
from tests.support.plane import Person, Plane


async def _watch(plane: Plane, who: Person) -> grpc.aio.UnaryStreamCall[rpc_pb2.WatchMetricsRequest, rpc_pb2.Metrics]:
    invoke = plane.channel().unary_stream(
        "/solward.rpc.v1.RpcService/WatchMetrics",
        rpc_pb2.WatchMetricsRequest.SerializeToString,
        rpc_pb2.Metrics.FromString,
    )
    call = invoke(rpc_pb2.WatchMetricsRequest(), metadata=(("authorization", f"Bearer {who.token}"),))
    await call.read()
    return call


async def _reason(call: grpc.aio.UnaryStreamCall[rpc_pb2.WatchMetricsRequest, rpc_pb2.Metrics]) -> str:
    async with asyncio.timeout(5):
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            while True:
                await call.read()
    return info_of(status_of(ended.value)).reason


async def test_case_26_logout_ends_an_open_stream(plane: Plane) -> None:
    person = await plane.sign_in("viewer")
    call = await _watch(plane, person)
    await plane.call("solward.auth.v1.AuthService/Logout", auth_pb2.LogoutRequest(), Empty, person)
    assert await _reason(call) == "SESSION_OVER"


async def test_case_26_a_role_taken_away_ends_an_open_stream(plane: Plane) -> None:
    person = await plane.sign_in("viewer")
    call = await _watch(plane, person)
    async with plane.app.records.engine.begin() as connection:
        await connection.execute(users.update().where(users.c.uid == person.uid).values(role="none"))
    assert await _reason(call) == "PERMISSION_MISSING"


async def test_an_agent_that_goes_away_is_not_shown_as_connected(plane: Plane) -> None:
    machine = await plane.add_machine(await plane.sign_in())
    token = ""
    for leave in ("call", "channel"):
        channel = plane.channel(machine)
        call = LinkServiceStub(channel).Connect(_hello_and_silence(token))
        token = (await call.read()).welcome.exchange_token
        (host,) = plane.app.operations.links.known()
        assert host.connected
        if leave == "call":
            call.cancel()
        else:
            await channel.close()
        async with asyncio.timeout(5):
            while host.connected:
                await asyncio.sleep(0.02)


async def _hello_and_silence(token: str) -> AsyncIterator[link_pb2.ConnectRequest]:
    hello = link_pb2.Hello(protocol=1, spool_id="a" * 32, first_sequence=1, unix_ms=now_ms(), exchange_token=token)
    yield link_pb2.ConnectRequest(hello=hello)
    await asyncio.sleep(60)
