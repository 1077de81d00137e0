"""Certificates as all three programs handle them: keys, requests, and what a certificate says of itself."""

import datetime as dt
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.names import SpiffeId


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """What matters of a certificate: whose it is, its serial (hexadecimal), and when it holds."""

    spiffe_id: SpiffeId
    serial: str
    not_before_ms: int
    not_after_ms: int

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "CertificateInfo":
        """Read a certificate; ValueError unless it names exactly one SPIFFE id and nothing else."""
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            raise ValueError("the certificate names nobody") from None
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        if len(uris) != 1 or len(list(names)) != 1:
            raise ValueError("the certificate must name exactly one SPIFFE id")
        return cls(
            spiffe_id=SpiffeId.parse(uris[0]),
            serial=serial_hex(certificate),
            not_before_ms=unix_ms(certificate.not_valid_before_utc),
            not_after_ms=unix_ms(certificate.not_valid_after_utc),
        )


def serial_hex(certificate: x509.Certificate) -> str:
    """Write a certificate's serial number in hexadecimal."""
    return f"{certificate.serial_number:x}"


def unix_ms(moment: dt.datetime) -> int:
    """Turn an aware datetime into milliseconds since the epoch."""
    return int(moment.timestamp() * 1000)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make an ECDSA P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Encode a private key as unencrypted PKCS #8 PEM; the caller keeps the file 0600."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Decode a private key from PEM; ValueError unless it is ECDSA P-256."""
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("the key is not ECDSA P-256")
    return key


def certificate_request(key: ec.EllipticCurvePrivateKey) -> str:
    """Make a certificate request (PEM) that says nothing but the key: the server decides the rest."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "solward")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def load_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Decode the certificates of a PEM file, in its order; ValueError where there is none."""
    return tuple(x509.load_pem_x509_certificates(pem))


def certificates_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Encode certificates as PEM, one after the other."""
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def subject_key_id(certificate: x509.Certificate) -> bytes:
    """Give what certificates of this authority name their issuer's key by."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def issuer_key_id(certificate: x509.Certificate) -> bytes:
    """Give what a certificate names its issuer's key by; empty where it does not."""
    try:
        named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        named = None
    return named or b""


RED_LEFT = dt.timedelta(days=3)


def urgency(begin: dt.datetime, end: dt.datetime, now: dt.datetime) -> Literal["", "yellow", "red"]:
    """Say how pressing a certificate's end is: yellow below a third of its life, red below 3 days.

    Of a certificate that lives shorter than 30 days, red is a tenth of its life.
    """
    life, left = end - begin, end - now
    if left <= min(RED_LEFT, life / 10):
        return "red"
    return "yellow" if left < life / 3 else ""


def trouble(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: dt.datetime) -> str | None:
    """Say why a server would refuse this certificate, since a TLS refusal itself is mute; None if all is well.

    Args:
        chain: the certificate that would be presented, then the authorities between it and a root.
        roots: the authorities of which one should stand above the chain.
        now: the local clock, aware.
    """
    certificate = chain[0]
    if now < certificate.not_valid_before_utc:
        return (
            f"the certificate holds from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC, "
            f"but this machine's clock says {now:%Y-%m-%d %H:%M:%S} UTC: set the clock"
        )
    if now >= certificate.not_valid_after_utc:
        return (
            f"the certificate ended at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC "
            f"(this machine's clock says {now:%Y-%m-%d %H:%M:%S} UTC)"
        )
    linked = all(issued_by(below, above) for below, above in itertools.pairwise(chain))
    if not linked or not any(issued_by(chain[-1], root) for root in roots):
        return "the certificate was not issued by this authority, or by any other that is trusted here"
    return None


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether an authority signed a certificate and is named as its issuer."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
