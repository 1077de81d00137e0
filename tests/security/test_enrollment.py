"""Attacks on joining the fleet: tokens used again, twice at once, late, by others, and greedy requests."""

import asyncio
import datetime as dt
import logging

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from solward.hosts.v1 import enrollment_pb2, hosts_pb2
from sqlalchemy import func, select

from common.names import SpiffeId
from common.pki import CertificateInfo, certificate_request, new_key
from controlplane.identity.ca import BadRequest, requested_key
from controlplane.identity.enrollment import RETRY_MS, TOKEN_LIFE_MS
from controlplane.identity.secrets import token_hash
from controlplane.store.tables import certificates, join_tokens
from tests.support.plane import Plane, Refused
from tests.support.stream import entries, refused, shift

ENROLL = "solward.hosts.v1.EnrollmentService/Enroll"
ENROLLMENT = "controlplane.identity.enrollment"


async def issued(plane: Plane) -> int:
    async with plane.app.records.engine.connect() as connection:
        return int((await connection.scalar(select(func.count()).select_from(certificates))) or 0)


async def test_case_01_token_reused_after_success_is_refused_and_audited(plane: Plane) -> None:
    token = await plane.join_token("sol-1", await plane.sign_in())
    await plane.enroll("sol-1", token)
    refusal = await refused(plane.enroll("sol-1", token))
    assert (refusal.code.name, refusal.reason) == ("PERMISSION_DENIED", "TOKEN_USED")
    outcomes = [(one["code"], one.get("reason"), one["resource"]) for one in await entries(plane, phase="outcome")
                if one["method"] == ENROLL]  # fmt: skip
    assert outcomes == [("OK", None, "hosts/sol-1"), ("PERMISSION_DENIED", "TOKEN_USED", "hosts/sol-1")]
    # Both machines' addresses are on record, with the decisions.
    assert len([one for one in await entries(plane, method=ENROLL, phase="decision") if one["peer"]]) == 2


async def test_case_02_token_used_concurrently_gives_exactly_one_certificate(plane: Plane) -> None:
    token = await plane.join_token("sol-1", await plane.sign_in())
    results = await asyncio.gather(*(plane.enroll("sol-1", token) for _ in range(12)), return_exceptions=True)
    lost = [one for one in results if isinstance(one, Refused)]
    assert len(lost) == 11
    assert {one.reason for one in lost} == {"TOKEN_USED"}
    assert await issued(plane) == 1


async def test_case_03_lost_reply_same_key_gets_the_same_certificate(plane: Plane) -> None:
    token, key = await plane.join_token("sol-1", await plane.sign_in()), new_key()
    results = await asyncio.gather(*(plane.enroll("sol-1", token, key) for _ in range(6)))
    assert len({one.certificate_pem for one in results}) == 1
    assert await issued(plane) == 1


