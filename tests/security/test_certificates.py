"""Attacks with certificates: foreign, over, early, of the wrong kind, revoked, and claims to be somebody else."""

import asyncio
import datetime as dt
import time
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from google.protobuf import message_factory
from google.protobuf.empty_pb2 import Empty
from solward.hosts.v1 import enrollment_pb2, hosts_pb2, link_pb2
from solward.policy.v1 import policy_pb2
from solward.rpc.v1 import rpc_pb2

from common.diagnose import diagnose
from common.names import SpiffeId
from common.permits import request_sha256, sign_receipt
from common.pki import CertificateInfo, certificate_request, load_key, new_key, serial_hex, trouble
from controlplane.api.services import SERVICES
from controlplane.guard.table import read_table
from controlplane.identity.ca import CertificateAuthority, certificate_pem
from controlplane.links.dispatch import Order
from controlplane.links.registry import FLAPS
from tests.support.plane import Machine, Plane, Refused
from tests.support.ports import free_ports
from tests.support.stream import agent_stream, entries, hello, refused

RENEW = "solward.hosts.v1.EnrollmentService/Renew"
GET_HOST = "solward.hosts.v1.HostsService/GetHost"
REVOKE = "solward.hosts.v1.HostsService/RevokeHost"
DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC)


async def renew(plane: Plane, machine: Machine, channel: grpc.aio.Channel | None = None, **options: Any) -> Any:
    request = enrollment_pb2.RenewRequest(csr_pem=certificate_request(new_key()))
    return await plane.call(RENEW, request, enrollment_pb2.Identity, machine, channel=channel, **options)


