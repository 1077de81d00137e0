"""A browser of sorts: it keeps Secure cookies for one host, and sends the Origin of the page it shows."""

import re
import ssl
from typing import Any

import aiohttp

from tests.support.plane import PASSWORD, Person, Plane

SET_COOKIE = re.compile(
    r"(__Host-solward-(?:access|refresh))=([^;]*); Max-Age=([0-9]+); Path=/; Secure; HttpOnly; SameSite=Strict"
)


class Browser:
    """Shows a page of the gateway's own origin; `origin` makes it another's."""

    def __init__(self, plane: Plane) -> None:
        self.base = f"https://localhost:{plane.app.gateway_port}"
        self.origin = self.base
        self.cookies: dict[str, str] = {}
        self.csrf = ""
        context = ssl.create_default_context(cadata=plane.installation.ca.pem)
        # A jar of our own: what is sent must be seen.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()

    async def send(self, method: str, path: str, json: Any = None, **headers: str) -> aiohttp.ClientResponse:
        """Send what a page would; a header given as an empty string is left out."""
        wanted = {"Origin": self.origin, "X-CSRF-Token": self.csrf}
        wanted["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        wanted |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in wanted.items() if value}
        async with self._session.request(method, self.base + path, json=json, headers=sent) as response:
            await response.read()
        for line in response.headers.getall("Set-Cookie", ()):
            match = SET_COOKIE.fullmatch(line)
            assert match, line
            if int(match[3]):
                self.cookies[match[1]] = match[2]
            else:
                self.cookies.pop(match[1], None)
        return response

    async def sign_in(self, person: Person) -> dict[str, Any]:
        """Sign in with cookies; gives the body."""
        body = {"username": person.name, "password": PASSWORD, "totpCode": await person.authenticator.code()}
        response = await self.send("POST", "/auth/login", body, Solward_Session="cookie")
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        self.csrf = answer["csrfToken"]
        return answer


async def reason(response: aiohttp.ClientResponse) -> tuple[int, str]:
    """Give the status and the reason of a refusal."""
    body = await response.json()
    return response.status, body["details"][0]["reason"]
