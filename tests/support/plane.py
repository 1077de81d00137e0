"""A control plane in this process, for tests that look inside it or change its clock."""

import datetime as dt
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
import pyotp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from dbos._dbos import _get_or_create_dbos_registry
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import enrollment_pb2, hosts_pb2

from common.clock import now_ms
from common.digest import call_digest
from common.errors import info_of, status_of
from common.names import SpiffeId
from common.pki import certificate_request, key_pem, new_key, serial_hex, unix_ms
from controlplane.app import App
from controlplane.identity.ca import certificate_pem, public_der
from controlplane.identity.installation import Installation, create, exists, load
from controlplane.identity.secrets import hash_password, seal
from controlplane.settings import Settings
from controlplane.store.hosts import CURRENT, CertificateRow, HostRepository
from controlplane.store.users import UserRepository
from tests.support.codes import Authenticator

PASSWORD = "a password for tests"
Reply = TypeVar("Reply", bound=Message)
# Loopback has one name for every test; limits are raised where a test is not about them.
LIMITS = {
    "credential": "10000/minute", "read": "100000/second", "write": "100000/second", "stream": "10000/second",
    "address": "100000/second",
}  # fmt: skip


class Refused(Exception):
    """A call that was refused, with the server's particulars."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        self.message = error.details() or ""
        self.info: error_details_pb2.ErrorInfo = info_of(status_of(error))
        self.reason = self.info.reason
        super().__init__(f"{self.code.name} {self.reason}: {self.message}")


@dataclass
class Person:
    """A user with an authenticator, signed in once `token` is there."""

    name: str
    uid: str
    authenticator: Authenticator
    token: str = ""
    refresh: str = ""


@dataclass
class Machine:
    """An enrolled host's credentials."""

    name: str
    uid: str
    key: ec.EllipticCurvePrivateKey
    certificate_pem: str
    permit_keys: list[bytes]


