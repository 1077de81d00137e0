"""An agent's stream, spoken message by message, and other small looks into a running control plane."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from solward.hosts.v1 import link_pb2
from solward.hosts.v1.link_pb2_grpc import LinkServiceStub

from tests.support.plane import Machine, Plane, Refused

StreamCall = grpc.aio.StreamStreamCall[link_pb2.ConnectRequest, link_pb2.ConnectResponse]


@dataclass
class Stream:
    """One stream of an agent, after its Welcome."""

    call: StreamCall
    welcome: link_pb2.Welcome

    async def send(self, **message: Any) -> None:
        """Send one message: samples=..., unit=..., receipt=..."""
        await self.call.write(link_pb2.ConnectRequest(**message))

    async def next(self) -> link_pb2.ConnectResponse:
        """Read one message; raise Refused when the server has ended the stream with an error."""
        try:
            message = await self.call.read()
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from None
        assert isinstance(message, link_pb2.ConnectResponse), "the stream ended in peace"
        return message

    async def refusal(self) -> Refused:
        """Wait until the server ends the stream with an error."""
        with pytest.raises(Refused) as caught:
            while True:
                await self.next()
        return caught.value


def hello(token: str = "", **fields: Any) -> link_pb2.Hello:
    """Begin as a fresh agent would, or with the exchange token of its last Welcome."""
    # It says that it keeps a later trust bundle than there is, so that none is sent.
    wanted = {"agent_version": "0.1.0", "protocol": 1, "spool_id": uuid.uuid4().hex, "trust_version": 2**62} | fields
    return link_pb2.Hello(exchange_token=token, **wanted)


@asynccontextmanager
async def agent_stream(
    plane: Plane,
    machine: Machine,
    first: link_pb2.Hello | None = None,
    channel: grpc.aio.Channel | None = None,
) -> AsyncIterator[Stream]:
    """Open a stream as a host and wait for its Welcome; raise Refused where it is not let in."""
    call: StreamCall = LinkServiceStub(channel or plane.channel(machine)).Connect(timeout=60)
    try:
        await call.write(link_pb2.ConnectRequest(hello=first or hello()))
        stream = Stream(call, link_pb2.Welcome())
        stream.welcome.CopyFrom((await stream.next()).welcome)
        yield stream
    finally:
        call.cancel()


async def refused(call: Any) -> Refused:
    """Await a call that must be refused; give the refusal."""
    with pytest.raises(Refused) as caught:
        await call
    return caught.value


async def entries(plane: Plane, **wanted: Any) -> list[dict[str, Any]]:
    """Read the audit entries that have these values, oldest first."""
    page = await plane.app.auditing.log.list(limit=1000)
    bodies = [json.loads(entry.body) for entry in reversed(page.entries)]
    return [body for body in bodies if all(body.get(key) == value for key, value in wanted.items())]


def shift(monkeypatch: pytest.MonkeyPatch, module: str, ms: int) -> None:
    """Let a module see a clock that is ahead by some milliseconds (behind, if negative)."""
    from common.clock import now_ms

    monkeypatch.setattr(f"{module}.now_ms", lambda: now_ms() + ms)
