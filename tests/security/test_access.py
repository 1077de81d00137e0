"""Who may do what: invitations, authenticators, roles, grants, approvals and broken glass, as attackers try them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pyotp
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask
from solward.alerts.v1 import alerts_pb2
from solward.auth.v1 import access_pb2 as pb
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import hosts_pb2
from solward.operations.v1 import operations_pb2
from solward.validator.v1 import validator_pb2
from sqlalchemy import update

from controlplane.store.tables import users
from tests.support.access import (
    ACCESS,
    AUTH,
    HOSTS,
    accepted,
    approve,
    get_host,
    grant,
    hosts_of,
    invite,
    joined,
    recover,
    reset,
)  # fmt: skip
from tests.support.plane import PASSWORD, Plane, control_plane
from tests.support.redis import redis
from tests.support.stream import refused


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    """One that asks for no codes after the sign-in: what is tried here is another matter, and a code is good once."""
    async with control_plane(tmp_path, require_second_factor=False) as made:
        yield made


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Plane]:
    """One as it is in production."""
    async with control_plane(tmp_path) as made:
        yield made


async def test_an_invitation_is_good_once_and_only_for_who_proves_the_authenticator(plane: Plane) -> None:
    admin = await plane.sign_in()
    invitation = (await invite(plane, admin)).invitation
    totp = await accepted(plane, invitation)
    wrong = auth_pb2.ConfirmInvitationRequest(invitation=invitation, totp_code="000000")
    refusal = await refused(plane.call(f"{AUTH}/ConfirmInvitation", wrong, auth_pb2.RecoveryCodes))
    assert refusal.reason == "CODE_REFUSED"
    # Not before it is confirmed.
    login = auth_pb2.LoginRequest(username="carol", password=PASSWORD, totp_code=totp.now())
    assert (await refused(plane.call(f"{AUTH}/Login", login, auth_pb2.Session))).reason == "LOGIN_REFUSED"
    confirm = auth_pb2.ConfirmInvitationRequest(invitation=invitation, totp_code=totp.now())
    codes = await plane.call(f"{AUTH}/ConfirmInvitation", confirm, auth_pb2.RecoveryCodes)
    assert len(set(codes.codes)) == 10
    for method, request in (("AcceptInvitation", auth_pb2.AcceptInvitationRequest(invitation=invitation,
                             password=PASSWORD)), ("ConfirmInvitation", confirm)):  # fmt: skip
        assert (await refused(plane.call(f"{AUTH}/{method}", request, Empty))).reason == "INVITATION_REFUSED"
    # The code that confirmed was spent by it.
    assert (await refused(plane.call(f"{AUTH}/Login", login, auth_pb2.Session))).reason == "LOGIN_REFUSED"


async def test_a_recovery_code_signs_in_once_however_many_try(plane: Plane) -> None:
    admin = await plane.sign_in()
    _, codes = await joined(plane, admin)
    tries = await asyncio.gather(*(recover(plane, "carol", codes[0]) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, auth_pb2.Session) for one in tries) == 1
    both = auth_pb2.LoginRequest(username="carol", password=PASSWORD, recovery_code=codes[1], totp_code="123456")
    assert (await refused(plane.call(f"{AUTH}/Login", both, auth_pb2.Session))).reason == "INVALID_FIELD"


async def test_a_stolen_session_cannot_bring_its_own_authenticator(strict: Plane) -> None:
    admin = await strict.sign_in()
    async with strict.app.records.engine.begin() as connection:
        # As if the sign-in were long ago.
        await connection.exec_driver_sql("UPDATE sessions SET second_factor_ms = 0")
    asked = auth_pb2.SetUpSecondFactorRequest()
    refusal = await refused(strict.call(f"{AUTH}/SetUpSecondFactor", asked, auth_pb2.AuthenticatorSecret, admin))
    assert (refusal.reason, refusal.info.metadata["factor"]) == ("SECOND_FACTOR_REQUIRED", "PER_CALL")


async def test_who_must_have_an_authenticator_and_has_none_may_do_nothing_but_set_it_up(strict: Plane) -> None:
    operator = await strict.sign_in("operator")
    async with strict.app.records.engine.begin() as connection:
        await connection.execute(update(users).where(users.c.uid == operator.uid).values(totp_seed=b""))
    strict.app.identities.principals.forget()
    assert (await refused(hosts_of(strict, operator))).reason == "PERMISSION_MISSING"
    asked = auth_pb2.SetUpSecondFactorRequest()
    async with strict.app.records.engine.begin() as connection:
        # A session that lies about since this morning brings none.
        await connection.exec_driver_sql("UPDATE sessions SET created_ms = created_ms - 3600000")
    late = await refused(strict.call(f"{AUTH}/SetUpSecondFactor", asked, auth_pb2.AuthenticatorSecret, operator))
    assert late.reason == "SESSION_TOO_OLD"
    async with strict.app.records.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE sessions SET created_ms = created_ms + 3600000")
    secret = await strict.call(f"{AUTH}/SetUpSecondFactor", asked, auth_pb2.AuthenticatorSecret, operator)
    totp = pyotp.parse_uri(secret.otpauth_uri)
    assert isinstance(totp, pyotp.TOTP)
    confirm = auth_pb2.ConfirmSecondFactorRequest(totp_code=totp.now())
    await strict.call(f"{AUTH}/ConfirmSecondFactor", confirm, auth_pb2.RecoveryCodes, operator)
    assert await hosts_of(strict, operator) == []


async def test_sessions_are_listed_and_ended_by_their_owner_or_an_admin_alone(plane: Plane) -> None:
    admin, other = await plane.sign_in(), await plane.sign_in("viewer")
    mine = await plane.call(
        f"{AUTH}/ListSessions", auth_pb2.ListSessionsRequest(), auth_pb2.ListSessionsResponse, admin
    )
    assert [(one.username, one.current, one.peer) for one in mine.sessions] == [(admin.name, True, "127.0.0.1")]
    foreign = auth_pb2.EndSessionRequest(name=mine.sessions[0].name)
    assert (await refused(plane.call(f"{AUTH}/EndSession", foreign, Empty, other))).reason == "SESSION_NOT_FOUND"
    ending = pb.EndUserSessionsRequest(user=f"users/{other.name}")
    ended = await plane.call(f"{ACCESS}/EndUserSessions", ending, pb.EndUserSessionsResponse, admin)
    assert ended.ended == 1
    assert (await refused(hosts_of(plane, other))).reason == "SESSION_OVER"
    assert (await refused(plane.call(f"{ACCESS}/ListUsers", pb.ListUsersRequest(), Empty, other))).reason


async def test_case_28_lists_show_what_a_grant_reaches_and_a_page_token_of_another_shows_no_more(plane: Plane) -> None:
    admin = await plane.sign_in()
    for name in ("sol-1", "sol-2", "sol-3"):
        await plane.add_machine(admin, name)
    carol, _ = await joined(plane, admin, role="none")
    assert (await refused(hosts_of(plane, carol))).reason == "PERMISSION_MISSING"
    await grant(plane, admin, "carol", "viewer", "hosts/sol-2")
    assert await hosts_of(plane, carol) == ["hosts/sol-2"]
    assert (await get_host(plane, carol, "hosts/sol-2")).name == "hosts/sol-2"
    for name in ("hosts/sol-1", "hosts/there-is-none"):
        refusal = await refused(get_host(plane, carol, name))
        # The same words whether the host is there or not.
        assert (refusal.reason, refusal.info.metadata["at"]) == ("PERMISSION_MISSING", name)
    first = hosts_pb2.ListHostsRequest(page_size=1)
    page = await plane.call(f"{HOSTS}/ListHosts", first, hosts_pb2.ListHostsResponse, admin)
    second = hosts_pb2.ListHostsRequest(page_size=1, page_token=page.next_page_token)
    assert [
        host.name for host in (await plane.call(f"{HOSTS}/ListHosts", second, hosts_pb2.ListHostsResponse, carol)).hosts
    ] == ["hosts/sol-2"]
    # Her own tokens name no host that she does not see.
    await grant(plane, admin, "carol", "viewer", "hosts/sol-1")
    own = await plane.call(f"{HOSTS}/ListHosts", first, hosts_pb2.ListHostsResponse, carol)
    assert [host.name for host in own.hosts] == ["hosts/sol-1"]
    rest = hosts_pb2.ListHostsRequest(page_size=1, page_token=own.next_page_token)
    last = await plane.call(f"{HOSTS}/ListHosts", rest, hosts_pb2.ListHostsResponse, carol)
    assert ([host.name for host in last.hosts], last.next_page_token) == (["hosts/sol-2"], "")
    third = hosts_pb2.ListHostsRequest(page_size=2, page_token=page.next_page_token)
    shown = await plane.call(f"{HOSTS}/ListHosts", third, hosts_pb2.ListHostsResponse, carol)
    assert [host.name for host in shown.hosts] == ["hosts/sol-2"]


async def test_case_14_a_grant_on_a_host_does_not_pass_to_another_of_its_name(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    carol, _ = await joined(plane, admin, role="none")
    await grant(plane, admin, "carol", "viewer", "hosts/sol-1")
    assert await hosts_of(plane, carol) == ["hosts/sol-1"]
    revoke = hosts_pb2.RevokeHostRequest(name="hosts/sol-1")
    await plane.confirmed(f"{HOSTS}/RevokeHost", revoke, hosts_pb2.Host, admin)
    await plane.add_machine(admin, "sol-1")
    plane.app.identities.principals.forget()
    assert await hosts_of(plane, carol) == []


async def test_case_26_a_grant_that_ended_or_ran_out_gives_nothing_from_the_next_call_on(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    carol, _ = await joined(plane, admin, role="none")
    made = await grant(plane, admin, "carol", "viewer", "*")
    assert await hosts_of(plane, carol) == ["hosts/sol-1"]
    end = pb.EndGrantRequest(name=made.name)
    await plane.confirmed(f"{ACCESS}/EndGrant", end, pb.Grant, admin)
    assert (await refused(hosts_of(plane, carol))).reason == "PERMISSION_MISSING"
    await grant(plane, admin, "carol", "viewer", "*", seconds=1)
    assert await hosts_of(plane, carol) == ["hosts/sol-1"]
    await asyncio.sleep(1.1)
    plane.app.identities.principals.forget()
    assert (await refused(hosts_of(plane, carol))).reason == "PERMISSION_MISSING"


async def test_a_role_of_ones_own_gives_what_it_names_and_stays_while_it_is_held(plane: Plane) -> None:
    admin = await plane.sign_in()
    wrong = pb.CreateRoleRequest(role="roles/night", permissions=["validator.restart", "make.coffee"])
    refusal = await refused(plane.confirmed(f"{ACCESS}/CreateRole", wrong, pb.Role, admin))
    assert (refusal.reason, refusal.info.metadata["unknown"]) == ("PERMISSION_UNKNOWN", "make.coffee")
    right = pb.CreateRoleRequest(role="roles/night", permissions=["hosts.read"])
    await plane.confirmed(f"{ACCESS}/CreateRole", right, pb.Role, admin)
    carol, _ = await joined(plane, admin, role="night")
    assert await hosts_of(plane, carol) == []
    restart = validator_pb2.RestartRequest(host="hosts/sol-1", validate_only=True)
    method = "solward.validator.v1.ValidatorService/Restart"
    assert (await refused(plane.call(method, restart, operations_pb2.Operation, carol))).reason == "PERMISSION_MISSING"
    delete = pb.DeleteRoleRequest(role="roles/night")
    assert (await refused(plane.confirmed(f"{ACCESS}/DeleteRole", delete, Empty, admin))).reason == "ROLE_IN_USE"


async def test_explain_says_which_rule_decides_and_what_is_missing(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    await joined(plane, admin, role="none")
    await grant(plane, admin, "carol", "operator", "hosts/sol-1")

    async def explain(host: str) -> pb.Explanation:
        request = pb.ExplainAccessRequest(user="users/carol", method="ValidatorService/Restart", host=host)
        return await plane.call(f"{ACCESS}/ExplainAccess", request, pb.Explanation, admin)

    there = await explain("hosts/sol-1")
    assert there.allowed
    assert there.rule.endswith("role operator on hosts/sol-1")
    assert (there.approvals, there.power_approvals) == (0, 0)
    gives = pb.ExplainAccessRequest(user=f"users/{admin.name}", method="AccessService/CreateGrant")
    assert (await plane.call(f"{ACCESS}/ExplainAccess", gives, pb.Explanation, admin)).power_approvals == 1
    elsewhere = await explain("")
    assert not elsewhere.allowed
    assert "lacks validator.restart on every host" in elsewhere.missing
    out = pb.UpdateUserRequest(user="users/carol", disabled=True, update_mask=FieldMask(paths=["disabled"]))
    await plane.call(f"{ACCESS}/UpdateUser", out, pb.User, admin)
    assert "kept out" in (await explain("hosts/sol-1")).missing
    unknown = pb.ExplainAccessRequest(method="Nothing/There")
    assert (await refused(plane.call(f"{ACCESS}/ExplainAccess", unknown, Empty, admin))).reason == "METHOD_UNKNOWN"


async def test_the_last_admin_stays_one(plane: Plane) -> None:
    admin = await plane.sign_in()
    request = pb.UpdateUserRequest(
        user=f"users/{admin.name}", role="roles/viewer", update_mask=FieldMask(paths=["role"])
    )
    assert (await refused(plane.confirmed(f"{ACCESS}/UpdateUser", request, pb.User, admin))).reason == "LAST_ADMIN"


async def test_case_32_a_mask_reaches_no_field_that_is_not_to_be_changed(plane: Plane) -> None:
    admin = await plane.sign_in()
    for path in ("uid", "has_second_factor", "password_hash", "*", "role.x"):
        request = pb.UpdateUserRequest(user=f"users/{admin.name}", update_mask=FieldMask(paths=["disabled", path]))
        refusal = await refused(plane.confirmed(f"{ACCESS}/UpdateUser", request, pb.User, admin))
        assert (refusal.reason, refusal.info.metadata["field"]) == ("INVALID_FIELD", "update_mask"), path


async def test_case_29_nobody_approves_ones_own_call_by_a_second_account_and_who_left_counts_no_more(
    plane: Plane,
) -> None:
    admin, second, other = await plane.sign_in(), await plane.sign_in(), await plane.sign_in()
    target = await plane.sign_in("viewer")
    async with plane.app.records.engine.begin() as connection:
        await connection.execute(update(users).where(users.c.uid == admin.uid).values(email="ana@EXAMPLE.net"))
        await connection.execute(update(users).where(users.c.uid == second.uid).values(email="Ana@example.net"))
    waits = (await refused(reset(plane, admin, target.name))).info.metadata
    assert (waits["wanted"], waits["given"]) == ("1", "0")
    name, digest = waits["call_approval"], waits["call_digest"]
    for own in (admin, second):
        assert (await refused(approve(plane, own, name, digest))).reason == "OWN_REQUEST"
    assert (await refused(approve(plane, other, name, "0" * 64))).reason == "CALL_CHANGED"
    assert list((await approve(plane, other, name, digest)).approvers) == [other.name]
    assert (await refused(approve(plane, other, name, digest))).reason == "ALREADY_APPROVED"
    # Whoever approved and is no admin any more counts no more.
    async with plane.app.records.engine.begin() as connection:
        await connection.execute(update(users).where(users.c.uid == other.uid).values(role="viewer"))
    assert (await refused(reset(plane, admin, target.name))).info.metadata["given"] == "0"
    async with plane.app.records.engine.begin() as connection:
        await connection.execute(update(users).where(users.c.uid == other.uid).values(role="admin"))
    assert (await reset(plane, admin, target.name)).invitation
    assert (await refused(hosts_of(plane, target))).reason == "SESSION_OVER"
    # It was good once, and for that user.
    assert (await refused(reset(plane, admin, target.name))).reason == "APPROVALS_MISSING"


async def test_broken_glass_does_without_approval_and_is_told_until_somebody_knows(plane: Plane) -> None:
    admin, target = await plane.sign_in(), await plane.sign_in("viewer")
    # Quiet beforehand is not quiet.
    hush = alerts_pb2.CreateSilenceRequest(reason="maintenance of everything", seconds=3600)
    silences = "solward.alerts.v1.AlertsService/CreateSilence"
    await plane.call(silences, hush, alerts_pb2.Silence, admin)
    why = "the only other admin is on a plane"
    assert (await reset(plane, admin, target.name, ("solward-break-glass", why))).invitation
    alerts, asked = "solward.alerts.v1.AlertsService", alerts_pb2.ListAlertsRequest()
    listed = await plane.call(f"{alerts}/ListAlerts", asked, alerts_pb2.ListAlertsResponse, admin)
    (alert,) = listed.alerts
    assert (alert.rule, alert.state, alert.silence) == ("break_glass", alerts_pb2.ALERT_STATE_FIRING, "")
    assert why in alert.evidence
    async with plane.app.records.engine.connect() as connection:
        bodies = (await connection.exec_driver_sql("SELECT body FROM audit_entries")).scalars().all()
    assert any(f'"break_glass":"{why}"' in body and "ResetSecondFactor" in body for body in bodies)
    known = alerts_pb2.AcknowledgeAlertRequest(name=alert.name, comment="it was agreed by telephone")
    own = await refused(plane.call(f"{alerts}/AcknowledgeAlert", known, alerts_pb2.Alert, admin))
    assert own.reason == "OWN_NOTICE"
    done = await plane.call(f"{alerts}/AcknowledgeAlert", known, alerts_pb2.Alert, await plane.sign_in("operator"))
    assert done.state == alerts_pb2.ALERT_STATE_RESOLVED


async def test_sessions_in_redis_do_all_the_same_and_fail_closed(tmp_path: Path) -> None:
    with redis() as server:
        async with control_plane(tmp_path, redis_url=server.url) as plane:
            admin = await plane.sign_in()
            assert await hosts_of(plane, admin) == []
            renewal = auth_pb2.RefreshSessionRequest(refresh_token=admin.refresh)
            fresh = await plane.call(f"{AUTH}/RefreshSession", renewal, auth_pb2.Session)
            again = await refused(plane.call(f"{AUTH}/RefreshSession", renewal, auth_pb2.Session))
            assert again.reason == "REFRESH_TOKEN_REUSED"
            admin.token = fresh.access_token
            assert (await refused(hosts_of(plane, admin))).reason == "SESSION_OVER"
            other = await plane.sign_in()
            await asyncio.to_thread(server.kill)
            plane.app.identities.principals.forget()
            down = await refused(hosts_of(plane, other))
            assert (down.code.name, down.reason) == ("UNAVAILABLE", "REDIS_DOWN")
