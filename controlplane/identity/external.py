"""An authority below somebody else's root: its request, and the checks of the chain that comes back."""

import datetime as dt
import ipaddress
import ssl
import tempfile
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.names import SpiffeId
from common.pki import certificates_pem, issued_by, key_pem, new_key
from controlplane.identity.ca import CertificateAuthority, authority_usage, public_der

NOBODY = "0" * 32


class ChainRefused(ValueError):
    """A chain that cannot be used; the message says what is wrong and what would be right."""


def request_pem(key: ec.EllipticCurvePrivateKey, trust_domain: str) -> bytes:
    """Write the request that somebody else's authority is to sign."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Solward CA {trust_domain}"[:64])])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(authority_usage(), critical=True)
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM)


def check_chain(
    given: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey, names: list[str], trust_domain: str
) -> tuple[x509.Certificate, ...]:
    """Check what came back, and give it in order: our certificate, those above it, the root.

    Args:
        given: the certificates of the file, in any order.
        key: the key that was requested for.
        names: the server's names, which it must be able to certify.
        trust_domain: of the SPIFFE ids that it must be able to certify.

    Raises: ChainRefused.
    """
    chain = _ordered(given, key)
    now = dt.datetime.now(dt.UTC)
    for one in chain:
        _check_authority(one, now)
    _try(CertificateAuthority(chain[0], key, "trial", chain[1:]), names, trust_domain)
    return chain


def _ordered(given: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey) -> tuple[x509.Certificate, ...]:
    wanted = public_der(key.public_key())
    own = [one for one in given if _der(one) == wanted]
    if not own:
        raise ChainRefused("none of its certificates is of the key that was requested: ca request has made the request")
    chain = [own[0]]
    while not issued_by(chain[-1], chain[-1]):
        above = next((one for one in given if one not in chain and issued_by(chain[-1], one)), None)
        if above is None:
            raise ChainRefused(
                f"it lacks the certificate of {chain[-1].issuer.rfc4514_string()}: add it, up to the root"
            )
        chain.append(above)
    if len(chain) == 1:
        raise ChainRefused("its certificate is signed by itself: another authority must have signed it")
    return tuple(chain)


def _check_authority(one: x509.Certificate, now: dt.datetime) -> None:
    name = one.subject.rfc4514_string()
    if not one.not_valid_before_utc <= now < one.not_valid_after_utc:
        raise ChainRefused(
            f"{name} holds from {one.not_valid_before_utc:%Y-%m-%d %H:%M} to {one.not_valid_after_utc:%Y-%m-%d %H:%M} "
            f"UTC, and now it is {now:%Y-%m-%d %H:%M}"
        )
    try:
        basic = one.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = one.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as missing:
        raise ChainRefused(f"{name} lacks an extension that an authority must have: {missing}") from None
    if not basic.ca or not usage.key_cert_sign:
        raise ChainRefused(f"{name} is no authority: it must say CA:TRUE and keyCertSign")


def _try(ca: CertificateAuthority, names: list[str], trust_domain: str) -> None:
    """Let OpenSSL judge by a handshake in memory: path length, name constraints, key usages, weak algorithms."""
    now = dt.datetime.now(dt.UTC)
    server, client = new_key(), new_key()
    who = SpiffeId(trust_domain, "agent", NOBODY)
    roots = certificates_pem(ca.above[-1:]).decode()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.verify_mode = ssl.CERT_REQUIRED
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context, key, leaf in (
        (server_side, server, ca.issue_server(server.public_key(), names, now)),
        (client_side, client, ca.issue_client(client.public_key(), who, now)),
    ):
        context.load_verify_locations(cadata=roots)
        load_pair(context, key_pem(key), ca.chain_pem(leaf).encode())
    for name in names:
        try:
            _shake(server_side, client_side, name)
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or error.reason or str(error)
            raise ChainRefused(f"what it would issue is refused in a trial ({_shown(name)}): {why}") from None


def _shake(server_side: ssl.SSLContext, client_side: ssl.SSLContext, name: str) -> None:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client_side.wrap_bio(down, up, server_hostname=name),
        server_side.wrap_bio(up, down, server_side=True),
    ]
    # A handshake of TLS 1.3 takes two turns of each side, and what the server thinks of the client one more.
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


def load_pair(context: ssl.SSLContext, key: bytes, chain: bytes) -> None:
    """Have a context show a certificate from now on; connections that are open stay as they are."""
    # OpenSSL's Python interface loads from files only; this one is 0600 and gone at once.
    with tempfile.NamedTemporaryFile() as file:
        file.write(key + chain)
        file.flush()
        context.load_cert_chain(file.name)


def _shown(name: str) -> str:
    try:
        return f"address {ipaddress.ip_address(name)}"
    except ValueError:
        return f"name {name}"


def _der(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    return public_der(key) if isinstance(key, ec.EllipticCurvePublicKey) else b""
