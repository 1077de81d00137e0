"""Login by a browser, as others who can reach the port that ctl listens on for it would disturb it."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from solward.auth.v1 import auth_pb2

from ctl.oidc import by_browser


class Server:
    """In place of the client: begins a login, and has the browser come back after somebody else has knocked."""

    def __init__(self) -> None:
        self.finished: auth_pb2.FinishOidcLoginRequest | None = None
        self.browsing: asyncio.Task[None] | None = None

    async def attempt(self, method: str, request: Any, reply: type[Any]) -> Any:
        if method.endswith("FinishOidcLogin"):
            self.finished = request
            return auth_pb2.OidcSession(session=auth_pb2.Session(username="ana"))
        self.browsing = asyncio.create_task(self._browse(urlsplit(request.loopback_uri).port or 0))
        return auth_pb2.OidcLogin(authorization_url="https://idp.example/auth", state="mine", binding="b")

    async def _browse(self, port: int) -> None:
        for query in ("", "state=another&code=evil", "code=evil", "state=mine&code=good&iss=https%3A%2F%2Fidp.example"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /callback?{query} HTTP/1.1\r\n\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()


async def test_whoever_else_knocks_neither_ends_the_login_nor_brings_a_code() -> None:
    server: Any = Server()
    session = await by_browser(server, show_only=True)
    await server.browsing
    assert session.username == "ana"
    said = server.finished
    assert (said.state, said.code, said.issuer) == ("mine", "good", "https://idp.example")
