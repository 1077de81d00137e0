"""Keys and certificates as all programs handle them."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from common.names import SpiffeId
from common.pki import CertificateInfo, certificate_request, key_pem, load_key, new_key, serial_hex, unix_ms

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
WHO = x509.UniformResourceIdentifier(f"spiffe://solward.internal/user/{'a' * 32}")


def certificate(*names: x509.GeneralName) -> x509.Certificate:
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(0xABC)
        .not_valid_before(NOW)
        .not_valid_after(NOW + dt.timedelta(seconds=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    return builder.sign(key, hashes.SHA256())


def test_info_reads_who_serial_and_when() -> None:
    info = CertificateInfo.of(certificate(WHO))
    assert info == CertificateInfo(
        SpiffeId("solward.internal", "user", "a" * 32), "abc", unix_ms(NOW), unix_ms(NOW) + 1000
    )


@pytest.mark.parametrize(
    "names",
    [
        (),
        (WHO, WHO),
        (WHO, x509.DNSName("x")),
        (x509.DNSName("x"),),
        (x509.UniformResourceIdentifier("https://x"),),
        (x509.UniformResourceIdentifier(f"spiffe://solward.internal/user/{'A' * 32}"),),
    ],
    ids=["nobody", "twice", "more", "dns", "https", "upper case"],
)
def test_certificate_that_names_anything_else_is_nobodys(names: tuple[x509.GeneralName, ...]) -> None:
    with pytest.raises(ValueError, match=r"certificate|not of the form|not allowed"):
        CertificateInfo.of(certificate(*names))


def test_key_reads_back_and_other_kinds_are_refused() -> None:
    key = new_key()
    assert load_key(key_pem(key)).private_numbers() == key.private_numbers()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for other in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        with pytest.raises(ValueError, match="P-256"):
            load_key(other.private_bytes(*form))
    with pytest.raises(ValueError, match=r"PEM|deserialize"):
        load_key(b"junk")


def test_request_says_nothing_but_the_key() -> None:
    key = new_key()
    request = x509.load_pem_x509_csr(certificate_request(key).encode())
    assert request.is_signature_valid
    assert len(request.extensions) == 0
    assert request.public_key() == key.public_key()


def test_serial_is_plain_hexadecimal() -> None:
    assert serial_hex(certificate(WHO)) == "abc"
