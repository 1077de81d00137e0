"""The authorities and the server's own certificate as they stand now, in a process that goes on for years."""

import datetime as dt
from typing import NamedTuple

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from solward.hosts.v1 import enrollment_pb2

from common.pki import key_pem, new_key, subject_key_id
from common.trust import sign_trust
from controlplane.identity.authorities import Authorities, AuthorityStore
from controlplane.identity.ca import SERVER_LIFE, CertificateAuthority

log = structlog.get_logger(__name__)

# The server's certificate is renewed when this share of its life is over: before only a third is left.
RENEW_AFTER = 0.6


class ServerCertificate(NamedTuple):
    """What the server shows of itself."""

    key_pem: bytes
    chain_pem: bytes
    certificate: x509.Certificate
    issued: dt.datetime
    issuer: str

    def __repr__(self) -> str:
        return f"ServerCertificate({self.certificate.serial_number:x})"

    @property
    def due(self) -> dt.datetime:
        """When it is to be renewed."""
        return self.issued + (self.certificate.not_valid_after_utc - self.issued) * RENEW_AFTER


class _State(NamedTuple):
    authorities: Authorities
    issuing: CertificateAuthority
    server: ServerCertificate
    roots_pem: bytes
    stamp: tuple[int, int]


class LivePki:
    """Every part asks here anew; a change takes the place of the old state in one step, for any thread.

    Args:
        store: the authorities on disk.
        names: DNS names and addresses of the server.
        permit_key: signs trust bundles.
        server_life: of the server's certificate.

    Raises: ValueError or OSError where the authorities cannot be used.
    """

    def __init__(
        self, store: AuthorityStore, names: list[str], permit_key: Ed25519PrivateKey,
        server_life: dt.timedelta = SERVER_LIFE,
    ) -> None:  # fmt: skip
        self.store = store
        self._names = names
        self._permit_key = permit_key
        self._server_life = server_life
        self._state = self._read()

    @property
    def authorities(self) -> Authorities:
        """Every authority."""
        return self._state.authorities

    @property
    def issuing(self) -> CertificateAuthority:
        """The authority that issues."""
        return self._state.issuing

    @property
    def server(self) -> ServerCertificate:
        """What the server shows of itself."""
        return self._state.server

    @property
    def roots_pem(self) -> bytes:
        """The roots that are trusted, as PEM."""
        return self._state.roots_pem

    def trusts(self, issuer: str) -> bool:
        """Whether certificates of an authority are still believed."""
        found = self._state.authorities.find(issuer)
        return found is not None and found.trusted

    def trust(self) -> enrollment_pb2.SignedTrust:
        """Give the trust bundle, signed."""
        state = self._state
        bundle = enrollment_pb2.Trust(
            version=state.authorities.version,
            roots_pem=state.roots_pem.decode(),
            issuer_key_id=subject_key_id(state.issuing.certificate),
        )
        return sign_trust(self._permit_key, bundle)

    def refresh(self, *, renew: bool = False) -> bool:
        """Take in what was changed on disk, and renew the server's certificate where it is due; blocks on the disk.

        Args:
            renew: renew it in any case.

        Returns: whether anything is new.
        """
        before = self._state
        if self.store.stamp() == before.stamp and not renew and dt.datetime.now(dt.UTC) < before.server.due:
            return False
        self._state = after = self._read(None if renew else before.server)
        if after.server is not before.server:
            log.info("the server's certificate is new", serial=f"{after.server.certificate.serial_number:x}",
                     issuer=after.issuing.id, until=str(after.server.certificate.not_valid_after_utc))  # fmt: skip
        return after.server is not before.server or after.authorities.version != before.authorities.version

    def _read(self, server: ServerCertificate | None = None) -> _State:
        # The stamp first: what changes after it is seen the next time.
        stamp = self.store.stamp()
        authorities = self.store.load()
        issuing = self.store.authority(authorities.active)
        if server is None or server.issuer != issuing.id or dt.datetime.now(dt.UTC) >= server.due:
            server = self._issue(issuing)
        return _State(authorities, issuing, server, authorities.roots_pem, stamp)

    def _issue(self, issuing: CertificateAuthority) -> ServerCertificate:
        now = dt.datetime.now(dt.UTC)
        ended = [one for one in (issuing.certificate, *issuing.above) if one.not_valid_after_utc <= now]
        if ended:
            raise ValueError(
                f"the certificate authority {issuing.id} ended at {ended[0].not_valid_after_utc:%Y-%m-%d %H:%M} UTC: "
                "make a new one and put it to work (solward-controlplane ca rotate, then ca activate --force), and see "
                "docs/pki.md for the way back of the hosts"
            )
        key = new_key()
        certificate = issuing.issue_server(key.public_key(), self._names, now, self._server_life)
        return ServerCertificate(key_pem(key), issuing.chain_pem(certificate).encode(), certificate, now, issuing.id)
