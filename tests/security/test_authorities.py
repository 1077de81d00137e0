"""Rotation of the authorities: two trusted at once, nobody cut off unawares, and no crash that leaves neither."""

import asyncio
import datetime as dt
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID
from solward.hosts.v1 import enrollment_pb2, hosts_pb2, link_pb2

import agent.link.auto as auto_module
from agent.identity import IdentityStore, trusting
from agent.link.auto import AutoLink
from common.pki import certificate_request, issuer_key_id, load_certificates, new_key, subject_key_id
from common.trust import sign_trust
from controlplane.identity import authorities as phases
from controlplane.identity.ca import CertificateAuthority
from controlplane.identity.external import ChainRefused
from controlplane.identity.installation import create, load
from controlplane.identity.rotation import Rotation, RotationRefused
from controlplane.store.hosts import HostRepository
from tests.support.authorities import DAY, ForeignRoot, rotating, serial_at, task, until
from tests.support.plane import Machine, Plane, control_plane, make_settings
from tests.support.stream import agent_stream, entries, refused
from tests.unit.agent.link.harness import Link, identity_of, link_parts, settings_for, stored

RENEW = "solward.hosts.v1.EnrollmentService/Renew"


async def renew(plane: Plane, machine: Machine, **options: Any) -> Machine:
    key = new_key()
    request = enrollment_pb2.RenewRequest(csr_pem=certificate_request(key))
    answer = await plane.call(RENEW, request, enrollment_pb2.Identity, machine, **options)
    return Machine(machine.name, answer.uid, key, answer.certificate_pem, list(answer.permit_keys))


@asynccontextmanager
async def running_agent(plane: Plane, machine: Machine, folder: Path) -> AsyncIterator[tuple[AutoLink, Link]]:
    """Run a real agent's link against the control plane."""
    folder.mkdir()
    identity = identity_of(machine, plane)
    with link_parts(folder, identity) as parts:
        settings = settings_for(folder, plane.app.servers.mtls_port)
        auto = AutoLink(settings, stored(folder, identity), parts.direct, lambda: None)
        async with task(auto.run()):
            await until(lambda: plane.app.operations.links.open_links())
            yield auto, parts


def issuer_of(auto: AutoLink) -> bytes:
    return issuer_key_id(auto.identity.certificate)


async def test_case_15_a_rotation_cuts_nobody_off(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_module, "MOVE_SECONDS", 0)
    admin = await plane.sign_in()
    machine, away = await plane.add_machine(admin, "sol-1"), await plane.add_machine(admin, "sol-2")
    hosts = HostRepository(plane.app.records.engine)
    async with running_agent(plane, machine, tmp_path / "agent") as (auto, parts):
        made = await rotating(plane, lambda rotation: rotation.rotate())
        # The stream that is open brings the new root, which is stored before it counts as told.
        await until(lambda: auto.identity.trust_version == plane.installation.pki.authorities.version)
        assert len(IdentityStore(tmp_path / "agent").load().roots) == 2
        with pytest.raises(RotationRefused, match=r"1 active hosts have not been told .*: hosts/sol-2"):
            await rotating(plane, lambda rotation: rotation.activate("", force=False))
        async with agent_stream(plane, away) as stream:
            await stream.send(trust_kept=link_pb2.TrustKept(version=plane.installation.pki.authorities.version))
            await until(lambda: told(hosts, away.uid, made.version))

        await rotating(plane, lambda rotation: rotation.activate("", force=False))
        fresh = subject_key_id(plane.installation.ca.certificate)
        # It moves by itself; nothing of what it measures meanwhile is lost.
        parts.measure(3)
        await until(lambda: issuer_of(auto) == fresh)
        parts.measure(2)
        await until(lambda: parts.spool.first_sequence == 6)
        # The one that was away still has a certificate of the old authority: both work, and it renews as well.
        moved = await renew(plane, away)
        assert issuer_key_id(x509.load_pem_x509_certificate(moved.certificate_pem.encode())) == fresh
        with pytest.raises(RotationRefused, match="certificates of ca are in force: hosts/sol-"):
            await rotating(plane, lambda rotation: rotation.retire("", force=False))
        await renew(plane, moved)
        await until(lambda: plane.app.operations.links.open_links())

        async def ended() -> bool:
            serial = f"{x509.load_pem_x509_certificate(machine.certificate_pem.encode()).serial_number:x}"
            row = await hosts.certificate(serial)
            return row is not None and row.state == "ended"

        await until(ended)
        await rotating(plane, lambda rotation: rotation.retire("", force=False))
        await until(lambda: len(auto.identity.roots) == 1 and subject_key_id(auto.identity.roots[0]) == fresh)
        parts.measure()
        await until(lambda: parts.spool.first_sequence == 7)
    # Of the old authority, TLS itself knows nothing any more.
    assert (await refused(renew(plane, away))).code.name == "UNAVAILABLE"
    assert not (plane.settings.data_dir / "pki" / "ca.key").exists()
    methods = [entry["method"] for entry in await entries(plane, kind="local")]
    assert sorted(methods) == ["ca.activate", "ca.retire", "ca.rotate"]


