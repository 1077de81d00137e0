"""What a page of another site can make a browser do: nothing. Cookies, CSRF tokens, origins, and what replies say."""

from pathlib import Path

import jwt
import pytest

from tests.support.browser import Browser, reason
from tests.support.plane import Plane, control_plane
from tests.support.stream import entries

ACCESS, REFRESH = "__Host-solward-access", "__Host-solward-refresh"
FOREIGN = "https://evil.example"
VERIFY = "/auth/2fa/verify"


async def test_case_25_tokens_live_in_cookies_and_nowhere_else(plane: Plane) -> None:
    person = await plane.add_person()
    async with Browser(plane) as browser:
        body = await browser.sign_in(person)
        assert body.keys() == {"username", "accessExpireTime", "sessionExpireTime", "csrfToken"}
        assert browser.cookies.keys() == {ACCESS, REFRESH}
        answer = await browser.send("GET", "/auth/caller", X_CSRF_Token="", Origin="")
        assert (answer.status, (await answer.json())["username"]) == (200, person.name)
        assert (await (await browser.send("GET", "/auth/csrf")).json()) == {"csrfToken": browser.csrf}


@pytest.mark.parametrize(
    "headers",
    [
        {"X_CSRF_Token": ""},
        {"X_CSRF_Token": "0" * 64},
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "", "Sec_Fetch_Site": "same-site"},
        {"Origin": FOREIGN, "Sec_Fetch_Site": "same-origin"},
    ],
)
async def test_case_25_a_change_by_cookie_is_shown_to_be_the_pages_own(plane: Plane, headers: dict[str, str]) -> None:
    async with Browser(plane) as browser:
        await browser.sign_in(await plane.add_person())
        kept = dict(browser.cookies)
        for path, body in (("/auth/logout", {}), ("/auth/refresh", {}), (VERIFY, {"totpCode": "000000"})):
            assert await reason(await browser.send("POST", path, body, **headers)) == (403, "CSRF_REFUSED")
        assert browser.cookies == kept
        assert (await browser.send("GET", "/auth/caller")).status == 200


async def test_case_25_the_pages_own_change_is_done(plane: Plane) -> None:
    person = await plane.add_person()
    async with Browser(plane) as browser:
        await browser.sign_in(person)
        code = {"totpCode": await person.authenticator.code()}
        assert (await browser.send("POST", VERIFY, code)).status == 200
        code = {"totpCode": await person.authenticator.code()}
        assert (await browser.send("POST", VERIFY, code, Origin="", Sec_Fetch_Site="same-origin")).status == 200


async def test_case_25_one_sessions_token_is_nothing_to_another(plane: Plane) -> None:
    async with Browser(plane) as mine, Browser(plane) as theirs:
        await mine.sign_in(await plane.add_person())
        await theirs.sign_in(await plane.add_person())
        assert mine.csrf != theirs.csrf
        answer = await mine.send("POST", "/auth/logout", {}, X_CSRF_Token=theirs.csrf)
        assert await reason(answer) == (403, "CSRF_REFUSED")


async def test_case_25_a_forged_session_gets_no_token(plane: Plane) -> None:
    """The session's id stands in the audit log, so knowing it must not be enough."""
    async with Browser(plane) as browser:
        await browser.sign_in(await plane.add_person())
        session = jwt.decode(browser.cookies[ACCESS], options={"verify_signature": False})["sid"]
        forged = jwt.encode({"sid": session}, "k" * 32)
        for cookie in (f"{ACCESS}={forged}", f"{REFRESH}={session}.solward_refresh_x.{'0' * 64}", f"{REFRESH}=x"):
            answer = await browser.send("GET", "/auth/csrf", Cookie=cookie)
            assert await reason(answer) == (401, "NOT_SIGNED_IN")


async def test_case_25_cookie_and_bearer_together_are_refused(plane: Plane) -> None:
    person = await plane.sign_in()
    async with Browser(plane) as browser:
        await browser.sign_in(await plane.add_person())
        answer = await browser.send("GET", "/auth/caller", Authorization=f"Bearer {person.token}")
        assert await reason(answer) == (400, "TWO_CREDENTIALS")
        answer = await browser.send("POST", "/auth/refresh", {"refreshToken": "x"})
        assert await reason(answer) == (400, "TWO_CREDENTIALS")
        twice = f"{ACCESS}={browser.cookies[ACCESS]}; {ACCESS}=x"
        assert await reason(await browser.send("GET", "/auth/caller", Cookie=twice)) == (400, "REQUEST_MALFORMED")


async def test_case_25_junk_in_a_cookie_is_nobodys_session(plane: Plane) -> None:
    async with Browser(plane) as browser:
        for junk in ("é", "a b", '"x"', "x" * 7000, "..", "\udc80"):
            answer = await browser.send("GET", "/auth/caller", Cookie=f"{ACCESS}={junk}")
            assert await reason(answer) in ((401, "NOT_SIGNED_IN"), (401, "TOKEN_INVALID")), junk


async def test_case_25_forms_and_overrides_do_nothing(plane: Plane) -> None:
    async with Browser(plane) as browser:
        await browser.sign_in(await plane.add_person())
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"):
            answer = await browser.send("POST", "/auth/logout", {}, Content_Type=kind)
            assert await reason(answer) == (415, "CONTENT_UNSUPPORTED")
        answer = await browser.send("GET", "/auth/logout", X_HTTP_Method_Override="POST")
        assert await reason(answer) == (405, "METHOD_NOT_ALLOWED")
        assert (await browser.send("GET", "/auth/caller")).status == 200


