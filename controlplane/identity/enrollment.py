"""Enrollment: how a host gets its first certificate, and each one after that."""

import datetime as dt
import hashlib
import hmac
import uuid
from dataclasses import dataclass

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from common.clock import now_ms
from common.errors import SolwardError
from common.names import SpiffeId, host_name
from common.pki import serial_hex, unix_ms
from controlplane.identity.ca import BadRequest, CertificateAuthority, certificate_pem, public_der, requested_key
from controlplane.identity.secrets import new_token, token_hash
from controlplane.store.hosts import (
    ACTIVE,
    CURRENT,
    NEXT,
    PENDING,
    CertificateRow,
    HostRepository,
    HostRow,
    JoinRow,
)

log = structlog.get_logger(__name__)

TOKEN_LIFE_MS = 60 * 60 * 1000
# A reply may be lost: for this long the same key gets the same certificate again.
RETRY_MS = 5 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A host with the certificate it was given."""

    host: HostRow
    certificate: x509.Certificate


class Enrollment:
    """Makes join tokens and trades them for certificates."""

    def __init__(self, hosts: HostRepository, ca: CertificateAuthority, trust_domain: str) -> None:
        self._hosts = hosts
        self._ca = ca
        self._trust_domain = trust_domain

    async def create_token(self, name: str) -> tuple[str, int]:
        """Name a host and make its token.

        Returns: the token and when it ends, milliseconds since the epoch.
        Raises: SolwardError HOST_ACTIVE for a host that is in good standing.
        """
        host = await self._hosts.by_name(name)
        if host and host.state == ACTIVE:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "HOST_ACTIVE",
                f"{host_name(name)} is enrolled; revoke it first to enroll another machine under its name",
                {"host": host_name(name)},
            )
        now = now_ms()
        if host and host.state == PENDING:
            uid = host.uid
        else:
            uid = uuid.uuid4().hex
            await self._hosts.replace(uid, name, now)
        token = new_token("join")
        await self._hosts.add_join_token(token_hash(token), uid, now + TOKEN_LIFE_MS)
        return token, now + TOKEN_LIFE_MS

    async def enroll(self, name: str, token: str, csr_pem: str) -> Enrolled:
        """Trade a join token for a certificate; raises SolwardError TOKEN_REFUSED, TOKEN_USED or CSR_REFUSED."""
        key = _key(csr_pem)
        key_hash = hashlib.sha256(public_der(key)).hexdigest()
        # The host first: if another call joins between these two reads, the token says so.
        host = await self._hosts.by_name(name)
        row = await self._hosts.join_token(token_hash(token))
        if row is None or host is None or row.host_uid != host.uid:
            raise _token_refused()
        if row.used_ms is not None:
            return self._again(host, row, key_hash)
        if row.expires_ms <= now_ms() or host.state != PENDING:
            raise _token_refused()
        certificate = self._issue(key, host.uid)
        record = _row(certificate, host.uid, key, CURRENT)
        pem = certificate_pem(certificate)
        if await self._hosts.join(row, key_hash, pem, record, now_ms()):
            return Enrolled(host, certificate)
        # Another call with this token was first; it may have been this agent's own retry.
        winner = await self._hosts.join_token(row.hash)
        if winner is None or winner.used_ms is None:
            raise _token_refused()
        return self._again(host, winner, key_hash)

    async def renew(self, host_uid: str, csr_pem: str) -> Enrolled:
        """Certify an enrolled agent's next key; the current certificate holds until the next is used."""
        key = _key(csr_pem)
        host = await self._hosts.by_uid(host_uid)
        if host is None or host.state != ACTIVE:
            raise SolwardError(grpc.StatusCode.PERMISSION_DENIED, "HOST_NOT_ACTIVE", "this host was cut off")
        certificate = self._issue(key, host.uid)
        await self._hosts.add_certificate(_row(certificate, host.uid, key, NEXT), now_ms())
        return Enrolled(host, certificate)

    def _again(self, host: HostRow, row: JoinRow, key_hash: str) -> Enrolled:
        used_ms = row.used_ms or 0
        same_key = hmac.compare_digest(row.used_key_hash, key_hash)
        if not same_key or now_ms() - used_ms > RETRY_MS:
            log.error("a join token was used twice: somebody may have got hold of it", host=host.name)
            raise SolwardError(
                grpc.StatusCode.PERMISSION_DENIED,
                "TOKEN_USED",
                "this join token was used already; if it was not by this machine, revoke the host now and "
                "look at the audit log (ctl audit list)",
                {"host": host_name(host.name)},
            )
        return Enrolled(host, x509.load_pem_x509_certificate(row.certificate_pem.encode()))

    def _issue(self, key: ec.EllipticCurvePublicKey, uid: str) -> x509.Certificate:
        return self._ca.issue_client(key, SpiffeId(self._trust_domain, "agent", uid), dt.datetime.now(dt.UTC))


def _key(csr_pem: str) -> ec.EllipticCurvePublicKey:
    try:
        return requested_key(csr_pem)
    except BadRequest as error:
        raise SolwardError(
            grpc.StatusCode.INVALID_ARGUMENT,
            "CSR_REFUSED",
            f"the certificate request cannot be granted: {error}",
            violations=(("csr_pem", str(error)),),
        ) from None


def _row(certificate: x509.Certificate, uid: str, key: ec.EllipticCurvePublicKey, state: str) -> CertificateRow:
    return CertificateRow(
        serial=serial_hex(certificate),
        kind="agent",
        subject_uid=uid,
        public_key_der=public_der(key),
        not_before_ms=unix_ms(certificate.not_valid_before_utc),
        not_after_ms=unix_ms(certificate.not_valid_after_utc),
        state=state,
    )


def _token_refused() -> SolwardError:
    return SolwardError(
        grpc.StatusCode.PERMISSION_DENIED,
        "TOKEN_REFUSED",
        "this join token is unknown, over, or of another host: make a new one with ctl hosts enroll",
    )