@dataclass
class Plane:
    """The running control plane and the ways to call it."""

    app: App
    settings: Settings
    installation: Installation
    channels: list[grpc.aio.Channel] = field(default_factory=list)

    def channel(self, machine: Machine | None = None) -> grpc.aio.Channel:
        """Open a channel: as nobody on the TLS port, or as a host on the mTLS port."""
        ca = self.installation.pki.roots_pem
        if machine is None:
            credentials, port = grpc.ssl_channel_credentials(ca), self.app.servers.tls_port
        else:
            credentials = grpc.ssl_channel_credentials(ca, key_pem(machine.key), machine.certificate_pem.encode())
            port = self.app.servers.mtls_port
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1))
        opened = grpc.aio.secure_channel(f"localhost:{port}", credentials, options=options)
        self.channels.append(opened)
        return opened

    async def call(
        self,
        method: str,
        request: Message,
        reply: type[Reply],
        who: Person | Machine | None = None,
        metadata: tuple[tuple[str, str], ...] = (),
        channel: grpc.aio.Channel | None = None,
    ) -> Reply:
        """Call a unary method; raise Refused with the reason when it is refused."""
        opened = channel or self.channel(who if isinstance(who, Machine) else None)
        if isinstance(who, Person):
            metadata = (("authorization", f"Bearer {who.token}"), *metadata)
        invoke = opened.unary_unary(f"/{method}", _serialize, reply.FromString)
        try:
            answer: Reply = await invoke(request, metadata=metadata, timeout=20)
            return answer
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from None

    async def confirmed(
        self, method: str, request: Message, reply: type[Reply], who: Person, metadata: tuple[tuple[str, str], ...] = ()
    ) -> Reply:
        """Call a method that wants a second factor for this very call, where this control plane wants any."""
        if not self.settings.require_second_factor:
            return await self.call(method, request, reply, who, metadata)
        proof = await self.prove(who, call_digest(method, request))
        return await self.call(method, request, reply, who, (("solward-second-factor", proof), *metadata))

    async def prove(self, who: Person, digest: str = "") -> str:
        """Verify a code: for the session, or for one call."""
        request = auth_pb2.VerifySecondFactorRequest(totp_code=await who.authenticator.code(), call_digest=digest)
        method = "solward.auth.v1.AuthService/VerifySecondFactor"
        return str((await self.call(method, request, auth_pb2.SecondFactorProof, who)).proof)

    async def add_person(self, role: str = "admin", name: str = "") -> Person:
        """Add a user who has not signed in."""
        name, uid, seed = name or f"u{uuid.uuid4().hex[:12]}", uuid.uuid4().hex, pyotp.random_base32()
        await UserRepository(self.app.records.engine).add(
            uid=uid,
            name=name,
            password_hash=await hash_password(PASSWORD),
            totp_seed=seal(self.installation.seed_key, uid, seed),
            role=role,
            now=now_ms(),
        )
        return Person(name, uid, Authenticator(seed))

    async def sign_in(self, role: str = "admin") -> Person:
        """Add a user and sign in."""
        person = await self.add_person(role)
        session = await self.login(person)
        person.token, person.refresh = session.access_token, session.refresh_token
        return person

    async def login(self, person: Person, password: str = PASSWORD, code: str = "") -> auth_pb2.Session:
        """Sign a user in."""
        request = auth_pb2.LoginRequest(
            username=person.name, password=password, totp_code=code or await person.authenticator.code()
        )
        return await self.call("solward.auth.v1.AuthService/Login", request, auth_pb2.Session)

    async def join_token(self, name: str, admin: Person) -> str:
        """Make a join token."""
        request = hosts_pb2.CreateJoinTokenRequest(host=f"hosts/{name}")
        method = "solward.hosts.v1.HostsService/CreateJoinToken"
        return str((await self.call(method, request, hosts_pb2.JoinToken, admin)).token)

    async def enroll(self, name: str, token: str, key: ec.EllipticCurvePrivateKey | None = None) -> Machine:
        """Join as a host."""
        key = key or new_key()
        request = enrollment_pb2.EnrollRequest(host=f"hosts/{name}", join_token=token, csr_pem=certificate_request(key))
        method = "solward.hosts.v1.EnrollmentService/Enroll"
        identity = await self.call(method, request, enrollment_pb2.Identity)
        return Machine(name, identity.uid, key, identity.certificate_pem, list(identity.permit_keys))

    async def add_machine(self, admin: Person, name: str = "") -> Machine:
        """Name a host and join as it."""
        name = name or f"h{uuid.uuid4().hex[:12]}"
        return await self.enroll(name, await self.join_token(name, admin))

    async def certify_user(self, person: Person, life: dt.timedelta = dt.timedelta(hours=1)) -> Machine:
        """Issue a client certificate to a user."""
        key = new_key()
        who = SpiffeId(self.settings.trust_domain, "user", person.uid)
        certificate = self.installation.ca.issue_client(key.public_key(), who, dt.datetime.now(dt.UTC), life)
        await self.record(certificate, "user", person.uid)
        return Machine(person.name, person.uid, key, certificate_pem(certificate), [])

    async def record(self, certificate: x509.Certificate, kind: str, uid: str) -> None:
        """Store a certificate as one that this control plane issued."""
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        row = CertificateRow(
            serial_hex(certificate),
            kind,
            uid,
            public_der(key),
            unix_ms(certificate.not_valid_before_utc),
            unix_ms(certificate.not_valid_after_utc),
            CURRENT,
            self.installation.ca.id,
        )
        await HostRepository(self.app.records.engine).add_certificate(row, now_ms())


def make_settings(folder: Path, **overrides: Any) -> Settings:
    """Settings of a control plane on free ports of loopback."""
    wanted: dict[str, Any] = {
        "data_dir": folder / "cp",
        "mtls_listen": "127.0.0.1:0",
        "tls_listen": "127.0.0.1:0",
        "gateway_listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
        "rate_limits": LIMITS,
        "drain_seconds": 0,
        # Few tests ask for what was stored.
        "store": {"enabled": False},
    }
    return Settings(**(wanted | overrides))


@asynccontextmanager
async def control_plane(folder: Path, **overrides: Any) -> AsyncIterator[Plane]:
    """Install, where that was not done before, and run a control plane in this process for the length of a block."""
    settings = make_settings(folder, **overrides)
    installation = load(settings) if exists(settings) else create(settings)
    try:
        app = App(settings, installation)
        async with app.running():
            plane = Plane(app, settings, installation)
            try:
                yield plane
            finally:
                for channel in plane.channels:
                    await channel.close()
    finally:
        # DBOS knows one instance of a workflow in a process, and logs to the stderr of its start.
        _get_or_create_dbos_registry().instance_info_map.clear()
        logging.getLogger("dbos").handlers.clear()


def _serialize(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
