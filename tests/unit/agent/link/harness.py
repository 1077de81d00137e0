"""An agent's link put together for tests, and a control plane whose every word a test decides."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.hosts.v1 import link_pb2
from solward.hosts.v1.link_pb2_grpc import LinkServiceServicer, add_LinkServiceServicer_to_server

from agent.actions.executor import Executor
from agent.allowlist import Allowlist
from agent.identity import Identity, IdentityStore
from agent.journal import Journal
from agent.link.direct import DirectLink
from agent.link.spool import Spool
from agent.probes.base import Series
from agent.probes.unit import UnitWatch
from agent.settings import Settings
from agent.witness import Witness
from common.pki import load_certificates
from tests.support.plane import Machine, Plane
from tests.unit.agent.fakes import UNIT, FakeSystemd, make_identity

KEY = Ed25519PrivateKey.generate()
WAIT_S = 10.0


@dataclass
class Link:
    """The parts of an agent that its link is made of."""

    folder: Path
    spool: Spool
    systemd: FakeSystemd
    units: UnitWatch
    direct: DirectLink
    identity: Identity

    def measure(self, count: int = 1, name: str = "up") -> None:
        """Spool batches of one sample."""
        for _ in range(count):
            number = self.spool.series_id(Series.of(name))
            batch = link_pb2.SampleBatch(unix_ms=1_000_000, series=[number], values=[1.0])
            self.spool.append(link_pb2.ConnectRequest(samples=batch))
        self.direct.spooled()


@contextmanager
def link_parts(folder: Path, identity: Identity | None = None) -> Iterator[Link]:
    """Put an agent's link together in a folder."""
    mine = identity or make_identity(KEY)
    with ThreadPoolExecutor(1) as worker:
        spool, journal, systemd = Spool(folder, 1 << 20), Journal(folder), FakeSystemd()
        allowed = Allowlist({UNIT: frozenset({"validator.restart"})})
        executor = Executor(systemd, journal, allowed, lambda: mine, worker, spool.make_room)
        units = UnitWatch(systemd, [UNIT])
        direct = DirectLink(spool, worker, executor, units, allowed, Witness(folder, mine.audit_key))
        yield Link(folder, spool, systemd, units, direct, mine)
    spool.close()
    journal.close()


class Stream:
    """One stream as the server sees it."""

    def __init__(self, context: grpc.aio.ServicerContext) -> None:
        self.context = context
        self._arrived: asyncio.Queue[link_pb2.ConnectRequest] = asyncio.Queue()
        self._outgoing: asyncio.Queue[link_pb2.ConnectResponse | None] = asyncio.Queue()

    async def take_in(self, messages: AsyncIterator[link_pb2.ConnectRequest]) -> None:
        async for message in messages:
            self._arrived.put_nowait(message)

    async def next(self, kind: str) -> link_pb2.ConnectRequest:
        """Give the next message of a kind; others before it are passed over."""
        async with asyncio.timeout(WAIT_S):
            while (message := await self._arrived.get()).WhichOneof("message") != kind:
                pass
        return message

    async def batches(self, count: int) -> list[link_pb2.SampleBatch]:
        return [(await self.next("samples")).samples for _ in range(count)]

    def welcome(self, acked: int = 0) -> None:
        self.send(welcome=link_pb2.Welcome(acked_sequence=acked, exchange_token="token"))

    def send(self, **message: object) -> None:
        self._outgoing.put_nowait(link_pb2.ConnectResponse(**message))  # type: ignore[arg-type]

    def end(self) -> None:
        self._outgoing.put_nowait(None)

    async def outgoing(self) -> AsyncIterator[link_pb2.ConnectResponse]:
        while message := await self._outgoing.get():
            yield message


class ScriptedPlane(LinkServiceServicer):
    """Takes streams and says nothing of its own accord."""

    def __init__(self) -> None:
        self._streams: asyncio.Queue[Stream] = asyncio.Queue()

    async def Connect(
        self, request_iterator: AsyncIterator[link_pb2.ConnectRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[link_pb2.ConnectResponse]:
        stream = Stream(context)
        reader = asyncio.create_task(stream.take_in(request_iterator))
        self._streams.put_nowait(stream)
        try:
            async for message in stream.outgoing():
                yield message
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def stream(self) -> Stream:
        """Wait for the next stream."""
        async with asyncio.timeout(WAIT_S):
            return await self._streams.get()


@asynccontextmanager
async def scripted_plane() -> AsyncIterator[tuple[ScriptedPlane, grpc.aio.Channel]]:
    """Serve a scripted control plane; give it and a channel to it."""
    server, plane = grpc.aio.server(), ScriptedPlane()
    add_LinkServiceServicer_to_server(plane, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield plane, channel
    finally:
        await server.stop(0)


def identity_of(machine: Machine, plane: Plane) -> Identity:
    """Give an enrolled machine's identity as its agent would hold it."""
    certificate, *between = load_certificates(machine.certificate_pem.encode())
    return Identity(
        f"hosts/{machine.name}", machine.uid, machine.key, certificate,
        load_certificates(plane.installation.pki.roots_pem), tuple(machine.permit_keys), between=tuple(between),
    )  # fmt: skip


def settings_for(folder: Path, port: int) -> Settings:
    """Settings of an agent whose control plane listens on a port of this machine."""
    return Settings(server="localhost", mtls_port=port, state_dir=folder)


def stored(folder: Path, identity: Identity) -> IdentityStore:
    """Store an identity in a folder."""
    store = IdentityStore(folder)
    store.save(identity)
    return store
