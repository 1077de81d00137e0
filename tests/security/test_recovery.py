"""A fleet that was off for longer than its certificates, or its authority, hold: the way back, and its guards."""

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from solward.alerts.v1 import alerts_pb2
from solward.hosts.v1 import enrollment_pb2, hosts_pb2
from solward.operations.v1 import operations_pb2

from agent.identity import FILE, IdentityStore, prepare_state
from agent.link.enroll import EnrollError, enroll
from agent.settings import Settings
from common.pki import certificate_request, new_key
from controlplane.identity import authorities as phases
from controlplane.identity import live
from controlplane.identity.ca import CertificateAuthority
from controlplane.identity.installation import InstallationError, authority_store, create, load
from controlplane.identity.rotation import Rotation
from controlplane.store.operations import OperationRepository
from tests.support.authorities import rotating
from tests.support.plane import Machine, Person, Plane, make_settings
from tests.support.stream import agent_stream, entries, hello, refused
from tests.unit.agent.link.harness import identity_of

RECOVER = "solward.hosts.v1.HostsService/CreateRecoveryToken"
ENROLL = "solward.hosts.v1.EnrollmentService/Enroll"
WHY = "the fleet was off for a month"


async def recovery_token(plane: Plane, admin: Person, name: str = "sol-1") -> hosts_pb2.JoinToken:
    request = hosts_pb2.CreateRecoveryTokenRequest(host=f"hosts/{name}", reason=WHY)
    return await plane.call(RECOVER, request, hosts_pb2.JoinToken, admin)


def agent_settings(plane: Plane, folder: Path) -> Settings:
    servers = plane.app.servers
    return Settings(server="localhost", mtls_port=servers.mtls_port, tls_port=servers.tls_port, state_dir=folder)


async def connected_once(plane: Plane, machine: Machine) -> str:
    """Connect as the agent did before it went off; give the token that its Welcome brought."""
    async with agent_stream(plane, machine) as stream:
        return stream.welcome.exchange_token


async def test_case_16_a_fleet_off_past_its_authoritys_life_comes_back(plane: Plane, tmp_path: Path) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")
    folder = tmp_path / "agent"
    prepare_state(folder)
    store = IdentityStore(folder)
    store.save(identity_of(machine, plane))
    store.save_exchange(store.load(), await connected_once(plane, machine))
    # While it was off, the authority was replaced, and nothing of the old one is trusted.
    await rotating(plane, lambda rotation: rotation.rotate())
    await rotating(plane, lambda rotation: rotation.activate("", force=True))
    await rotating(plane, lambda rotation: rotation.retire("", force=True))
    settings = agent_settings(plane, folder)
    token = await recovery_token(plane, admin)
    # The old root knows nothing of this control plane; the new one must be brought by hand.
    identity = await enroll(settings, "sol-1", token.ca_pem.encode(), token.token, recover=True)
    assert identity.uid == machine.uid
    assert (store.load().serial, store.load().exchange_token) == (identity.serial, "")
    back = Machine("sol-1", identity.uid, identity.key, identity.certificate_pem.decode(), [])
    async with agent_stream(plane, back) as stream:
        assert stream.welcome.exchange_token
    # It is loud: an alert for the token, another for its use, and the audit log names both.
    found = await plane.call(
        "solward.alerts.v1.AlertsService/ListAlerts",
        alerts_pb2.ListAlertsRequest(),
        alerts_pb2.ListAlertsResponse,
        admin,
    )
    said = [alert.evidence for alert in found.alerts if alert.rule == "host_recovery"]
    assert len(said) == 2
    assert any(WHY in one and admin.name in one for one in said)
    assert any(entry["phase"] == "outcome" or entry.get("code") for entry in await entries(plane, method=RECOVER))
    assert any("recovered" in json.dumps(entry) for entry in await entries(plane, method=ENROLL))