def dressed(machine: Machine, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Machine:
    return Machine(machine.name, machine.uid, key, certificate_pem(certificate), machine.permit_keys)


def agent_id(machine: Machine) -> SpiffeId:
    return SpiffeId("solward.internal", "agent", machine.uid)


def server_only(ca: CertificateAuthority, key: ec.EllipticCurvePublicKey, who: SpiffeId) -> x509.Certificate:
    """What issue_client makes, but for servers."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "solward")]))
        .issuer_name(ca.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(who))]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca.key, hashes.SHA256())
    )


async def test_case_07_the_handshake_refuses_certificates_that_do_not_hold(plane: Plane) -> None:
    machine = await plane.add_machine(await plane.sign_in())
    ours, foreign = plane.installation.ca, CertificateAuthority.create("solward.internal", NOW)
    key = new_key()
    public, who = key.public_key(), agent_id(machine)
    bad = {
        "foreign": foreign.issue_client(public, who, NOW),
        "over": ours.issue_client(public, who, NOW - 2 * DAY),
        "early": ours.issue_client(public, who, NOW + DAY),
        "server only": server_only(ours, public, who),
    }
    for kind, certificate in bad.items():
        await plane.record(certificate, "agent", machine.uid)
        refusal = await refused(renew(plane, dressed(machine, certificate, key)))
        assert (refusal.code.name, refusal.reason) == ("UNAVAILABLE", ""), kind
    # The same key under a certificate that holds is let in: the refusals were about the certificates.
    good = ours.issue_client(public, who, NOW)
    await plane.record(good, "agent", machine.uid)
    assert (await renew(plane, dressed(machine, good, key))).uid == machine.uid


async def test_case_07_no_certificate_opens_no_mtls_call(plane: Plane) -> None:
    credentials = grpc.ssl_channel_credentials(plane.installation.ca.pem.encode())
    async with grpc.aio.secure_channel(f"localhost:{plane.app.servers.mtls_port}", credentials) as channel:
        request = enrollment_pb2.RenewRequest(csr_pem="x")
        assert (await refused(plane.call(RENEW, request, enrollment_pb2.Identity, channel=channel))).code.name == (
            "UNAVAILABLE"
        )


async def test_case_07_certificate_of_ours_that_is_not_on_record_is_refused(plane: Plane) -> None:
    machine, key = await plane.add_machine(await plane.sign_in()), new_key()
    certificate = plane.installation.ca.issue_client(key.public_key(), agent_id(machine), NOW)
    assert (await refused(renew(plane, dressed(machine, certificate, key)))).reason == "CERTIFICATE_UNKNOWN"


@pytest.mark.parametrize(
    ("shift", "foreign", "says"),
    [
        (DAY, False, "set the clock"),
        (-2 * DAY, False, "ended at"),
        (dt.timedelta(), True, "not issued by this authority"),
        (dt.timedelta(), False, None),
    ],
)
def test_case_07_the_agent_says_which_it_is(shift: dt.timedelta, foreign: bool, says: str | None) -> None:
    ca, other = (CertificateAuthority.create("solward.internal", NOW) for _ in range(2))
    who = SpiffeId("solward.internal", "agent", "0" * 32)
    certificate = (other if foreign else ca).issue_client(new_key().public_key(), who, NOW + shift)
    found = trouble([certificate], [ca.certificate], NOW)
    assert (found is None) if says is None else (found is not None and says in found)


async def test_case_07_ctl_says_why_the_server_is_not_reached(plane: Plane) -> None:
    ca = plane.installation.ca.pem
    foreign = CertificateAuthority.create("elsewhere", NOW).pem
    over = CertificateAuthority.create("solward.internal", NOW - dt.timedelta(days=4000)).pem
    tls, mtls = f"localhost:{plane.app.servers.tls_port}", f"localhost:{plane.app.servers.mtls_port}"
    (closed,) = free_ports(1)
    for server, pem, says in (
        (tls, foreign, "cannot be trusted"),
        (tls, over, "check the clock"),
        (tls, "no certificate", "no PEM certificate"),
        (mtls, ca, "7444"),
        (f"127.0.0.1:{closed}", ca, "nothing listens"),
        ("no-such-name.invalid:7444", ca, "cannot be resolved"),
    ):
        assert says in await asyncio.to_thread(diagnose, server, pem), server


async def test_case_08_stream_is_closed_when_its_certificate_ends(plane: Plane) -> None:
    machine, key = await plane.add_machine(await plane.sign_in()), new_key()
    short = plane.installation.ca.issue_client(
        key.public_key(), agent_id(machine), dt.datetime.now(dt.UTC), dt.timedelta(seconds=2)
    )
    await plane.record(short, "agent", machine.uid)
    brief = dressed(machine, short, key)
    channel = plane.channel(brief)
    async with agent_stream(plane, brief, channel=channel) as stream:
        refusal = await asyncio.wait_for(stream.refusal(), 5)
        late = time.time() - short.not_valid_after_utc.timestamp()
    assert (refusal.code.name, refusal.reason) == ("UNAUTHENTICATED", "CERTIFICATE_EXPIRED")
    assert 0 <= late < 0.5
    # The connection is still up; the next call on it is refused all the same.
    assert (await refused(renew(plane, brief, channel))).reason == "CERTIFICATE_EXPIRED"
    assert (await renew(plane, machine)).uid == machine.uid


async def test_case_09_revoked_agent_is_cut_off_at_once(plane: Plane) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")
    channel = plane.channel(machine)
    async with agent_stream(plane, machine, channel=channel) as stream:
        await renew(plane, machine, channel)
        begin = time.monotonic()
        await plane.call(REVOKE, hosts_pb2.RevokeHostRequest(name="hosts/sol-1"), hosts_pb2.Host, admin)
        refusal = await asyncio.wait_for(stream.refusal(), 5)
        assert time.monotonic() - begin < 1
    assert (refusal.code.name, refusal.reason) == ("PERMISSION_DENIED", "HOST_REVOKED")
    assert (await refused(renew(plane, machine, channel))).reason == "CERTIFICATE_REVOKED"
    with pytest.raises(Refused, match="CERTIFICATE_REVOKED"):
        async with agent_stream(plane, machine, channel=channel):
            pass


async def test_case_09_revocation_by_another_replica_is_seen_within_five_seconds(plane: Plane) -> None:
    machine = await plane.add_machine(await plane.sign_in(), "sol-1")
    channel = plane.channel(machine)
    async with agent_stream(plane, machine, channel=channel) as stream:
        begin = time.monotonic()
        # Only the store changes, as when another process has revoked the host.
        await plane.app.sweeper._hosts.set_state(machine.uid, "revoked")
        refusal = await asyncio.wait_for(stream.refusal(), 6)
        assert time.monotonic() - begin < 5
    assert refusal.reason == "HOST_REVOKED"
    assert (await refused(renew(plane, machine, channel))).reason in {"CERTIFICATE_REVOKED", "HOST_NOT_ACTIVE"}


async def test_case_10_identity_comes_from_the_certificate_alone(plane: Plane) -> None:
    admin = await plane.sign_in()
    a, b = await plane.add_machine(admin, "sol-a"), await plane.add_machine(admin, "sol-b")
    claims = tuple(
        (key, value)
        for key in ("host", "agent-id", "x-agent-id", "x-forwarded-for", "x-spiffe-id", "solward-client-ip")
        for value in (f"hosts/{b.name}", str(agent_id(b)))
    )
    wanted = x509.UniformResourceIdentifier(str(agent_id(b)))
    key = new_key()
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, b.uid)]))
        .add_extension(x509.SubjectAlternativeName([wanted]), critical=True)
        .sign(key, hashes.SHA256())
    )
    request = enrollment_pb2.RenewRequest(csr_pem=certificate_pem(csr))  # type: ignore[arg-type]
    identity = await plane.call(RENEW, request, enrollment_pb2.Identity, a, claims)
    certificate = x509.load_pem_x509_certificate(identity.certificate_pem.encode())
    assert (identity.host, identity.uid) == ("hosts/sol-a", a.uid)
    assert CertificateInfo.of(certificate).spiffe_id == agent_id(a)
    assert {one["principal"] for one in await entries(plane, method=RENEW)} == {"hosts/sol-a"}
    assert {one["peer"] for one in await entries(plane, method=RENEW, phase="decision")} <= {"127.0.0.1", "::1"}


async def test_case_10_receipt_counts_only_on_its_own_hosts_stream_with_its_own_key(plane: Plane) -> None:
    admin = await plane.sign_in()
    a, b = await plane.add_machine(admin, "sol-a"), await plane.add_machine(admin, "sol-b")
    dispatch = plane.app.operations.unit._steps.dispatch
    order = Order("operations/1", "act", b.uid, "validator.restart", b"request", 5, 5)

    def receipt(
        host_uid: str, signer: Machine, named: Machine, action: str = "validator.restart"
    ) -> link_pb2.SignedReceipt:
        done = link_pb2.RECEIPT_RESULT_DONE
        digest = request_sha256(order.request)
        body = link_pb2.Receipt(
            operation=order.operation, step="act", host_uid=host_uid, action=action, request_sha256=digest, result=done
        )
        serial = serial_hex(x509.load_pem_x509_certificate(named.certificate_pem.encode()))
        return sign_receipt(signer.key, serial, body)

    async with agent_stream(plane, a) as from_a, agent_stream(plane, b) as from_b:
        carried = asyncio.create_task(dispatch.carry_out(order, lambda _: None))
        assert (await from_b.next()).HasField("command")
        await from_a.send(receipt=receipt(b.uid, a, a))  # says it is b's, signed by a
        await from_a.send(receipt=receipt(b.uid, a, b))  # names b's certificate
        await from_a.send(receipt=receipt(a.uid, a, a))  # another host's, same step
        await from_a.send(receipt=receipt(b.uid, b, b))  # stolen from b, over a's stream
        await from_b.send(receipt=receipt(b.uid, a, a))
        await from_b.send(receipt=receipt(b.uid, a, b))
        await from_b.send(receipt=receipt(b.uid, b, b, "validator.stop"))  # its own, of another order
        await asyncio.sleep(0.3)
        assert not carried.done()
        await from_b.send(receipt=receipt(b.uid, b, b))
        _, taken = await asyncio.wait_for(carried, 5)
        assert taken.host_uid == b.uid


async def test_case_10_samples_count_for_the_host_of_the_certificate(plane: Plane) -> None:
    admin = await plane.sign_in()
    a, b = await plane.add_machine(admin, "sol-a"), await plane.add_machine(admin, "sol-b")
    async with agent_stream(plane, a) as stream, agent_stream(plane, b):
        labels = {"host": "hosts/sol-b", "method": "getSlot"}
        definition = link_pb2.SeriesDefinition(id=0, name="solana_rpc_requests", labels=labels)
        batch = link_pb2.SampleBatch(sequence=1, unix_ms=1000, definitions=[definition], series=[0], values=[1.0])
        await stream.send(samples=batch)
        assert (await stream.next()).ack.sequence == 1
        method = "solward.rpc.v1.RpcService/GetMetrics"
        report = await plane.call(method, rpc_pb2.GetMetricsRequest(), rpc_pb2.Metrics, admin)
    assert [row.host for row in report.methods] == ["hosts/sol-a"]


def empty_request(name: str) -> Any:
    return message_factory.GetMessageClass(read_table(SERVICES)[name].request)()


async def first_refusal(plane: Plane, rule: Any, who: Any) -> Refused:
    """Call any kind of method with an empty request; give its refusal."""
    channel = plane.channel(who if isinstance(who, Machine) else None)
    metadata = () if isinstance(who, Machine) else (("authorization", f"Bearer {who.token}"),)
    kind = f"{'stream' if rule.client_streaming else 'unary'}_{'stream' if rule.server_streaming else 'unary'}"
    request = empty_request(rule.name)
    call = getattr(channel, kind)(f"/{rule.name}", lambda message: message.SerializeToString(), Empty.FromString)
    answer = call(iter([request]) if rule.client_streaming else request, metadata=metadata, timeout=10)
    try:
        async for _ in answer:
            pass
    except TypeError:
        pass
    except grpc.aio.AioRpcError as error:
        return Refused(error)
    try:
        await answer
    except grpc.aio.AioRpcError as error:
        return Refused(error)
    raise AssertionError(f"{rule.name} was allowed")


async def test_case_11_agents_and_users_each_keep_to_their_own_methods(plane: Plane) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin)
    person = await plane.certify_user(admin)
    seen = 0
    for rule in read_table(SERVICES).values():
        for who, kind in (
            (machine, policy_pb2.PRINCIPAL_KIND_AGENT),
            (admin, policy_pb2.PRINCIPAL_KIND_USER),
            (person, policy_pb2.PRINCIPAL_KIND_USER),
        ):
            if kind in rule.policy.principals:
                continue
            refusal = await first_refusal(plane, rule, who)
            assert (refusal.code.name, refusal.reason) == ("PERMISSION_DENIED", "WRONG_PRINCIPAL_KIND"), rule.name
            seen += 1
    assert seen > 20


async def test_case_11_certificate_and_token_together_are_refused(plane: Plane) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")
    token = (("authorization", f"Bearer {admin.token}"),)
    request = hosts_pb2.GetHostRequest(name="hosts/sol-1")
    assert (await refused(plane.call(GET_HOST, request, hosts_pb2.Host, machine, token))).reason == "TWO_CREDENTIALS"


async def test_case_12_certificate_names_exactly_one_id_and_never_a_role(plane: Plane) -> None:
    viewer = await plane.sign_in("viewer")
    ca, key = plane.installation.ca, new_key()
    own = x509.UniformResourceIdentifier(str(SpiffeId("solward.internal", "user", viewer.uid)))
    role = x509.UniformResourceIdentifier("spiffe://solward.internal/role/admin")

    def certificate(*names: x509.GeneralName) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin")]))
            .issuer_name(ca.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + DAY)
            .add_extension(x509.SubjectAlternativeName(list(names)), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(ca.key, hashes.SHA256())
        )

    request = hosts_pb2.RevokeHostRequest(name="hosts/sol-1")
    for names in ((own, role), (role,), (own, x509.DNSName("admin")), (own, own)):
        bad = certificate(*names)
        await plane.record(bad, "user", viewer.uid)
        who = Machine("v", viewer.uid, key, certificate_pem(bad), [])
        assert (await refused(plane.call(REVOKE, request, hosts_pb2.Host, who))).reason == "CERTIFICATE_REFUSED"
    # One id is let in, with the role of the store and not of the common name.
    good = certificate(own)
    await plane.record(good, "user", viewer.uid)
    who = Machine("v", viewer.uid, key, certificate_pem(good), [])
    refusal = await refused(plane.call(REVOKE, request, hosts_pb2.Host, who))
    assert (refusal.reason, refusal.info.metadata["role"]) == ("PERMISSION_MISSING", "viewer")


async def test_case_13_copied_exchange_token_quarantines_both(plane: Plane) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")
    async with agent_stream(plane, machine) as first:
        copied = first.welcome.exchange_token
    async with agent_stream(plane, machine, hello(copied)) as original:
        own = original.welcome.exchange_token
        async with agent_stream(plane, machine, hello(copied)) as clone:
            # One machine may come back on a new stream: the newest wins, once.
            assert (await original.refusal()).reason == "SUPERSEDED"
            with pytest.raises(Refused, match="HOST_QUARANTINED"):
                async with agent_stream(plane, machine, hello(own)):
                    pass
            assert (await asyncio.wait_for(clone.refusal(), 5)).reason == "HOST_QUARANTINED"
    for token in (own, copied):
        with pytest.raises(Refused, match=r"CERTIFICATE_REVOKED|HOST_NOT_ACTIVE"):
            async with agent_stream(plane, machine, hello(token)):
                pass
    shown = await plane.call(GET_HOST, hosts_pb2.GetHostRequest(name="hosts/sol-1"), hosts_pb2.Host, admin)
    assert shown.state == hosts_pb2.HOST_STATE_QUARANTINED


async def test_case_13_streams_that_take_turns_with_the_older_token_are_quarantined(plane: Plane) -> None:
    machine = await plane.add_machine(await plane.sign_in(), "sol-1")
    async with agent_stream(plane, machine) as first:
        token = first.welcome.exchange_token
    async with AsyncExitStack() as streams:
        opened = 0
        with pytest.raises(Refused, match="HOST_QUARANTINED"):
            for _ in range(10):
                await streams.enter_async_context(agent_stream(plane, machine, hello(token)))
                opened += 1
    # The first takes nobody's place, and FLAPS more are let through.
    assert opened == FLAPS + 1
    with pytest.raises(Refused, match=r"CERTIFICATE_REVOKED|HOST_NOT_ACTIVE"):
        async with agent_stream(plane, machine, hello(token)):
            pass


async def test_case_13_an_agent_whose_stream_is_cut_again_and_again_is_let_in(plane: Plane) -> None:
    """Each time it shows the newest token, which nobody else can have read."""
    machine = await plane.add_machine(await plane.sign_in(), "sol-1")
    token = ""
    async with AsyncExitStack() as streams:
        before = None
        for _ in range(4 * FLAPS):
            stream = await streams.enter_async_context(agent_stream(plane, machine, hello(token)))
            token = stream.welcome.exchange_token
            if before:
                assert (await before.refusal()).reason == "SUPERSEDED"
            before = stream


async def test_case_10_units_that_the_hosts_root_does_not_name_are_not_taken_in(plane: Plane) -> None:
    machine = await plane.add_machine(await plane.sign_in(), "sol-1")
    allowed = link_pb2.AllowedUnit(unit="sol.service", actions=["validator.restart"])
    async with agent_stream(plane, machine, hello(allowed_units=[allowed])) as stream:
        for unit in ("sshd.service", *(f"x{number}.service" for number in range(50)), "sol.service"):
            await stream.send(unit=link_pb2.UnitReport(state=link_pb2.UnitState(unit=unit, active_state="active")))
        await stream.send(samples=link_pb2.SampleBatch(sequence=1, unix_ms=1000))
        assert (await stream.next()).ack.sequence == 1
        known = plane.app.operations.links.get(machine.uid)
        assert known is not None
        assert set(known.units) == {"sol.service"}


def test_case_07_only_p256_keys_are_loaded() -> None:
    pem = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValueError, match="P-256"):
        load_key(pem)
