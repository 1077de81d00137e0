"""Whoever holds a stolen session, a found invitation, a phone that was lost, or a browser left signed in."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from google.protobuf.empty_pb2 import Empty
from solward.auth.v1 import access_pb2, auth_pb2
from sqlalchemy import select, update

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.identity import sessions as sessions_module
from controlplane.identity.approvers import Approvers
from controlplane.identity.call_approvals import MOST_WAITING, same_person
from controlplane.identity.oidc.logins import OidcLogins
from controlplane.identity.oidc.settings import OidcSettings
from controlplane.identity.role_book import RoleBook
from controlplane.store.access import AccessRepository
from controlplane.store.tables import audit_entries, users
from controlplane.store.users import User, UserRepository
from tests.support.access import ACCESS, AUTH, accepted, hosts_of, invite, recover, reset
from tests.support.plane import PASSWORD, Person, Plane, control_plane
from tests.support.stream import refused


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    """One that asks for no codes after the sign-in: what is tried here is another matter, and a code is good once."""
    async with control_plane(tmp_path, require_second_factor=False) as made:
        yield made


async def entries(plane: Plane, method: str) -> list[dict[str, Any]]:
    async with plane.app.records.engine.connect() as connection:
        bodies = (await connection.execute(select(audit_entries.c.body))).scalars().all()
    return [found for body in bodies if (found := json.loads(body)).get("method", "").endswith(method)]


async def test_a_fresh_session_that_was_stolen_brings_no_authenticator_and_a_new_one_ends_it(plane: Plane) -> None:
    owner = await plane.sign_in("operator")
    thief = Person(owner.name, owner.uid, owner.authenticator, (await plane.login(owner)).access_token)
    asked = auth_pb2.SetUpSecondFactorRequest()
    method = f"{AUTH}/SetUpSecondFactor"
    for metadata in ((), (("solward-second-factor", "solward_proof_of_another"),)):
        refusal = await refused(plane.call(method, asked, auth_pb2.AuthenticatorSecret, thief, metadata))
        assert (refusal.reason, refusal.info.metadata["factor"]) == ("SECOND_FACTOR_REQUIRED", "PER_CALL")
    digest = refusal.info.metadata["call_digest"]
    proof = (("solward-second-factor", await plane.prove(owner, digest)),)
    # The owner's proof is of no use to the thief's session.
    assert (await refused(plane.call(method, asked, auth_pb2.AuthenticatorSecret, thief, proof))).reason
    secret = await plane.call(method, asked, auth_pb2.AuthenticatorSecret, owner, proof)
    totp = pyotp.parse_uri(secret.otpauth_uri)
    assert isinstance(totp, pyotp.TOTP)
    confirm = auth_pb2.ConfirmSecondFactorRequest(totp_code=totp.now())
    await plane.call(f"{AUTH}/ConfirmSecondFactor", confirm, auth_pb2.RecoveryCodes, owner)
    assert await hosts_of(plane, owner) == []
    assert (await refused(hosts_of(plane, thief))).reason == "SESSION_OVER"


async def test_who_finds_an_invitation_that_was_accepted_takes_nothing_over(plane: Plane) -> None:
    admin = await plane.sign_in()
    invitation = (await invite(plane, admin)).invitation
    mine = await accepted(plane, invitation)
    theirs = auth_pb2.AcceptInvitationRequest(invitation=invitation, password="a password of somebody else")
    refusal = await refused(plane.call(f"{AUTH}/AcceptInvitation", theirs, auth_pb2.AuthenticatorSecret))
    assert refusal.reason == "INVITATION_REFUSED"
    confirm = auth_pb2.ConfirmInvitationRequest(invitation=invitation, totp_code=mine.now())
    codes = (await plane.call(f"{AUTH}/ConfirmInvitation", confirm, auth_pb2.RecoveryCodes)).codes
    assert (await recover(plane, "carol", codes[0])).username == "carol"
    # Two at once: one password stands, and only with the authenticator that was shown for it.
    second = (await invite(plane, admin, "dave")).invitation
    tries = [auth_pb2.AcceptInvitationRequest(invitation=second, password=f"{PASSWORD} {n}") for n in range(4)]
    done = await asyncio.gather(
        *(plane.call(f"{AUTH}/AcceptInvitation", one, auth_pb2.AuthenticatorSecret) for one in tries),
        return_exceptions=True,
    )
    assert sum(isinstance(one, auth_pb2.AuthenticatorSecret) for one in done) == 1


async def test_a_login_under_way_does_not_outlive_the_reset_of_its_account(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, victim = await plane.sign_in(), await plane.add_person("operator")
    real = sessions_module.password_matches

    async def matches_and_then_all_is_taken_away(stored: str | None, password: str) -> bool:
        right = await real(stored, password)
        await reset(plane, admin, victim.name, ("solward-break-glass", "the telephone was stolen"))
        return right

    monkeypatch.setattr(sessions_module, "password_matches", matches_and_then_all_is_taken_away)
    assert (await refused(plane.login(victim))).reason == "LOGIN_REFUSED"
    listing = access_pb2.ListUserSessionsRequest(user=f"users/{victim.name}")
    open_ones = await plane.call(f"{ACCESS}/ListUserSessions", listing, access_pb2.ListUserSessionsResponse, admin)
    assert not open_ones.sessions


async def test_a_reset_account_of_the_provider_gets_no_password_of_ours(plane: Plane) -> None:
    admin, vera = await plane.sign_in(), await plane.sign_in("viewer")
    async with plane.app.records.engine.begin() as connection:
        values = {"subject": "https://idp.example|vera", "password_hash": "", "invitation_hash": ""}
        await connection.execute(update(users).where(users.c.uid == vera.uid).values(**values))
    glass = ("solward-break-glass", "her telephone was stolen")
    done = await reset(plane, admin, vera.name, glass)
    assert (done.invitation, done.user.has_second_factor, done.user.federated) == ("", False, True)
    assert not done.HasField("expire_time")
    assert (await refused(hosts_of(plane, vera))).reason == "SESSION_OVER"


async def test_one_user_has_so_many_sessions_and_the_oldest_ends(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "MOST_SESSIONS", 1)
    first = await plane.sign_in("viewer")
    again = Person(first.name, first.uid, first.authenticator, (await plane.login(first)).access_token)
    plane.app.identities.principals.forget()
    assert await hosts_of(plane, again) == []
    assert (await refused(hosts_of(plane, first))).reason == "SESSION_OVER"


async def test_so_many_calls_of_one_admin_wait_and_no_more(plane: Plane) -> None:
    admin = await plane.sign_in()
    names = [f"nobody-{number}" for number in range(MOST_WAITING + 1)]
    reasons = [(await refused(reset(plane, admin, name))).reason for name in names]
    assert reasons == ["APPROVALS_MISSING"] * MOST_WAITING + ["TOO_MANY_WAIT"]


async def test_the_log_says_what_was_before_and_keeps_no_words_of_strangers(plane: Plane) -> None:
    admin = await plane.sign_in()
    carol = await plane.sign_in("none")
    give = access_pb2.CreateGrantRequest(user=f"users/{carol.name}", role="roles/viewer", scope="groups/tokyo")
    made = await plane.call(f"{ACCESS}/CreateGrant", give, access_pb2.Grant, admin)
    await plane.call(f"{ACCESS}/EndGrant", access_pb2.EndGrantRequest(name=made.name), access_pb2.Grant, admin)
    (outcome,) = [one for one in await entries(plane, "/EndGrant") if one["phase"] == "outcome"]
    assert outcome["before"] == {"user": carol.name, "role": "viewer", "scope": "groups/tokyo"}
    role = access_pb2.CreateRoleRequest(role="roles/night", permissions=["hosts.read"])
    await plane.call(f"{ACCESS}/CreateRole", role, access_pb2.Role, admin)
    delete = access_pb2.DeleteRoleRequest(role="roles/night")
    await plane.call(f"{ACCESS}/DeleteRole", delete, Empty, admin)
    (outcome,) = [one for one in await entries(plane, "/DeleteRole") if one["phase"] == "outcome"]
    assert outcome["before"] == {"permissions": ["auth.self", "health.read", "hosts.read"]}
    for username in ("My Passw0rd, in the wrong field", "x" * 10_000):
        login = auth_pb2.LoginRequest(username=username, password="p", totp_code="123456")
        assert (await refused(plane.call(f"{AUTH}/Login", login, auth_pb2.Session))).reason == "INVALID_FIELD"
    refusals = [one for one in await entries(plane, "/Login") if one.get("reason") == "INVALID_FIELD"]
    assert [one["resource"] for one in refusals] == ["", ""]


async def test_a_role_of_ones_own_that_does_more_than_look_wants_an_authenticator_too(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as plane:
        people = [await plane.add_person(role) for role in ("night", "looks")]
        stored = AccessRepository(plane.app.records.engine)
        await stored.add_role("night", ["hosts.read", "validator.stop"], "ana", 1)
        await stored.add_role("looks", ["hosts.read"], "ana", 1)
        for who, may in zip(people, (False, True), strict=True):
            who.token = (await plane.login(who)).access_token
            # As an account of the provider begins.
            await UserRepository(plane.app.records.engine).set(who.uid, totp_seed=b"")
            plane.app.identities.principals.forget()
            if may:
                assert await hosts_of(plane, who) == []
            else:
                assert (await refused(hosts_of(plane, who))).reason == "PERMISSION_MISSING"


def provider_logins() -> OidcLogins:
    settings = OidcSettings(issuer="https://idp.example", client_id="solward", default_role="viewer")
    return OidcLogins(settings, None, None, None)  # type: ignore[arg-type]


def test_a_second_factor_at_the_provider_counts_from_when_it_was_asked_for() -> None:
    now, proved = int(time.time()), provider_logins()._proved_ms
    assert proved({"amr": ["pwd", "otp"], "auth_time": now - 3600}) == (now - 3600) * 1000
    assert now_ms() - 2000 <= proved({"amr": ["otp"], "auth_time": now + 3600}) <= now_ms()
    for claims in ({"amr": ["otp"]}, {"amr": ["pwd"], "auth_time": now}, {"amr": "otp", "auth_time": now},
                   {"amr": ["otp"], "auth_time": "now"}, {"amr": ["otp"], "auth_time": float("nan")}):  # fmt: skip
        assert proved(claims) == 0, claims


def user(uid: str, email: str) -> User:
    return User(uid, uid, "", b"", "admin", False, 0, 0, email=email)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ana@example.net", "Ana+puppet@EXAMPLE.net", True),
        ("ana@example.net", "ana@example.org", False),
        ("ana@example.net", "anna@example.net", False),
        ("", "", False),
    ],
)
def test_case_29_addresses_of_one_mailbox_are_one_person(one: str, other: str, same: bool) -> None:
    assert same_person(user("1", one), user("2", other)) is same


async def test_a_wish_of_who_was_kept_out_is_approved_by_nobody(plane: Plane) -> None:
    gone, other = await plane.add_person("operator"), await plane.add_person("operator")
    stored = UserRepository(plane.app.records.engine)
    await stored.set(gone.uid, disabled=True)
    approvers = Approvers(stored, RoleBook(AccessRepository(plane.app.records.engine), stored))
    with pytest.raises(SolwardError) as refusal:
        await approvers.counted(other.name, gone.name, [])
    assert refusal.value.reason == "REQUESTER_GONE"