async def told(hosts: HostRepository, uid: str, version: int) -> bool:
    row = await hosts.by_uid(uid)
    return row is not None and row.trust_version >= version


async def test_case_09_a_retired_authority_ends_open_streams(plane: Plane) -> None:
    machine = await plane.add_machine(await plane.sign_in(), "sol-1")
    channel = plane.channel(machine)
    async with agent_stream(plane, machine, channel=channel) as stream:
        await rotating(plane, lambda rotation: rotation.rotate())
        await rotating(plane, lambda rotation: rotation.activate("", force=True))
        begin = time.monotonic()
        await rotating(plane, lambda rotation: rotation.retire("", force=True))
        refusal = await asyncio.wait_for(stream.refusal(), 6)
        assert time.monotonic() - begin < 5
    assert refusal.reason == "AUTHORITY_RETIRED"
    assert (await refused(renew(plane, machine, channel=channel))).reason == "AUTHORITY_RETIRED"
    forced = [entry for entry in await entries(plane, kind="local") if entry["reason"] == "FORCED"]
    assert [entry["method"] for entry in forced] == ["ca.activate", "ca.retire"]


@pytest.mark.parametrize("step", ["rotate", "activate", "retire"])
def test_case_15_killed_at_any_write_leaves_authorities_that_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    done = 0
    for dies_at in range(1, 5):
        settings = make_settings(tmp_path / str(dies_at))
        create(settings)
        steps = ["rotate", "activate", "retire"]
        for name in steps[: steps.index(step)]:
            act(Rotation(settings), name)
        before = {one.root for one in load(settings).pki.authorities.trusted}
        written, write = 0, phases.write_private

        def dying(path: Path, content: bytes) -> None:
            nonlocal written
            written += 1
            if written == dies_at:  # noqa: B023 - each round has its own
                raise KeyboardInterrupt
            write(path, content)  # noqa: B023

        with monkeypatch.context() as patched:
            patched.setattr(phases, "write_private", dying)
            try:
                act(Rotation(settings), step)
                done += 1
            except KeyboardInterrupt:
                pass
        # Whatever was reached: one issues, what it issues is trusted, and the roots for people are those in force.
        found = load(settings).pki
        assert found.issuing.certificate in {one.chain[0] for one in found.authorities.trusted}
        assert found.roots_pem == (settings.data_dir / "pki" / "ca.pem").read_bytes()
        assert step == "retire" or before <= {one.root for one in found.authorities.trusted}
        # And the same command, or the one that follows, goes on from here.
        if found.authorities.find("ca") is None or step != "retire":
            act(Rotation(settings), "rotate" if len(found.authorities.all) == 1 else "list")
    assert done >= 1


def act(rotation: Rotation, step: str) -> None:
    if step == "rotate":
        rotation.rotate()
    elif step == "activate":
        rotation.activate("", force=True)
    elif step == "retire":
        rotation.retire("", force=True)
    else:
        assert rotation.listed().active


