"""A real, certified OpenID provider for tests, and a browser that signs in at it."""

import fcntl
import hashlib
import html
import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from tests.support.ports import free_ports

HERE = Path(__file__).parent.parent / "peers" / "oidc"
BUILD = Path(__file__).parent.parent.parent / "build" / "oidc"
LOOPBACK = "http://127.0.0.1/callback"
PEOPLE: dict[str, dict[str, Any]] = {
    "ana": {"preferred_username": "Ana.Admin", "groups": ["sre-admins"], "amr": ["pwd", "otp"],
            "email": "ana@example.net", "email_verified": True},
    "vera": {"preferred_username": "vera", "groups": ["watchers"], "email": "vera@example.net",
             "email_verified": False},
    "nobody": {"preferred_username": "nobody", "groups": ["sales"]},
}  # fmt: skip


@dataclass(frozen=True)
class OidcServer:
    """A provider that runs."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str

    def settings(self, **more: Any) -> dict[str, Any]:
        """What a control plane is set to use it with."""
        return {
            "issuer": self.issuer, "client_id": self.client_id, "client_secret": self.client_secret,
            "redirect_uri": self.redirect_uri, "roles": {"sre-admins": "admin", "watchers": "viewer"},
            "allow_private": True, **more,
        }  # fmt: skip


def planned(redirect_uri: str = "https://cp.example.net/auth/callback") -> OidcServer:
    """Say where a provider will run, for a control plane that is to know of it."""
    port = free_ports(1)[0]
    return OidcServer(f"http://127.0.0.1:{port}", "solward", secrets.token_urlsafe(24), redirect_uri)


@contextmanager
def oidc_server(
    made: OidcServer | None = None, logout_uri: str = "", ca_file: Path | None = None
) -> Iterator[OidcServer]:
    """Run a provider for the length of a block.

    Args:
        made: as it was planned.
        logout_uri: where it tells of logouts (back channel).
        ca_file: whom it trusts there.
    """
    made, folder = made or planned(), _installed()
    client: dict[str, Any] = {
        "client_id": made.client_id, "client_secret": made.client_secret, "application_type": "native",
        "redirect_uris": [made.redirect_uri, LOOPBACK], "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"],
    }  # fmt: skip
    if logout_uri:
        client |= {"backchannel_logout_uri": logout_uri, "backchannel_logout_session_required": True}
    port = int(made.issuer.rpartition(":")[2])
    environment = os.environ | ({"NODE_EXTRA_CA_CERTS": str(ca_file)} if ca_file else {})
    settings = {"issuer": made.issuer, "port": port, "clients": [client], "people": PEOPLE}
    server = subprocess.Popen(
        ["node", "server.mjs"], cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert server.stdin
    assert server.stdout
    try:
        server.stdin.write(json.dumps(settings).encode())
        server.stdin.close()
        said = b""
        while b"ready" not in said:
            line = server.stdout.readline()
            if not line:
                raise RuntimeError(f"the provider did not start: {said.decode()}")
            said += line
        yield made
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def _installed() -> Path:
    """Install the provider by its lock file, once for all test processes; give its folder."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = BUILD / hashlib.sha256(lock).hexdigest()[:16]
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "node_modules" / ".whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(HERE, folder)
            argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            run = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
            if run.returncode:
                raise RuntimeError(f"npm ci ended with {run.returncode}: {run.stdout}{run.stderr}")
            (folder / "node_modules" / ".whole").touch()
        shutil.copy(HERE / "server.mjs", folder)
    return folder


class Browser:
    """Follows redirects as a browser does, cookies and all, up to an address that is not the provider's."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def go(self, url: str) -> str:
        """Open an address; gives the first one that leads away from the provider, or the page that it ends at."""
        method, data = "GET", None
        for _ in range(20):
            if not url.startswith(self._issuer):
                return url
            async with self._http.request(method, url, data=data, allow_redirects=False) as answer:
                page = await answer.text()
                if answer.status in (302, 303):
                    url, method, data = urljoin(url, answer.headers["Location"]), "GET", None
                    continue
            form = _form(page)
            if form is None or answer.status != 200:
                return page
            url, method, data = urljoin(url, form[0]), "POST", form[1]
        raise AssertionError("the provider redirects for ever")


def _form(page: str) -> tuple[str, dict[str, str]] | None:
    """Find the first form of a page: where it is sent, and its hidden fields, with a button that says yes."""
    form = re.search(r'<form[^>]*action="([^"]+)"', page)
    if form is None:
        return None
    fields = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name:
            fields[name[1]] = html.unescape(value[1]) if value else ""
    if "user_code" not in fields or "confirm" in page:
        fields.setdefault("confirm", "yes")
    if "logout" in page:
        fields["logout"] = "yes"
    return html.unescape(form[1]), fields


def query_of(url: str) -> dict[str, str]:
    """Read the query of an address."""
    return dict(pair.partition("=")[::2] for pair in urlsplit(url).query.split("&"))
