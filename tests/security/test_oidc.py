"""Login at a real OpenID provider, as people and attackers try it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from solward.auth.v1 import auth_pb2 as pb

from tests.support.oidc import Browser, OidcServer, oidc_server, query_of
from tests.support.plane import Person, Plane, control_plane
from tests.support.stream import refused

AUTH = "solward.auth.v1.AuthService"
LOOPBACK = "http://127.0.0.1:45678/callback"


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcServer]:
    with oidc_server() as running:
        yield running


@pytest.fixture
async def plane(tmp_path: Path, provider: OidcServer) -> AsyncIterator[Plane]:
    async with control_plane(tmp_path, oidc=provider.settings(), require_second_factor=False) as made:
        yield made


async def begin(plane: Plane, loopback_uri: str = LOOPBACK, page: str = "") -> pb.OidcLogin:
    request = pb.BeginOidcLoginRequest(loopback_uri=loopback_uri, next=page)
    return await plane.call(f"{AUTH}/BeginOidcLogin", request, pb.OidcLogin)


async def back_from(provider: OidcServer, login: pb.OidcLogin, who: str = "ana") -> dict[str, str]:
    async with Browser(provider.issuer) as browser:
        return query_of(await browser.go(f"{login.authorization_url}&login_hint={who}"))


async def finish(plane: Plane, login: pb.OidcLogin, back: dict[str, str], **other: str) -> pb.OidcSession:
    fields = {"state": login.state, "code": back.get("code", ""), "binding": login.binding,
              "issuer": unquote(back.get("iss", "")), "error": back.get("error", "")}  # fmt: skip
    return await plane.call(f"{AUTH}/FinishOidcLogin", pb.FinishOidcLoginRequest(**(fields | other)), pb.OidcSession)


async def signed_in(plane: Plane, provider: OidcServer, who: str = "ana") -> Person:
    login = await begin(plane)
    session = (await finish(plane, login, await back_from(provider, login, who))).session
    return Person(session.username, "", None, session.access_token, session.refresh_token)  # type: ignore[arg-type]


async def caller(plane: Plane, who: Person) -> pb.Caller:
    return await plane.call(f"{AUTH}/GetCaller", pb.GetCallerRequest(), pb.Caller, who)


async def test_a_person_signs_in_with_the_role_of_the_groups(plane: Plane, provider: OidcServer) -> None:
    login = await begin(plane, page="/console/hosts?x=1")
    done = await finish(plane, login, await back_from(provider, login))
    assert (done.next, done.session.username) == ("/console/hosts?x=1", "ana.admin")
    ana = Person("ana", "", None, done.session.access_token)  # type: ignore[arg-type]
    told = await caller(plane, ana)
    assert (told.role, told.has_second_factor) == ("admin", False)
    # The provider asked for a second factor, and says so.
    assert told.second_factor_expire_time.seconds
    vera = await caller(plane, await signed_in(plane, provider, "vera"))
    assert (vera.username, vera.role, vera.second_factor_expire_time.seconds) == ("vera", "viewer", 0)


async def test_a_local_user_of_the_name_is_not_taken_over(plane: Plane, provider: OidcServer) -> None:
    local = await plane.add_person("admin", "vera")
    vera = await signed_in(plane, provider, "vera")
    assert vera.name.startswith("vera-")
    assert (await caller(plane, vera)).role == "viewer"
    assert (await plane.login(local)).username == "vera"


async def test_groups_that_give_no_role_and_a_refusal_at_the_provider_sign_nobody_in(
    plane: Plane, provider: OidcServer
) -> None:
    login = await begin(plane)
    back = await back_from(provider, login, "nobody")
    assert (await refused(finish(plane, login, back))).reason == "OIDC_NO_ROLE"
    login = await begin(plane)
    back = await back_from(provider, login, "mallory")
    refusal = await refused(finish(plane, login, back))
    assert (refusal.reason, "access_denied" in refusal.message) == ("OIDC_LOGIN_REFUSED", True)


async def test_case_21_state_nonce_and_pkce_are_bound_to_one_login_of_one_browser(
    plane: Plane, provider: OidcServer
) -> None:
    login, other = await begin(plane), await begin(plane)
    back = await back_from(provider, login)
    for wrong in ({"state": "x" * 43}, {"binding": other.binding}, {"issuer": "https://evil.example"}):
        login = await begin(plane)
        back = await back_from(provider, login)
        refusal = await refused(finish(plane, login, back, **wrong))
        assert (refusal.code.name, refusal.reason) == ("INVALID_ARGUMENT", "OIDC_LOGIN_REFUSED"), wrong
    # Another login's code: its verifier and nonce do not fit.
    mine, theirs = await begin(plane), await begin(plane)
    stolen = await back_from(provider, theirs)
    assert (await refused(finish(plane, mine, stolen))).reason == "OIDC_LOGIN_REFUSED"
    # A code, and a state, are good once.
    login = await begin(plane)
    back = await back_from(provider, login)
    await finish(plane, login, back)
    assert (await refused(finish(plane, login, back))).reason == "OIDC_LOGIN_REFUSED"
    again = await begin(plane)
    assert (await refused(finish(plane, again, back))).reason == "OIDC_LOGIN_REFUSED"


ELSEWHERE = {
    "next": ("//evil", "/\\evil", "\\evil", "https://evil.example", "/a%0d%0aX: y", "/a\r\nX: y", "/.//evil\t", "x"),
    "loopback_uri": (
        "https://evil.example/callback", "http://127.0.0.1.evil.example:1/callback", "http://127.0.0.1:1/other",
        "http://[::1]:1/callback#x", "http://localhost:1/callback", "//evil", "http://127.0.0.1:1/callback%0d",
    ),
}  # fmt: skip


async def test_case_21_no_page_and_no_redirect_leads_elsewhere(plane: Plane) -> None:
    channel = plane.channel()
    for field, values in ELSEWHERE.items():
        for value in values:
            request = pb.BeginOidcLoginRequest(**{field: value})
            refusal = await refused(plane.call(f"{AUTH}/BeginOidcLogin", request, pb.OidcLogin, channel=channel))
            assert (refusal.reason, refusal.info.metadata["field"]) == ("INVALID_FIELD", field), value


async def test_a_device_is_signed_in_by_another_one(plane: Plane, provider: OidcServer) -> None:
    device = await plane.call(f"{AUTH}/BeginDeviceLogin", pb.BeginDeviceLoginRequest(), pb.DeviceLogin)
    ask = pb.PollDeviceLoginRequest(handle_token=device.handle_token)
    early = await refused(plane.call(f"{AUTH}/PollDeviceLogin", ask, pb.Session))
    assert (early.reason, early.info.metadata["retry_after_seconds"]) == ("AUTHORIZATION_PENDING", "5")
    async with Browser(provider.issuer) as browser:
        page = await browser.go(device.verification_uri_complete)
    assert "Sign-in Success" in page
    # Asked too soon, the provider is not asked.
    assert (await refused(plane.call(f"{AUTH}/PollDeviceLogin", ask, pb.Session))).reason == "AUTHORIZATION_PENDING"
    plane.app.identities.oidc.devices.look(device.handle_token).next_poll = 0  # type: ignore[union-attr]
    session = await plane.call(f"{AUTH}/PollDeviceLogin", ask, pb.Session)
    assert session.username == "ana.admin"
    over = await refused(plane.call(f"{AUTH}/PollDeviceLogin", ask, pb.Session))
    assert over.reason == "OIDC_LOGIN_REFUSED"


async def test_signing_out_says_where_to_sign_out_of_the_provider(plane: Plane, provider: OidcServer) -> None:
    ana = await signed_in(plane, provider)
    done = await plane.call(f"{AUTH}/EndOidcSession", pb.EndOidcSessionRequest(), pb.OidcLogout, ana)
    assert done.end_session_url == f"{provider.issuer}/session/end?client_id=solward"
    assert (await refused(caller(plane, ana))).reason == "SESSION_OVER"


async def test_without_a_provider_there_is_no_such_login(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as plane:
        assert (await refused(begin(plane))).reason == "OIDC_NOT_SET"


async def test_a_provider_that_is_down_is_said_so_and_local_users_sign_in(tmp_path: Path) -> None:
    with oidc_server() as provider:
        settings = provider.settings()
    async with control_plane(tmp_path, oidc=settings) as plane:
        down = await refused(begin(plane))
        assert (down.code.name, down.reason) == ("UNAVAILABLE", "OIDC_UNAVAILABLE")
        assert settings["client_secret"] not in down.message
        assert (await plane.sign_in()).token
