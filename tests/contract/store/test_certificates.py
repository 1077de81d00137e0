"""Certificates of people and services, and the services: what is listed, what ends, and what a rotation asks."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.certificates import CertificateRepository, HostExpiry, ServiceRepository, ServiceRow
from controlplane.store.hosts import CURRENT, NEXT, CertificateRow, HostRepository, JoinRow

NOW = 1_000
REPORTER = ServiceRow("s1", "reporter", "viewer", False, "admin", NOW)


@pytest.fixture
def certificates(engines: list[AsyncEngine]) -> CertificateRepository:
    return CertificateRepository(engines[0])


@pytest.fixture
def services(engines: list[AsyncEngine]) -> ServiceRepository:
    return ServiceRepository(engines[0])


@pytest.fixture
def hosts(engines: list[AsyncEngine]) -> HostRepository:
    return HostRepository(engines[0])


def certificate(
    serial: str, uid: str = "s1", kind: str = "service", end: int = 10_000, issuer: str = "ca"
) -> CertificateRow:
    return CertificateRow(serial, kind, uid, b"key", 0, end, CURRENT, issuer)


async def join(hosts: HostRepository, name: str, uid: str, row: CertificateRow, *, recover: bool = False) -> bool:
    if not recover:
        await hosts.replace(uid, name, NOW)
    await hosts.add_join_token(f"token-{row.serial}", uid, NOW + 500, recover=recover)
    token = await hosts.join_token(f"token-{row.serial}")
    assert isinstance(token, JoinRow)
    assert token.recover == recover
    return await hosts.join(token, "key", "pem", row, NOW)


async def test_what_holds_is_listed_and_what_ended_is_not(certificates: CertificateRepository) -> None:
    for number, row in enumerate((certificate("a"), certificate("b", "u1", "user"), certificate("c", end=NOW))):
        await certificates.add(row, NOW + number)
    assert [row.serial for row in await certificates.holding(NOW)] == ["b", "a"]
    assert [row.serial for row in await certificates.holding(NOW, "s1")] == ["a"]
    assert await certificates.end("a")
    assert not await certificates.end("a")
    assert await certificates.holding(NOW, "s1") == []
    assert await certificates.end_all("u1") == 1
    assert await certificates.holding(NOW) == []
    row = await certificates.get("a")
    assert row
    assert row.state == "ended"


async def test_a_second_factor_is_kept_for_one_certificate(certificates: CertificateRepository) -> None:
    await certificates.add(certificate("a"), NOW)
    await certificates.add(certificate("b"), NOW)
    await certificates.confirm("a", 77)
    assert [await certificates.confirmed_ms(serial) for serial in ("a", "b", "none")] == [77, 0, 0]


async def test_services_have_unique_names(services: ServiceRepository) -> None:
    assert await services.add(REPORTER)
    assert not await services.add(REPORTER._replace(uid="s2"))
    await services.add(REPORTER._replace(uid="s3", name="a-first"))
    await services.set("s1", role="none", disabled=True)
    assert [row.name for row in await services.all()] == ["a-first", "reporter"]
    assert await services.by_name("reporter") == REPORTER._replace(role="none", disabled=True)
    assert await services.by_uid("s3") == REPORTER._replace(uid="s3", name="a-first")
    assert await services.by_uid("s9") is None


async def test_a_rotation_learns_whom_it_would_cut_off(
    certificates: CertificateRepository, services: ServiceRepository, hosts: HostRepository
) -> None:
    await services.add(REPORTER)
    await certificates.add(certificate("a"), NOW)
    await certificates.add(certificate("b", issuer="ca-2"), NOW)
    await certificates.add(certificate("c", end=NOW), NOW)
    assert await join(hosts, "sol-1", "h1", certificate("d", "h1", "agent"))
    assert await join(hosts, "sol-2", "h2", certificate("e", "h2", "agent", issuer="ca-2"))
    await hosts.add_certificate(certificate("f", "h2", "agent")._replace(state=NEXT), NOW)
    await hosts.seen("h2", NOW, trust_version=5)
    assert await certificates.in_force("ca", NOW) == ["hosts/sol-1", "hosts/sol-2", "services/reporter"]
    assert await certificates.in_force("ca-2", NOW) == ["hosts/sol-2", "services/reporter"]
    assert await certificates.untold(5) == ["hosts/sol-1"]
    assert await certificates.untold(6) == ["hosts/sol-1", "hosts/sol-2"]
    assert sorted(await certificates.of_hosts()) == [HostExpiry("sol-1", 10_000), HostExpiry("sol-2", 10_000)]
    await hosts.set_state("h1", "revoked")
    assert await certificates.untold(5) == []
    assert await certificates.in_force("ca", NOW) == ["hosts/sol-2", "services/reporter"]


async def test_a_recovery_ends_what_the_host_had_and_keeps_the_host(
    certificates: CertificateRepository, hosts: HostRepository
) -> None:
    await join(hosts, "sol-1", "h1", certificate("a", "h1", "agent"))
    await hosts.seen("h1", NOW, exchange_current="x", exchange_next="y", trust_version=9)
    assert await join(hosts, "sol-1", "h1", certificate("b", "h1", "agent"), recover=True)
    states = [row.state for serial in ("a", "b") if (row := await certificates.get(serial))]
    assert states == ["ended", CURRENT]
    row = await hosts.by_name("sol-1")
    assert row
    assert (row.uid, row.state, row.exchange_current, row.exchange_next, row.trust_version) == (
        "h1",
        "active",
        "",
        "",
        0,
    )
    # A host that was cut off meanwhile is not let in by a recovery token.
    await hosts.set_state("h1", "revoked")
    assert not await join(hosts, "sol-1", "h1", certificate("c", "h1", "agent"), recover=True)