def test_case_15_commands_refuse_what_is_out_of_turn(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with pytest.raises(RotationRefused, match="run solward-controlplane init first"):
        Rotation(settings)
    create(settings)
    rotation = Rotation(settings)
    for step, says in (
        (lambda: rotation.activate("", force=True), "no authority in the phase next"),
        (lambda: rotation.retire("", force=True), "no authority in the phase old"),
        (lambda: rotation.retire("ca", force=True), "ca is active"),
        (lambda: rotation.activate("other", force=True), "there is no authority 'other': ca \\(active\\)"),
        (lambda: rotation.take(b""), "no authority in the phase requested"),
    ):
        with pytest.raises(RotationRefused, match=says):
            step()
    made = rotation.rotate()
    with pytest.raises(RotationRefused, match="is next already"):
        rotation.rotate()
    rotation.activate("", force=False)
    # Back again, as long as the old one is trusted.
    rotation.activate("ca", force=False)
    assert [(one.id, one.phase) for one in rotation.listed().all] == [("ca", "active"), (made.id, "old")]


def test_case_15_an_installation_of_before_is_taken_over_as_it_is(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    made = create(settings)
    (settings.data_dir / "pki" / phases.MANIFEST).unlink()
    found = load(settings)
    assert found.ca.certificate == made.ca.certificate
    assert [(one.id, one.phase) for one in found.pki.authorities.all] == [("ca", "active")]
    manifest = settings.data_dir / "pki" / phases.MANIFEST
    manifest.write_text(json.dumps({"version": 1, "authorities": [], "changes": []}))
    with pytest.raises(Exception, match="exactly one active authority"):
        load(settings)


async def test_case_59_a_trust_bundle_must_be_signed_and_newer(plane: Plane) -> None:
    machine = await plane.add_machine(await plane.sign_in(), "sol-1")
    identity = identity_of(machine, plane)
    evil = CertificateAuthority.create("elsewhere", dt.datetime.now(dt.UTC)).pem
    forged = sign_trust(Ed25519PrivateKey.generate(), enrollment_pb2.Trust(version=2**62, roots_pem=evil))
    with pytest.raises(ValueError, match="not signed"):
        trusting(identity, forged)
    key = plane.installation.permit_key
    empty = sign_trust(key, enrollment_pb2.Trust(version=2**62))
    with pytest.raises(ValueError, match="PEM"):
        trusting(identity, empty)
    current = trusting(identity, plane.installation.pki.trust())
    older = sign_trust(key, enrollment_pb2.Trust(version=current.trust_version, roots_pem=evil))
    assert trusting(current, older) is current
    # A host that says it keeps what was not made yet is not believed.
    async with agent_stream(plane, machine) as stream:
        await stream.send(trust_kept=link_pb2.TrustKept(version=2**61))
        await stream.send(trust_kept=link_pb2.TrustKept(version=2**60))
        await asyncio.sleep(0.2)
    row = await HostRepository(plane.app.records.engine).by_uid(machine.uid)
    assert row
    assert row.trust_version == 0


async def test_the_servers_certificate_is_renewed_while_streams_go_on(plane: Plane) -> None:
    machine = await plane.add_machine(await plane.sign_in(), "sol-1")
    servers = plane.app.servers
    doors = ((servers.tls_port, None), (servers.mtls_port, machine), (plane.app.gateway_port, None))

    async def shown() -> list[str]:
        return [await asyncio.to_thread(serial_at, *door) for door in doors]

    async with agent_stream(plane, machine) as stream:
        first = await shown()
        assert len(set(first)) == 1
        # As SIGHUP does.
        plane.app.pki_life.renew_now()
        await until(lambda: f"{plane.installation.pki.server.certificate.serial_number:x}" != first[0])
        await asyncio.sleep(0.1)
        second = await shown()
        assert len(set(second)) == 1
        assert set(first).isdisjoint(second)
        events = link_pb2.EventBatch(sequence=1)
        await stream.send(events=events)
        assert (await stream.next()).ack.sequence == 1


async def test_the_servers_certificate_renews_itself_before_a_third_of_its_life_is_left(tmp_path: Path) -> None:
    async with control_plane(tmp_path, server_certificate_days=6 / 86400) as plane:
        first = plane.installation.pki.server
        await until(lambda: plane.installation.pki.server is not first)
        assert plane.installation.pki.server.issued < first.certificate.not_valid_after_utc
        port = plane.app.servers.tls_port
        assert await asyncio.to_thread(serial_at, port) != f"{first.certificate.serial_number:x}"


async def test_an_authority_below_a_foreign_root_issues(plane: Plane, tmp_path: Path) -> None:
    admin = await plane.sign_in()
    root, csr = ForeignRoot(), tmp_path / "request.csr"
    await rotating(plane, lambda rotation: rotation.request(csr))
    assert csr.stat().st_mode & 0o777 == 0o600
    await rotating(plane, lambda rotation: rotation.take(root.sign(csr.read_bytes())))
    await rotating(plane, lambda rotation: rotation.activate("", force=False))
    await rotating(plane, lambda rotation: rotation.retire("ca", force=True))
    assert load_certificates(plane.installation.pki.roots_pem) == (root.certificate,)
    # Clients that know the root alone are shown what stands between; so is the server.
    machine = await plane.enroll("sol-1", await plane.join_token("sol-1", admin))
    assert machine.certificate_pem.count("BEGIN CERTIFICATE") == 2
    async with running_agent(plane, machine, tmp_path / "agent") as (auto, parts):
        parts.measure()
        await until(lambda: parts.spool.first_sequence == 2)
        assert auto.identity.trouble() is None
    # Another authority below the same root repeats name and serial: TLS lets it pass, the record does not.
    mine = x509.load_pem_x509_certificate(machine.certificate_pem.encode())
    key = new_key()
    twin = twin_of(mine, root, key)
    assert (await refused(renew(plane, Machine("sol-1", machine.uid, key, twin, [])))).reason == "CERTIFICATE_UNKNOWN"


def twin_of(mine: x509.Certificate, root: ForeignRoot, key: Any) -> str:
    builder = (
        x509.CertificateBuilder().subject_name(mine.subject).issuer_name(root.certificate.subject)
        .public_key(key.public_key()).serial_number(mine.serial_number)
        .not_valid_before(mine.not_valid_before_utc).not_valid_after(mine.not_valid_after_utc)
    )  # fmt: skip
    for kind in (x509.SubjectAlternativeName, x509.ExtendedKeyUsage, x509.BasicConstraints):
        builder = builder.add_extension(mine.extensions.get_extension_for_class(kind).value, critical=False)
    return builder.sign(root.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _named(*permitted: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(permitted_subtrees=list(permitted), excluded_subtrees=None)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda csr: ForeignRoot().sign(csr, ca=False), "no authority"),
        (lambda csr: ForeignRoot().sign(csr, end=-DAY / 2), "holds from"),
        (lambda csr: ForeignRoot().sign(csr, begin=DAY), "holds from"),
        (lambda csr: ForeignRoot(path_length=0).sign(csr), "path length"),
        (lambda csr: ForeignRoot().sign(csr, _named(x509.DNSName("example.com"))), "permitted subtree"),
        (lambda csr: ForeignRoot().sign(csr, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])), "trial"),
        (lambda csr: ForeignRoot().sign(csr, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])), "trial"),
        (lambda csr: ForeignRoot().sign(csr).partition(b"-----END CERTIFICATE-----\n")[0]
            + b"-----END CERTIFICATE-----\n", "lacks the certificate of CN=Some Root"),
        (lambda csr: ForeignRoot().pem, "none of its certificates is of the key"),
    ],
)  # fmt: skip
def test_case_12_a_chain_that_could_not_issue_is_refused_and_says_why(tmp_path: Path, make: Any, says: str) -> None:
    settings = make_settings(tmp_path)
    create(settings)
    rotation, csr = Rotation(settings), tmp_path / "request.csr"
    rotation.request(csr)
    with pytest.raises(ChainRefused, match=says):
        rotation.take(make(csr.read_bytes()))
    # Refused, it has changed nothing, and a good one is taken.
    assert [one.phase for one in rotation.listed().all] == ["active", "requested"]
    assert rotation.take(ForeignRoot().sign(csr.read_bytes())).phase == phases.NEXT


async def test_metrics_tell_how_long_certificates_hold(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    url = f"http://127.0.0.1:{plane.app.metrics_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
    left = {}
    for line in text.splitlines():
        if line.startswith("solward_certificate_expiry_seconds{"):
            left[line[line.index("{") : line.index("}") + 1]] = float(line.rpartition(" ")[2])
    assert 86_000 < left['{kind="host",name="sol-1"}'] <= 86_400
    assert left['{kind="ca",name="ca"}'] > 3600 * 86_400
    assert 89 * 86_400 < left['{kind="server",name="server"}'] <= 90 * 86_400
    host = await plane.call(
        "solward.hosts.v1.HostsService/GetHost", hosts_pb2.GetHostRequest(name="hosts/sol-1"), hosts_pb2.Host, admin
    )
    life = host.certificate_expire_time.seconds - host.certificate_start_time.seconds
    assert (life, host.certificate_issuer) == (86_400 + 300, "ca")
