"""The reconnect state machine against a real control plane: cuts, renewal, and refusals that no hurry changes."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.hosts.v1 import enrollment_pb2, enrollment_pb2_grpc, hosts_pb2

from agent.identity import Identity, IdentityStore
from agent.link import auto as module
from agent.link.auto import FIRST_WAIT_S, LONGEST_WAIT_S, SETTLED, SETTLED_WAIT_S, AutoLink
from agent.settings import Settings
from common.names import SpiffeId
from common.trust import sign_trust
from controlplane.identity.ca import CertificateAuthority, certificate_pem
from tests.fleet.wire import Wire, wire_to
from tests.support.plane import Person, Plane
from tests.unit.agent.link.harness import WAIT_S, Link, identity_of, link_parts, settings_for, stored

HOSTS = "solward.hosts.v1.HostsService"


@dataclass
class Agent:
    """An enrolled agent's link, running over a wire that can be cut."""

    link: Link
    auto: AutoLink
    store: IdentityStore
    wire: Wire
    plane: Plane
    admin: Person
    # The serial that was in use at each Welcome, and how many channels had been opened by then.
    welcomes: list[tuple[str, int]]
    channels: list[grpc.aio.Channel] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    async def host(self) -> hosts_pb2.Host:
        request = hosts_pb2.GetHostRequest(name=self.link.identity.host)
        return await self.plane.call(f"{HOSTS}/GetHost", request, hosts_pb2.Host, self.admin)

    async def all_arrived(self) -> None:
        await until(lambda: not self.link.spool.after(0, 1))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def agent(plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Agent]:
    async with joined(plane, tmp_path / "agent", monkeypatch) as made:
        yield made


@asynccontextmanager
async def joined(plane: Plane, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Agent]:
    folder.mkdir()
    admin = await plane.sign_in()
    identity = identity_of(await plane.add_machine(admin), plane)
    store = stored(folder, identity)
    async with wire_to(plane.app.servers.mtls_port) as wire:
        with link_parts(folder, identity) as link:

            def welcomed() -> None:
                made.welcomes.append((auto.identity.serial, len(made.channels)))

            auto = AutoLink(settings_for(folder, wire.port), store, link.direct, welcomed)
            made = Agent(link, auto, store, wire, plane, admin, [])
            opened, waited = module.mtls_channel, auto._wait_s

            def open_channel(settings: Settings, identity: Identity) -> grpc.aio.Channel:
                made.channels.append(opened(settings, identity))
                return made.channels[-1]

            def wait_s(reason: str) -> float:
                made.reasons.append(reason)
                return min(0.05, waited(reason))

            monkeypatch.setattr(module, "mtls_channel", open_channel)
            monkeypatch.setattr(auto, "_wait_s", wait_s)
            yield made


@asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[None]:
    task = asyncio.create_task(agent.auto.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_resumes_after_a_cut_on_a_fresh_channel(agent: Agent) -> None:
    agent.link.measure(3)
    async with running(agent):
        await agent.all_arrived()
        assert (await agent.host()).connected
        await agent.wire.cut()
        agent.link.measure(5)
        await until(lambda: len(agent.reasons) >= 3)
        assert [batch.samples.sequence for batch in agent.link.spool.after(0, 10)] == [4, 5, 6, 7, 8]
        await agent.wire.mend()
        await agent.all_arrived()
        assert (await agent.host()).connected
    assert len(agent.welcomes) == 2
    assert len(agent.channels) >= 4
    assert len(set(map(id, agent.channels))) == len(agent.channels)
    # INTERNAL is what gRPC calls a stream that was reset while a message was being written.
    assert set(agent.reasons) <= {"UNAVAILABLE", "INTERNAL"}


async def test_the_token_of_the_last_welcome_is_on_disk_before_the_next_hello(agent: Agent) -> None:
    async with running(agent):
        await until(lambda: agent.welcomes)
        first = agent.store.load().exchange_token
        assert first
        await agent.wire.cut()
        await agent.wire.mend()
        await until(lambda: len(agent.welcomes) == 2)
        assert agent.store.load().exchange_token not in ("", first)


async def test_a_renewal_is_saved_before_it_is_used_and_then_used(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = agent.auto.identity
    due = Identity.renew_at
    past = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    monkeypatch.setattr(Identity, "renew_at", lambda self: past if self.serial == old.serial else due(self))
    saved: list[tuple[str, int]] = []
    save = agent.store.save

    def note(identity: Identity) -> None:
        save(identity)
        saved.append((identity.serial, len(agent.channels)))

    monkeypatch.setattr(agent.store, "save", note)
    async with running(agent):
        # The old stream's Welcome may come before the renewal or just after it; the second channel's is the new one's.
        await until(lambda: any(channel == 2 for _, channel in agent.welcomes))
        new = agent.auto.identity
        assert agent.welcomes[-1] == (new.serial, 2)
        # Saved while the stream of the old one was still open: the next channel came after.
        assert (new.serial, 1) in saved
        assert len(agent.channels) == 2
        assert agent.store.load().key_pem == new.key_pem != old.key_pem
        assert (await agent.host()).connected
    # Ends in peace: no back-off for it.
    assert agent.reasons[0] == ""


async def test_either_certificate_opens_a_stream_after_a_crash_amid_renewal(agent: Agent) -> None:
    channel = module.mtls_channel(settings_for(agent.link.folder, agent.wire.port), agent.auto.identity)
    old = agent.auto.identity
    await agent.auto._renew(channel)
    await channel.close()
    new = agent.auto.identity
    for identity in (old, new):
        agent.auto.identity = identity
        agent.welcomes.clear()
        async with running(agent):
            await until(lambda: agent.welcomes)
        assert [serial for serial, _ in agent.welcomes] == [identity.serial]
        new = replace(new, exchange_token=agent.auto.identity.exchange_token)


class Renewer(enrollment_pb2_grpc.EnrollmentServiceServicer):
    """Renews as the control plane would, but would have the agent trust another."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane

    async def Renew(
        self, request: enrollment_pb2.RenewRequest, context: grpc.aio.ServicerContext
    ) -> enrollment_pb2.Identity:
        now = dt.datetime.now(dt.UTC)
        asked = x509.load_pem_x509_csr(request.csr_pem.encode()).public_key()
        who = SpiffeId("solward.internal", "agent", "f" * 32)
        trust = enrollment_pb2.Trust(version=2**62, roots_pem=CertificateAuthority.create("elsewhere", now).pem)
        return enrollment_pb2.Identity(
            host="hosts/another",
            uid="f" * 32,
            certificate_pem=certificate_pem(self.plane.installation.ca.issue_client(asked, who, now)),  # type: ignore[arg-type]
            ca_pem=CertificateAuthority.create("elsewhere", now).pem,
            permit_keys=[b"\x01" * 32],
            trust=sign_trust(Ed25519PrivateKey.generate(), trust),
        )


async def test_a_renewal_changes_only_key_and_certificate(agent: Agent) -> None:
    old = agent.auto.identity
    server = grpc.aio.server()
    enrollment_pb2_grpc.add_EnrollmentServiceServicer_to_server(Renewer(agent.plane), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await agent.auto._renew(channel)
    await server.stop(0)
    for new in (agent.auto.identity, agent.store.load()):
        assert new.key_pem != old.key_pem
        assert new.serial != old.serial
        assert (new.host, new.uid, new.permit_keys, new.exchange_token) == (
            old.host, old.uid, old.permit_keys, old.exchange_token,
        )  # fmt: skip
        assert (new.roots, new.trust_version) == (old.roots, old.trust_version)


async def test_a_revoked_host_does_not_hurry(agent: Agent) -> None:
    async with running(agent):
        await until(lambda: agent.welcomes)
        request = hosts_pb2.RevokeHostRequest(name=agent.link.identity.host, reason="test")
        await agent.plane.confirmed(f"{HOSTS}/RevokeHost", request, hosts_pb2.Host, agent.admin)
        await until(lambda: len(agent.reasons) >= 2)
    assert set(agent.reasons) <= SETTLED, agent.reasons


def test_waits_grow_to_a_bound_and_begin_anew_after_a_welcome(tmp_path: Path) -> None:
    with link_parts(tmp_path) as link:
        auto = AutoLink(settings_for(tmp_path, 1), stored(tmp_path, link.identity), link.direct, lambda: None)
        assert auto._wait_s("") == 0
        waits = [auto._wait_s("UNAVAILABLE") for _ in range(200)]
        assert all(FIRST_WAIT_S <= wait <= FIRST_WAIT_S * 2**n for n, wait in enumerate(waits[:6], start=1))
        assert LONGEST_WAIT_S * 0.9 < max(waits) <= LONGEST_WAIT_S
        # Spread, so that a fleet does not come back in one moment.
        assert len({round(wait, 3) for wait in waits[10:]}) > 150
        for reason in SETTLED:
            assert 0.8 * SETTLED_WAIT_S <= auto._wait_s(reason) <= 1.2 * SETTLED_WAIT_S


async def test_a_disk_that_refuses_the_token_is_tried_again(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    saved, refusals = agent.store.save, [OSError(28, "No space left on device")]

    def save(identity: Identity) -> None:
        if refusals:
            raise refusals.pop()
        saved(identity)

    monkeypatch.setattr(agent.store, "save", save)
    async with running(agent):
        await until(lambda: agent.welcomes)
    assert agent.reasons == ["STATE_UNWRITABLE"]
    assert agent.store.load().exchange_token
