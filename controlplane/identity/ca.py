"""The certificate authority: ECDSA P-256; it certifies keys and decides itself what they stand for."""

import datetime as dt
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.names import SpiffeId
from common.pki import certificates_pem, subject_key_id

AGENT_LIFE = dt.timedelta(hours=24)
SERVER_LIFE = dt.timedelta(days=90)
CA_LIFE = dt.timedelta(days=3650)
# A host whose clock is a little behind must not find its new certificate "not yet valid".
BACKDATE = dt.timedelta(minutes=5)


class BadRequest(ValueError):
    """A certificate request that cannot be granted; the message says why."""


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """An authority that can issue.

    Attributes:
        certificate: its own.
        key: its private key.
        id: what the installation calls it.
        above: the certificates above it, up to the root; none where it is the root itself.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    id: str = "ca"
    above: tuple[x509.Certificate, ...] = ()

    @classmethod
    def create(cls, trust_domain: str, now: dt.datetime, ident: str = "ca") -> "CertificateAuthority":
        """Make a new authority for a trust domain; it is its own root."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"Solward CA {trust_domain}")
        certificate = (
            _builder(name, name, key.public_key(), now, CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key, ident)

    @property
    def pem(self) -> str:
        """The authority's certificate as PEM."""
        return certificate_pem(self.certificate)

    def chain_pem(self, leaf: x509.Certificate) -> str:
        """Give a certificate of this authority as it is shown: with all that stands between it and the root."""
        between = (self.certificate, *self.above[:-1]) if self.above else ()
        return certificates_pem((leaf, *between)).decode()

    def issue_client(
        self, key: ec.EllipticCurvePublicKey, who: SpiffeId, now: dt.datetime, life: dt.timedelta = AGENT_LIFE
    ) -> x509.Certificate:
        """Certify that a key belongs to one principal, for client authentication only."""
        return (
            self._leaf(_name("solward"), key, now, life)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(who))]), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def issue_server(
        self, key: ec.EllipticCurvePublicKey, names: list[str], now: dt.datetime, life: dt.timedelta = SERVER_LIFE
    ) -> x509.Certificate:
        """Certify a server key for DNS names and addresses."""
        return (
            self._leaf(_name(names[0]), key, now, life)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _leaf(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime, life: dt.timedelta
    ) -> x509.CertificateBuilder:
        # The identifier that the authority's own certificate says: TLS libraries compare them.
        issuer_key = x509.AuthorityKeyIdentifier(subject_key_id(self.certificate), None, None)
        # No certificate outlives the one that it hangs from.
        life = min([life, *(one.not_valid_after_utc - now for one in (self.certificate, *self.above))])
        return (
            _builder(name, self.certificate.subject, key, now, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(issuer_key, critical=False)
        )


def requested_key(csr_pem: str) -> ec.EllipticCurvePublicKey:
    """Take the key, and nothing else, out of a certificate request.

    Raises: BadRequest unless it is well formed, signed by its own key, and that key is ECDSA P-256.
    """
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        key = request.public_key()
        sound = request.is_signature_valid
    except Exception as error:  # noqa: BLE001 - cryptography raises several unrelated types for hostile input
        raise BadRequest(f"not a PKCS #10 request ({type(error).__name__})") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadRequest("its key is not ECDSA P-256")
    if not sound:
        raise BadRequest("it is not signed by its own key")
    return key


def public_der(key: ec.EllipticCurvePublicKey) -> bytes:
    """Encode a public key, to be compared or stored."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def certificate_pem(certificate: x509.Certificate) -> str:
    """Encode a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + life)
    )


def authority_usage() -> x509.KeyUsage:
    """Say what an authority's key is for."""
    return _usage(certificates=True)


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
