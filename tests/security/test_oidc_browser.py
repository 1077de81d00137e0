"""Login at a real provider by a browser, over the gateway, and the provider's word that it is over."""

import asyncio
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.support.oidc import Browser, OidcServer, oidc_server, planned
from tests.support.plane import Plane, control_plane
from tests.support.ports import free_ports

BINDING, ACCESS, REFRESH = "__Host-solward-login", "__Host-solward-access", "__Host-solward-refresh"


class Visitor:
    """A browser at the gateway; keeps cookies as one that knows no other site."""

    def __init__(self, plane: Plane) -> None:
        context = ssl.create_default_context(cadata=plane.installation.ca.pem)
        self._base = f"https://localhost:{plane.app.gateway_port}"
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context), cookie_jar=aiohttp.DummyCookieJar()
        )
        self.cookies: dict[str, str] = {}

    async def __aenter__(self) -> "Visitor":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def get(self, path: str, method: str = "GET", **more: Any) -> tuple[aiohttp.ClientResponse, str]:
        held = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": held} if held else {}
        url = self._base + path
        async with self._http.request(method, url, headers=headers, allow_redirects=False, **more) as answer:
            for name, morsel in answer.cookies.items():
                assert morsel["secure"]
                assert morsel["httponly"]
                self.cookies[name] = morsel.value
            self.cookies = {name: value for name, value in self.cookies.items() if value}
            return answer, await answer.text()


async def led_back(provider: OidcServer, visitor: Visitor, page: str = "/auth/caller") -> str:
    """Sign in at the provider; give the path of the callback that it leads to."""
    answer, _ = await visitor.get(f"/auth/login?next={page}")
    assert answer.status == 302
    async with Browser(provider.issuer) as browser:
        back = urlsplit(await browser.go(answer.headers["Location"]))
    return f"{back.path}?{back.query}"


async def test_a_browser_signs_in_and_the_provider_ends_it(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    provider = planned()
    async with control_plane(tmp_path, oidc=provider.settings(), gateway_listen=f"127.0.0.1:{port}") as plane:
        ca_file = plane.settings.data_dir / "pki" / "ca.pem"
        logout = f"https://localhost:{port}/auth/backchannel-logout"
        running = oidc_server(provider, logout, ca_file)
        await asyncio.to_thread(running.__enter__)
        try:
            async with Visitor(plane) as visitor, Browser(provider.issuer) as browser:
                answer, _ = await visitor.get("/auth/login?next=/auth/caller")
                back = urlsplit(await browser.go(answer.headers["Location"]))
                assert visitor.cookies.keys() == {BINDING}
                answer, text = await visitor.get(f"{back.path}?{back.query}")
                assert (answer.status, "url=/auth/caller" in text) == (200, True)
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert visitor.cookies.keys() == {ACCESS, REFRESH}
                answer, text = await visitor.get("/auth/caller")
                assert (answer.status, '"username":"ana.admin"' in text) == (200, True)
                # Signed out at the provider, which tells us behind the browser's back.
                await browser.go(f"{provider.issuer}/session/end")
                async with asyncio.timeout(5):
                    while (await visitor.get("/auth/caller"))[0].status == 200:
                        await asyncio.sleep(0.05)
                assert "SESSION_OVER" in (await visitor.get("/auth/caller"))[1]
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)


async def test_case_21_a_callback_without_what_began_it_is_refused(tmp_path: Path) -> None:
    with oidc_server() as provider:
        async with control_plane(tmp_path, oidc=provider.settings()) as plane, Visitor(plane) as visitor:
            path = await led_back(provider, visitor)
            binding = visitor.cookies.pop(BINDING)
            async with Visitor(plane) as victim:
                # Another browser, led to the attacker's callback, is not signed in as the attacker.
                answer, _ = await victim.get(path)
                assert (answer.status, victim.cookies) == (400, {})
                victim.cookies[BINDING] = "x" * 43
                answer, _ = await victim.get(path)
                assert (answer.status, victim.cookies) == (400, {})
            visitor.cookies[BINDING] = binding
            # That try has used it up.
            answer, text = await visitor.get(path)
            assert (answer.status, "begin again" in text, visitor.cookies) == (400, True, {})
            for query in (
                "",
                "state=x",
                "code=x",
                "state=a&state=b&code=c",
                "error=%3Cscript%3E",
                "state=%ff&code=%00",
            ):
                visitor.cookies[BINDING] = "x"
                answer, text = await visitor.get(f"/auth/callback?{query}")
                assert (answer.status, "<script>" in text, visitor.cookies.get(ACCESS)) == (400, False, None), query
            for page in ("//evil", "/%5Cevil", "https://evil.example", "/a%250d%250aX:%20y", "/a%0d%0aX:%20y"):
                answer, _ = await visitor.get(f"/auth/login?next={page}")
                assert (answer.status, "Location" in answer.headers) == (400, False), page
            for body in ({"logout_token": "a.b.c"}, {}, {"logout_token": "x" * 20_000}):
                answer, text = await visitor.get("/auth/backchannel-logout", "POST", data=body)
                assert answer.status == 400, text
            answer, _ = await visitor.get("/auth/backchannel-logout", "POST", json={"logout_token": "a.b.c"})
            assert answer.status == 415
