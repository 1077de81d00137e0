"""Keys, certificates, secrets and the short memory of who is who."""

import asyncio
import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from common.names import SpiffeId
from common.pki import CertificateInfo, new_key, trouble
from controlplane.identity.ca import AGENT_LIFE, BACKDATE, CertificateAuthority, public_der
from controlplane.identity.cache import ShortCache
from controlplane.identity.installation import InstallationError, create, exists, load
from controlplane.identity.secrets import hash_password, new_token, password_matches, seal, token_hash, unseal
from tests.support.plane import make_settings

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
WHO = SpiffeId("solward.internal", "agent", "a" * 32)


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority.create("solward.internal", NOW)


# The authority


def test_client_certificate_says_who_and_nothing_more(authority: CertificateAuthority) -> None:
    certificate = authority.issue_client(new_key().public_key(), WHO, NOW)
    info = CertificateInfo.of(certificate)
    assert info.spiffe_id == WHO
    assert certificate.not_valid_before_utc == NOW - BACKDATE
    assert certificate.not_valid_after_utc == NOW + AGENT_LIFE
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate.verify_directly_issued_by(authority.certificate)


def test_serials_are_never_the_same(authority: CertificateAuthority) -> None:
    key = new_key().public_key()
    assert len({authority.issue_client(key, WHO, NOW).serial_number for _ in range(50)}) == 50


def test_authority_certifies_leaves_only(authority: CertificateAuthority) -> None:
    constraints = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.value.ca, constraints.value.path_length, constraints.critical) == (True, 0, True)
    usage = authority.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)


def test_server_certificate_names_hosts_and_addresses(authority: CertificateAuthority) -> None:
    certificate = authority.issue_server(new_key().public_key(), ["cp.example", "127.0.0.1", "::1"], NOW)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cp.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


@pytest.mark.parametrize(("minutes", "fine"), [(-10, False), (-6, False), (-4, True), (0, True), (10, True)])
def test_case_17_clock_of_a_host_that_differs(authority: CertificateAuthority, minutes: int, fine: bool) -> None:
    """A new certificate holds at once for a clock up to five minutes behind; ten are said in words."""
    certificate = authority.issue_client(new_key().public_key(), WHO, NOW)
    found = trouble([certificate], [authority.certificate], NOW + dt.timedelta(minutes=minutes))
    assert (found is None) is fine
    assert fine or "set the clock" in str(found)


# Secrets


@given(st.text(max_size=50), st.text(max_size=20), st.binary(min_size=32, max_size=32))
def test_seal_opens_for_its_owner_and_key_alone(secret: str, owner: str, key: bytes) -> None:
    sealed = seal(key, owner, secret)
    assert unseal(key, owner, sealed) == secret
    for other_key, other_owner in ((bytes(32) if key != bytes(32) else b"x" * 32, owner), (key, owner + "x")):
        with pytest.raises(InvalidTag):
            unseal(other_key, other_owner, sealed)
    broken = bytearray(sealed)
    broken[-1] ^= 1
    with pytest.raises(InvalidTag):
        unseal(key, owner, bytes(broken))


def test_tokens_are_long_and_hashed_one_way() -> None:
    tokens = {new_token("join") for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("solward_join_") and len(token) >= 56 for token in tokens)
    assert all(token not in token_hash(token) and len(token_hash(token)) == 64 for token in tokens)


async def test_password_matches_its_own_hash_alone() -> None:
    stored = await hash_password("correct horse battery")
    assert "correct" not in stored
    assert await password_matches(stored, "correct horse battery")
    assert not await password_matches(stored, "correct horse batterz")
    assert not await password_matches(None, "correct horse battery")
    assert not await password_matches("no hash at all", "x")


# The short memory


async def test_answers_are_kept_for_their_life_and_forgotten_on_demand() -> None:
    cache: ShortCache[str, int] = ShortCache(60)
    loads: list[int] = []

    async def load_one() -> int:
        loads.append(1)
        return len(loads)

    assert [await cache.get("a", load_one) for _ in range(3)] == [1, 1, 1]
    cache.forget()
    assert await cache.get("a", load_one) == 2


async def test_answer_that_was_being_loaded_when_all_was_forgotten_is_not_kept() -> None:
    cache: ShortCache[str, str] = ShortCache(60)
    started, go = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        started.set()
        await go.wait()
        return "before"

    async def fresh() -> str:
        return "after"

    pending = asyncio.create_task(cache.get("a", slow))
    await started.wait()
    cache.forget()
    go.set()
    assert await pending == "before"
    assert await cache.get("a", fresh) == "after"


async def test_failures_are_not_kept_and_the_size_is_bounded() -> None:
    cache: ShortCache[int, int] = ShortCache(60, size=3)

    async def fail() -> int:
        raise ValueError("not today")

    async def one() -> int:
        return 1

    with pytest.raises(ValueError, match="not today"):
        await cache.get(0, fail)
    for number in range(10):
        assert await cache.get(number, one) == 1
    assert len(cache._kept) == 3


# The installation


def test_installation_is_the_owners_alone_and_loads_as_it_was_made(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    made = create(settings)
    loaded = load(settings)
    assert public_der(loaded.ca.key.public_key()) == public_der(made.ca.key.public_key())
    assert (loaded.audit_key, loaded.seed_key, loaded.gateway_secret) == (
        made.audit_key, made.seed_key, made.gateway_secret,
    )  # fmt: skip
    assert loaded.csrf_secret == made.csrf_secret
    assert len(loaded.csrf_secret) == 64
    assert made.csrf_secret not in repr(made)
    assert loaded.pki.server.key_pem != made.pki.server.key_pem
    assert "PRIVATE" not in repr(made)
    files = [path for path in settings.data_dir.rglob("*") if path.is_file()]
    assert len(files) == 10
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_installation_from_before_there_were_cookies_gets_its_csrf_secret_once(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    create(settings)
    key = settings.data_dir / "keys" / "csrf.key"
    key.unlink()
    secret = load(settings).csrf_secret
    assert (load(settings).csrf_secret, key.stat().st_mode & 0o777) == (secret, 0o600)
    given = make_settings(tmp_path, csrf_secret="g" * 32)
    assert load(given).csrf_secret == "g" * 32


def test_installation_is_never_written_over(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    create(settings)
    before = {path: path.read_bytes() for path in settings.data_dir.rglob("*") if path.is_file()}
    with pytest.raises(InstallationError, match="nothing was changed"):
        create(settings)
    assert before == {path: path.read_bytes() for path in settings.data_dir.rglob("*") if path.is_file()}


def test_missing_broken_and_readable_installations_say_so(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    assert not exists(settings)
    with pytest.raises(InstallationError, match="init first"):
        load(settings)
    create(settings)
    key = settings.data_dir / "keys" / "permit.key"
    key.chmod(0o640)
    with pytest.raises(InstallationError, match=r"permit\.key has mode 0640; it must be 0600"):
        load(settings)
    key.chmod(0o600)
    key.write_bytes(b"junk")
    with pytest.raises(InstallationError, match="cannot be used"):
        load(settings)
    key.unlink()
    with pytest.raises(InstallationError, match=r"permit\.key"):
        load(settings)