async def test_case_03_retry_is_refused_to_another_key_and_after_five_minutes(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, key = await plane.join_token("sol-1", await plane.sign_in()), new_key()
    first = await plane.enroll("sol-1", token, key)
    shift(monkeypatch, ENROLLMENT, RETRY_MS - 5_000)
    assert (await plane.enroll("sol-1", token, key)).certificate_pem == first.certificate_pem
    assert (await refused(plane.enroll("sol-1", token, new_key()))).reason == "TOKEN_USED"
    shift(monkeypatch, ENROLLMENT, RETRY_MS + 1)
    assert (await refused(plane.enroll("sol-1", token, key))).reason == "TOKEN_USED"


async def test_case_04_expired_foreign_superseded_and_unknown_tokens_are_refused_alike(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await plane.sign_in()
    old = await plane.join_token("sol-1", admin)
    token = await plane.join_token("sol-1", admin)
    other = await plane.join_token("sol-2", admin)
    refusals = [
        await refused(plane.enroll("sol-1", given))
        for given in (old, other, "solward_join_x", token.upper(), "' OR 1=1")
    ]
    shift(monkeypatch, ENROLLMENT, TOKEN_LIFE_MS + 1)
    refusals.append(await refused(plane.enroll("sol-1", token)))
    assert {(one.code.name, one.reason, one.message) for one in refusals} == {
        ("PERMISSION_DENIED", "TOKEN_REFUSED", refusals[0].message)
    }
    assert await issued(plane) == 0


async def test_case_04_token_is_stored_hashed_and_never_logged(
    plane: Plane, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    token = await plane.join_token("sol-1", await plane.sign_in())
    await refused(plane.enroll("sol-2", token))
    await plane.enroll("sol-1", token)
    await refused(plane.enroll("sol-1", token))
    async with plane.app.records.engine.connect() as connection:
        assert (await connection.scalar(select(join_tokens.c.hash))) == token_hash(token)
    stored = b"".join(path.read_bytes() for path in plane.settings.data_dir.rglob("*") if path.is_file())
    out, err = capfd.readouterr()
    for sink in (stored.decode("latin-1"), caplog.text, out, err):
        assert token not in sink


def greedy_request(key: ec.EllipticCurvePrivateKey) -> str:
    """Ask for all that a certificate could say."""
    names = [
        x509.UniformResourceIdentifier(f"spiffe://solward.internal/user/{'a' * 32}"),
        x509.DNSName("localhost"),
        x509.RFC822Name("admin@solward.internal"),
    ]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.CODE_SIGNING]
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin")]))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=5), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


async def test_case_05_attributes_of_a_request_are_ignored(plane: Plane) -> None:
    token, key = await plane.join_token("sol-1", await plane.sign_in()), new_key()
    request = enrollment_pb2.EnrollRequest(host="hosts/sol-1", join_token=token, csr_pem=greedy_request(key))
    identity = await plane.call(ENROLL, request, enrollment_pb2.Identity)
    certificate = x509.load_pem_x509_certificate(identity.certificate_pem.encode())
    # `of` refuses more than one name.
    assert CertificateInfo.of(certificate).spiffe_id == SpiffeId("solward.internal", "agent", identity.uid)
    assert "admin" not in certificate.subject.rfc4514_string()
    extensions = certificate.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert certificate.not_valid_after_utc <= dt.datetime.now(dt.UTC) + dt.timedelta(hours=24)


def request_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    built = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM).decode()


def with_bad_signature() -> str:
    der = bytearray(
        x509.load_pem_x509_csr(certificate_request(new_key()).encode()).public_bytes(serialization.Encoding.DER)
    )
    der[-1] ^= 1
    body = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    return body.decode()


BAD_REQUESTS = {
    "RSA 1024": lambda: request_of(rsa.generate_private_key(65537, 1024)),
    "RSA 3072": lambda: request_of(rsa.generate_private_key(65537, 3072)),
    "P-192": lambda: request_of(ec.generate_private_key(ec.SECP192R1())),
    "P-384": lambda: request_of(ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": lambda: request_of(ec.generate_private_key(ec.SECP256K1())),
    "bad self-signature": with_bad_signature,
    "no PEM": lambda: "hello",
    "empty PEM": lambda: "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n",
}


@pytest.mark.parametrize("kind", BAD_REQUESTS)
def test_case_05_weak_keys_and_bad_signatures_are_refused(kind: str) -> None:
    with pytest.raises(BadRequest):
        requested_key(BAD_REQUESTS[kind]())


async def test_case_05_refused_request_names_the_field_and_leaves_the_token_good(plane: Plane) -> None:
    token = await plane.join_token("sol-1", await plane.sign_in())
    request = enrollment_pb2.EnrollRequest(
        host="hosts/sol-1", join_token=token, csr_pem=request_of(ec.generate_private_key(ec.SECP384R1()))
    )
    refusal = await refused(plane.call(ENROLL, request, enrollment_pb2.Identity))
    assert (refusal.code.name, refusal.reason) == ("INVALID_ARGUMENT", "CSR_REFUSED")
    assert "P-256" in refusal.message
    await plane.enroll("sol-1", token)


async def test_case_14_reused_name_gets_a_new_uid_and_inherits_nothing(plane: Plane) -> None:
    admin = await plane.sign_in()
    first = await plane.enroll("sol-1", await plane.join_token("sol-1", admin))
    revoke = hosts_pb2.RevokeHostRequest(name="hosts/sol-1")
    await plane.call("solward.hosts.v1.HostsService/RevokeHost", revoke, hosts_pb2.Host, admin)
    second = await plane.enroll("sol-1", await plane.join_token("sol-1", admin))
    assert second.uid != first.uid
    renew = enrollment_pb2.RenewRequest(csr_pem=certificate_request(new_key()))
    method = "solward.hosts.v1.EnrollmentService/Renew"
    refusal = await refused(plane.call(method, renew, enrollment_pb2.Identity, first))
    assert refusal.reason == "CERTIFICATE_REVOKED"
    assert (await plane.call(method, renew, enrollment_pb2.Identity, second)).uid == second.uid
    shown = hosts_pb2.GetHostRequest(name="hosts/sol-1")
    host = await plane.call("solward.hosts.v1.HostsService/GetHost", shown, hosts_pb2.Host, admin)
    assert (host.uid, host.dropped_samples, host.connected) == (second.uid, 0, False)


async def test_case_14_active_name_cannot_be_taken_over(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    assert (await refused(plane.join_token("sol-1", admin))).reason == "HOST_ACTIVE"
