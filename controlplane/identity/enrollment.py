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
from controlplane.identity.ca import BadRequest, public_der, requested_key
from controlplane.identity.live import LivePki
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
    # With what stands between it and the root.
    chain_pem: str
    recovered: bool = False


class Enrollment:
    """Makes join tokens and trades them for certificates."""

    def __init__(self, hosts: HostRepository, pki: LivePki, trust_domain: str) -> None:
        self._hosts = hosts
        self._pki = pki
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

    async def create_recovery_token(self, host: HostRow) -> tuple[str, int]:
        """Make the token by which a host that has joined joins anew, and stays the same host.

        Returns: the token and when it ends, milliseconds since the epoch.
        Raises: SolwardError HOST_NOT_ACTIVE.
        """
        if host.state != ACTIVE:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "HOST_NOT_ACTIVE",
                f"{host_name(host.name)} is {host.state}, and has nothing to recover: enroll it in the ordinary way",
                {"host": host_name(host.name), "state": host.state},
            )
        now = now_ms()
        token = new_token("recovery")
        await self._hosts.add_join_token(token_hash(token), host.uid, now + TOKEN_LIFE_MS, recover=True)
        return token, now + TOKEN_LIFE_MS

    async def enroll(self, name: str, token: str, csr_pem: str, exchange_token: str = "") -> Enrolled:
        """Trade a join or recovery token for a certificate.

        Args:
            name: the host's.
            token: what was made for it.
            csr_pem: the key to certify.
            exchange_token: to recover: of the last Welcome; it shows that this is the machine that joined.

        Raises: SolwardError TOKEN_REFUSED, TOKEN_USED, RECOVERY_REFUSED or CSR_REFUSED.
        """
        key = key_of_request(csr_pem)
        key_hash = hashlib.sha256(public_der(key)).hexdigest()
        # The host first: if another call joins between these two reads, the token says so.
        host = await self._hosts.by_name(name)
        row = await self._hosts.join_token(token_hash(token))
        if row is None or host is None or row.host_uid != host.uid:
            raise _token_refused()
        if row.used_ms is not None:
            return self._again(host, row, key_hash)
        if row.expires_ms <= now_ms() or host.state != (ACTIVE if row.recover else PENDING):
            raise _token_refused()
        if row.recover:
            _check_machine(host, exchange_token)
        enrolled, record = self._issue(key, host, CURRENT, recovered=row.recover)
        if await self._hosts.join(row, key_hash, enrolled.chain_pem, record, now_ms()):
            return enrolled
        # Another call with this token was first; it may have been this agent's own retry.
        winner = await self._hosts.join_token(row.hash)
        if winner is None or winner.used_ms is None:
            raise _token_refused()
        return self._again(host, winner, key_hash)

    async def renew(self, host_uid: str, csr_pem: str) -> Enrolled:
        """Certify an enrolled agent's next key; the current certificate holds until the next is used."""
        key = key_of_request(csr_pem)
        host = await self._hosts.by_uid(host_uid)
        if host is None or host.state != ACTIVE:
            raise SolwardError(grpc.StatusCode.PERMISSION_DENIED, "HOST_NOT_ACTIVE", "this host was cut off")
        enrolled, record = self._issue(key, host, NEXT)
        await self._hosts.add_certificate(record, now_ms())
        return enrolled

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
        return Enrolled(host, x509.load_pem_x509_certificate(row.certificate_pem.encode()), row.certificate_pem)

    def _issue(
        self, key: ec.EllipticCurvePublicKey, host: HostRow, state: str, *, recovered: bool = False
    ) -> tuple[Enrolled, CertificateRow]:
        issuing, who = self._pki.issuing, SpiffeId(self._trust_domain, "agent", host.uid)
        certificate = issuing.issue_client(key, who, dt.datetime.now(dt.UTC))
        record = certificate_row(certificate, who, state, issuing.id)
        return Enrolled(host, certificate, issuing.chain_pem(certificate), recovered), record


def _check_machine(host: HostRow, exchange_token: str) -> None:
    """Refuse a machine that does not hold what the last Welcome gave to the host; one that had none is let in."""
    known = {host.exchange_current, host.exchange_next} - {""}
    shown = token_hash(exchange_token)
    if known and not any(hmac.compare_digest(shown, one) for one in known):
        log.error("a recovery token was shown by a machine that is not the one that joined", host=host.name)
        raise SolwardError(
            grpc.StatusCode.PERMISSION_DENIED,
            "RECOVERY_REFUSED",
            "this machine does not hold the identity that the host last had; if its state was lost, revoke the host "
            "and enroll it in the ordinary way",
            {"host": host_name(host.name)},
        )


def key_of_request(csr_pem: str) -> ec.EllipticCurvePublicKey:
    """Take the key out of a certificate request; raise CSR_REFUSED."""
    try:
        return requested_key(csr_pem)
    except BadRequest as error:
        raise SolwardError(
            grpc.StatusCode.INVALID_ARGUMENT,
            "CSR_REFUSED",
            f"the certificate request cannot be granted: {error}",
            violations=(("csr_pem", str(error)),),
        ) from None


def certificate_row(certificate: x509.Certificate, who: SpiffeId, state: str, issuer: str) -> CertificateRow:
    """Make the record of a certificate.

    Args:
        certificate: what was issued.
        who: whom it names.
        state: as the store has it.
        issuer: the authority's id.
    """
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - we certify no other keys
    return CertificateRow(
        serial=serial_hex(certificate),
        kind=who.kind,
        subject_uid=who.uid,
        public_key_der=public_der(key),
        not_before_ms=unix_ms(certificate.not_valid_before_utc),
        not_after_ms=unix_ms(certificate.not_valid_after_utc),
        state=state,
        issuer=issuer,
    )


def _token_refused() -> SolwardError:
    return SolwardError(
        grpc.StatusCode.PERMISSION_DENIED,
        "TOKEN_REFUSED",
        "this join token is unknown, over, or of another host: make a new one with ctl hosts enroll",
    )