async def test_case_16_the_token_is_for_the_machine_that_joined(plane: Plane, tmp_path: Path) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")
    token = await connected_once(plane, machine)
    made = await recovery_token(plane, admin)

    def request(exchange_token: str) -> Any:
        asked = enrollment_pb2.EnrollRequest(
            host="hosts/sol-1", join_token=made.token, csr_pem=certificate_request(new_key()),
            exchange_token=exchange_token,
        )  # fmt: skip
        return plane.call(ENROLL, asked, enrollment_pb2.Identity)

    for wrong in ("", "0" * 32):
        assert (await refused(request(wrong))).reason == "RECOVERY_REFUSED"
    # Until it is used, the certificate before holds.
    async with agent_stream(plane, machine, hello(token)) as stream:
        token = stream.welcome.exchange_token
        assert (await request(token)).uid == machine.uid
        assert (await asyncio.wait_for(stream.refusal(), 5)).reason == "HOST_REVOKED"
    assert (await refused(connected_once(plane, machine))).reason == "CERTIFICATE_REVOKED"
    assert (await refused(request(token))).reason == "TOKEN_USED"


async def test_case_16_only_what_has_joined_can_be_recovered(plane: Plane, tmp_path: Path) -> None:
    admin, operator = await plane.sign_in(), await plane.sign_in("operator")
    await plane.join_token("sol-1", admin)
    assert (await refused(recovery_token(plane, admin))).reason == "HOST_NOT_ACTIVE"
    assert (await refused(recovery_token(plane, operator))).reason == "PERMISSION_MISSING"
    machine = await plane.add_machine(admin, "sol-2")
    request = hosts_pb2.CreateRecoveryTokenRequest(host="hosts/sol-2", reason="so")
    assert (await refused(plane.call(RECOVER, request, hosts_pb2.JoinToken, admin))).reason == "INVALID_FIELD"
    # A revoked host stays out, whatever token was made before.
    made = await recovery_token(plane, admin, "sol-2")
    revoke = hosts_pb2.RevokeHostRequest(name="hosts/sol-2")
    await plane.call("solward.hosts.v1.HostsService/RevokeHost", revoke, hosts_pb2.Host, admin)
    folder = tmp_path / "agent"
    prepare_state(folder)
    IdentityStore(folder).save(identity_of(machine, plane))
    with pytest.raises(EnrollError, match="TOKEN_REFUSED"):
        await enroll(agent_settings(plane, folder), "sol-2", made.ca_pem.encode(), made.token, recover=True)
    # Without an identity there is nothing to recover.
    (folder / FILE).unlink()
    with pytest.raises(EnrollError, match="nothing to recover"):
        await enroll(agent_settings(plane, folder), "sol-2", made.ca_pem.encode(), made.token, recover=True)


async def test_case_16_approvals_of_before_are_void(plane: Plane) -> None:
    admin = await plane.sign_in()
    machine = await plane.add_machine(admin, "sol-1")
    await plane.add_machine(admin, "sol-2")
    stored = OperationRepository(plane.app.records.engine, lambda: plane.app.records.leadership.term)
    uids = {"hosts/sol-1": "1" * 32, "hosts/sol-2": "2" * 32}
    for host, uid in uids.items():
        waiting = operations_pb2.Operation(
            name=f"operations/{uid}", host=host, state=operations_pb2.OPERATION_STATE_AWAITING_APPROVAL,
            approvals_required=2,
        )  # fmt: skip
        waiting.approvals.add(approver="somebody")
        assert await stored.add(uid, machine.uid if host == "hosts/sol-1" else "x", waiting, None) == uid
    made = await recovery_token(plane, admin)
    request = enrollment_pb2.EnrollRequest(
        host="hosts/sol-1", join_token=made.token, csr_pem=certificate_request(new_key())
    )
    await plane.call(ENROLL, request, enrollment_pb2.Identity)
    left = {}
    for host, uid in uids.items():
        operation = await stored.get(uid)
        assert operation
        left[host] = len(operation.approvals)
    assert left == {"hosts/sol-1": 0, "hosts/sol-2": 1}


def test_case_16_a_control_plane_whose_authority_is_over_says_the_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(tmp_path)
    create(settings)
    store, long_ago = authority_store(settings), dt.datetime.now(dt.UTC) - dt.timedelta(days=4000)
    over = CertificateAuthority.create("solward.internal", long_ago)
    store.save_key("ca", over.key)
    store.save(phases.Authorities(1, (phases.Authority("ca", phases.ACTIVE, (over.certificate,), 0),)))
    with pytest.raises(InstallationError, match="ca rotate, then ca activate --force"):
        load(settings)
    rotation = Rotation(settings)
    rotation.rotate()
    rotation.activate("", force=True)
    rotation.retire("", force=True)
    found = load(settings).pki
    assert found.server.certificate.not_valid_after_utc > dt.datetime.now(dt.UTC)
    assert live.RENEW_AFTER < 2 / 3
