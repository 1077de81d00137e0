"""Enrollment: trades a join token for the first identity."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from solward.hosts.v1 import enrollment_pb2
from solward.hosts.v1.enrollment_pb2_grpc import EnrollmentServiceStub

if TYPE_CHECKING:
    from solward.hosts.v1.enrollment_pb2_grpc import EnrollmentServiceAsyncStub

from agent.identity import Identity, IdentityError, IdentityStore, prepare_state, trusting
from agent.link.channel import tls_channel
from agent.settings import Settings
from common.diagnose import diagnose
from common.errors import info_of, status_of
from common.pki import certificate_request, load_certificates

log = structlog.get_logger(__name__)

TRIES = 3
CALL_SECONDS = 15.0


class EnrollError(Exception):
    """Why the host did not join; the message says what to do."""


async def enroll(settings: Settings, host: str, ca_pem: bytes, token: str, *, recover: bool = False) -> Identity:
    """Join the fleet.

    Args:
        settings: where the control plane is.
        host: the host's id, as the token was made for.
        ca_pem: the authorities to trust.
        token: the join token.
        recover: stay the host that this one was before: the token is a recovery token.

    A reply that was lost is asked for again with the same key, which gets the same certificate.
    Raises: EnrollError.
    """
    try:
        roots = load_certificates(ca_pem)
    except ValueError:
        raise EnrollError("the CA file holds no PEM certificate") from None
    prepare_state(settings.state_dir)
    store = IdentityStore(settings.state_dir)
    before = _before(store) if recover else None
    key = store.enrollment_key()
    request = enrollment_pb2.EnrollRequest(
        host=f"hosts/{host}", join_token=token, csr_pem=certificate_request(key),
        exchange_token=before.exchange_token if before else "",
    )  # fmt: skip
    async with tls_channel(settings, ca_pem) as channel:
        answer = await _ask(EnrollmentServiceStub(channel), request, settings, ca_pem)
    if before and answer.uid != before.uid:
        raise EnrollError(
            "the token made this another host than it was: it is no recovery token; enroll without --recover"
        )
    try:
        identity = _identity(answer, key, roots)
    except ValueError as error:
        raise EnrollError(f"the control plane's answer cannot be used: {error}") from None
    store.enrolled(identity)
    return identity


def _before(store: IdentityStore) -> Identity:
    try:
        return store.load()
    except IdentityError as error:
        raise EnrollError(f"there is nothing to recover: {error}") from None


async def _ask(
    stub: EnrollmentServiceAsyncStub, request: enrollment_pb2.EnrollRequest, settings: Settings, ca_pem: bytes
) -> enrollment_pb2.Identity:
    for attempt in range(TRIES):
        try:
            return await stub.Enroll(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                info = info_of(status_of(error))
                raise EnrollError(f"{error.details()} [{info.reason or error.code().name}]") from None
        # A refused handshake says nothing by itself.
        trouble = await asyncio.to_thread(diagnose, f"{settings.server}:{settings.tls_port}", ca_pem.decode())
        log.warning("the control plane cannot be reached; trying again", why=trouble)
        await asyncio.sleep(2**attempt / 2)
    raise EnrollError(trouble)


def _identity(
    answer: enrollment_pb2.Identity, key: ec.EllipticCurvePrivateKey, roots: tuple[x509.Certificate, ...]
) -> Identity:
    certificate, *between = load_certificates(answer.certificate_pem.encode())
    identity = Identity(
        host=answer.host,
        uid=answer.uid,
        key=key,
        certificate=certificate,
        # Brought to the host by hand; a signed bundle may add what is trusted besides by now.
        roots=roots,
        permit_keys=tuple(answer.permit_keys),
        audit_key=answer.audit_key,
        between=tuple(between),
    )
    return trusting(identity, answer.trust) if answer.HasField("trust") else identity