async def test_case_25_another_sites_page_opens_no_session(plane: Plane) -> None:
    """Else it could have a victim work in the attacker's session."""
    async with Browser(plane) as browser:
        browser.origin = FOREIGN
        answer = await browser.send("POST", "/auth/login", {}, Solward_Session="cookie")
        assert await reason(answer) == (403, "CSRF_REFUSED")
        assert browser.cookies == {}


async def test_case_25_refresh_by_cookie_rotates_both_and_a_spent_one_ends_the_session(plane: Plane) -> None:
    async with Browser(plane) as browser:
        await browser.sign_in(await plane.add_person())
        first = dict(browser.cookies)
        # The access cookie's life is over first; the token that the page keeps still holds.
        del browser.cookies[ACCESS]
        answer = await browser.send("POST", "/auth/refresh", {})
        assert answer.status == 200
        body = await answer.json()
        assert "accessToken" not in body
        assert "refreshToken" not in body
        assert body["csrfToken"] == browser.csrf
        assert browser.cookies.keys() == {ACCESS, REFRESH}
        assert browser.cookies[REFRESH] != first[REFRESH]
        assert (await browser.send("GET", "/auth/caller")).status == 200
        browser.cookies = {REFRESH: first[REFRESH]}
        assert await reason(await browser.send("POST", "/auth/refresh")) == (401, "REFRESH_TOKEN_REUSED")
        assert browser.cookies == {}


async def test_case_25_logout_ends_the_session_and_its_cookies(plane: Plane) -> None:
    async with Browser(plane) as browser:
        await browser.sign_in(await plane.add_person())
        before = dict(browser.cookies)
        assert (await browser.send("POST", "/auth/logout", {})).status == 200
        assert browser.cookies == {}
        browser.cookies = before
        assert await reason(await browser.send("GET", "/auth/caller")) == (401, "SESSION_OVER")


async def test_case_25_a_stale_cookie_keeps_nobody_from_signing_in(plane: Plane) -> None:
    person = await plane.add_person()
    async with Browser(plane) as browser:
        browser.cookies = {ACCESS: "stale", REFRESH: "stale"}
        assert await reason(await browser.send("POST", "/auth/refresh", {})) == (401, "SESSION_OVER")
        assert browser.cookies == {}
        browser.cookies = {ACCESS: "stale"}
        await browser.sign_in(person)
        assert (await browser.send("GET", "/auth/caller")).status == 200


async def test_case_25_a_listed_origin_may_call_and_another_may_not_even_read(tmp_path: Path) -> None:
    console = "https://console.example.net"
    async with control_plane(tmp_path, cors_origins=[console]) as plane, Browser(plane) as browser:
        browser.origin = console
        await browser.sign_in(await plane.add_person())
        answer = await browser.send("GET", "/auth/caller")
        assert answer.headers["Access-Control-Allow-Origin"] == console
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert "RateLimit-Remaining" in answer.headers["Access-Control-Expose-Headers"]
        asks = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "x-csrf-token"}
        answer = await browser.send("OPTIONS", "/auth/logout", **asks)
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Methods"] == "POST"
        assert "x-csrf-token" in answer.headers["Access-Control-Allow-Headers"].split(", ")
        assert answer.headers["Access-Control-Allow-Origin"] == console
        browser.origin = FOREIGN
        assert await reason(await browser.send("OPTIONS", "/auth/logout", **asks)) == (403, "ORIGIN_REFUSED")
        for answer in (await browser.send("OPTIONS", "/auth/logout", **asks), await browser.send("GET", "/health")):
            assert answer.headers["Vary"] == "Origin"
            assert not [name for name in answer.headers if name.startswith("Access-Control-")]
        browser.origin = console
        assert (await browser.send("POST", "/auth/logout", {})).status == 200


async def test_case_25_without_a_list_no_other_origin_is_told_anything(plane: Plane) -> None:
    async with Browser(plane) as browser:
        browser.origin = FOREIGN
        for method, path in (("GET", "/health"), ("OPTIONS", "/auth/login")):
            answer = await browser.send(method, path, Access_Control_Request_Method="POST")
            assert not [name for name in answer.headers if name.startswith("Access-Control-")]


async def test_case_25_every_reply_is_hardened(plane: Plane) -> None:
    async with Browser(plane) as browser:
        for path in ("/health", "/auth/caller", "/nothing", "/openapi.json"):
            headers = (await browser.send("GET", path)).headers
            assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert headers["Strict-Transport-Security"] == "max-age=31536000"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert "camera=()" in headers["Permissions-Policy"]
            assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert headers["Cache-Control"] == "no-store"


async def test_case_25_no_cookie_reaches_the_audit_log(plane: Plane) -> None:
    async with Browser(plane) as browser:
        await browser.sign_in(await plane.add_person())
        held = [*browser.cookies.values(), browser.csrf]
        await browser.send("POST", "/auth/refresh", {})
        await browser.send("POST", "/auth/logout", {})
        written = str(await entries(plane))
        assert not [secret for secret in (*held, browser.csrf) if secret in written]
