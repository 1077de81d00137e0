"""Who the agent is and whom it trusts, in one file, so that a renewal is one rename."""

import datetime as dt
import json
import random
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from solward.hosts.v1 import enrollment_pb2

from common.files import write_private
from common.pki import certificates_pem, key_pem, load_certificates, load_key, new_key, serial_hex, trouble
from common.trust import open_trust

FILE = "identity.json"


class IdentityError(Exception):
    """An identity that is missing or cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The agent's identity.

    Attributes:
        host: "hosts/{host}".
        uid: the host's uid.
        certificate: the agent's certificate.
        roots: the authorities that are trusted.
        permit_keys: public keys (32 bytes each) whose permits the agent may act on.
        exchange_token: the token of the last Welcome, to be shown in the next Hello.
        audit_key: the public key (32 bytes) of the audit log; empty for a host that joined before it was told of it.
        between: the authorities between the certificate and a root, which are shown with it.
        trust_version: of the trust bundle that the roots come from; 0 where they were brought by hand.
    """

    host: str
    uid: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    roots: tuple[x509.Certificate, ...]
    permit_keys: tuple[bytes, ...]
    exchange_token: str = ""
    audit_key: bytes = b""
    between: tuple[x509.Certificate, ...] = ()
    trust_version: int = 0

    @property
    def serial(self) -> str:
        """The certificate's serial number, hexadecimal."""
        return serial_hex(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """The private key as PEM."""
        return key_pem(self.key)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM, with the authorities that are shown with it."""
        return certificates_pem((self.certificate, *self.between))

    @property
    def roots_pem(self) -> bytes:
        """The authorities that are trusted, as PEM."""
        return certificates_pem(self.roots)

    def renew_at(self, jitter: float | None = None) -> dt.datetime:
        """When to renew: at half of the certificate's life, give or take a tenth of it.

        Args:
            jitter: -1 to 1; random by default, so that a fleet does not renew in one moment.
        """
        begin, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        jitter = random.uniform(-1, 1) if jitter is None else jitter  # noqa: S311
        return begin + (end - begin) * (0.5 + 0.1 * jitter)

    def trouble(self) -> str | None:
        """Say why the control plane would refuse this certificate now, or None."""
        return trouble((self.certificate, *self.between), self.roots, dt.datetime.now(dt.UTC))


class IdentityStore:
    """Keeps the identity in the state folder; a crash at any moment leaves the old one or the new, whole."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE
        self._pending = state_dir / "enroll.key"

    def load(self) -> Identity:
        """Load the identity; raise IdentityError when there is none that can be used."""
        try:
            content = json.loads(self._path.read_bytes())
            certificate, *between = load_certificates(content["certificate_pem"].encode())
            return Identity(
                host=content["host"],
                uid=content["uid"],
                key=load_key(content["key_pem"].encode()),
                certificate=certificate,
                roots=load_certificates(content["ca_pem"].encode()),
                permit_keys=tuple(bytes.fromhex(key) for key in content["permit_keys"]),
                exchange_token=content["exchange_token"],
                audit_key=bytes.fromhex(content.get("audit_key", "")),
                between=tuple(between),
                trust_version=int(content.get("trust_version", 0)),
            )
        except FileNotFoundError:
            raise IdentityError(f"{self._path} is not there: run solward-agent enroll first") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise IdentityError(f"{self._path} cannot be used ({error}): enroll again") from None

    def save(self, identity: Identity) -> None:
        """Store an identity in place of the one before."""
        content = {
            "host": identity.host,
            "uid": identity.uid,
            "key_pem": identity.key_pem.decode(),
            "certificate_pem": identity.certificate_pem.decode(),
            "ca_pem": identity.roots_pem.decode(),
            "permit_keys": [key.hex() for key in identity.permit_keys],
            "exchange_token": identity.exchange_token,
            "audit_key": identity.audit_key.hex(),
            "trust_version": identity.trust_version,
        }
        write_private(self._path, json.dumps(content).encode())

    def save_exchange(self, identity: Identity, token: str) -> Identity:
        """Store the token that a Welcome brought; whom to trust was settled when the host joined."""
        updated = replace(identity, exchange_token=token)
        self.save(updated)
        return updated

    def enrollment_key(self) -> ec.EllipticCurvePrivateKey:
        """Give the key to enroll with: the same one again after a reply was lost."""
        try:
            return load_key(self._pending.read_bytes())
        except (FileNotFoundError, ValueError):
            key = new_key()
            write_private(self._pending, key_pem(key))
            return key

    def metrics_password(self) -> str:
        """Give what a post to the metrics endpoint must bear; made once, kept 0600."""
        path = self._path.parent / "metrics.password"
        if not path.exists():
            write_private(path, secrets.token_hex(24).encode())
        return path.read_text().strip()

    def enrolled(self, identity: Identity) -> None:
        """Store the first identity; what an earlier one left behind is void."""
        self.save(identity)
        self._pending.unlink(missing_ok=True)


def trusting(identity: Identity, signed: enrollment_pb2.SignedTrust) -> Identity:
    """Give the identity as a trust bundle wants it.

    Only a key that is held already can change whom this host trusts; an older bundle than the one that is kept
    changes nothing.

    Raises: ValueError where it is not signed by such a key, or names no root.
    """
    trust = open_trust(signed, identity.permit_keys)
    if trust is None:
        raise ValueError("the trust bundle is not signed by a key of the control plane")
    if trust.version <= identity.trust_version:
        return identity
    return replace(identity, roots=load_certificates(trust.roots_pem.encode()), trust_version=trust.version)


def prepare_state(state_dir: Path) -> None:
    """Make the state folder, readable by its owner only."""
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if state_dir.stat().st_mode & 0o077:
        state_dir.chmod(0o700)
