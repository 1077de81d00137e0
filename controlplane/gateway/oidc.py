"""Login at the identity provider by a browser: where it is sent, where it comes back, and the provider's own word."""

import html
from collections.abc import Callable
from typing import Any

import grpc
from aiohttp import hdrs, web
from solward.auth.v1 import auth_pb2

from controlplane.gateway import replies
from controlplane.gateway.browser import BrowserSessions
from controlplane.gateway.errors import GatewayError, bad_request
from controlplane.gateway.headers import Metadata
from controlplane.gateway.upstream import Upstream

# Lax, since the browser comes back from another site; it is worth one login, for ten minutes.
BINDING = "__Host-solward-login"
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax"
_AUTH = "/solward.auth.v1.AuthService"
_CALL_S = 20.0
_FORM = "application/x-www-form-urlencoded"
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Solward</title>{head}</head>
<body><p>{text}</p><p><a href="{link}">{link_text}</a></p></body></html>"""


class OidcPages:
    """Serves what browsers and the provider ask for; who signs in is for the gRPC server to say.

    Args:
        channel: to the gRPC server.
        metadata: gives what of a request goes along.
        sessions: puts tokens into cookies.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel | Upstream,
        metadata: Callable[[web.Request], Metadata],
        sessions: BrowserSessions,
    ) -> None:
        self._metadata = metadata
        self._sessions = sessions
        self._begin = _unary(channel, "BeginOidcLogin", auth_pb2.OidcLogin)
        self._finish = _unary(channel, "FinishOidcLogin", auth_pb2.OidcSession)
        self._logout = _unary(channel, "BackChannelLogout", None)

    async def login(self, request: web.Request) -> web.Response:
        """Send a browser to the provider; `?next=` names the page to show afterwards."""
        asked = auth_pb2.BeginOidcLoginRequest(next=_one(request, "next"))
        begun = await self._begin(asked, timeout=_CALL_S, metadata=self._metadata(request))
        response = web.Response(status=302, headers={hdrs.LOCATION: begun.authorization_url})
        response.headers.add(hdrs.SET_COOKIE, f"{BINDING}={begun.binding}; Max-Age=600; {_ATTRIBUTES}")
        return response

    async def callback(self, request: web.Request) -> web.Response:
        """End a login: the session goes into cookies, and the browser on to the page that it asked for."""
        asked = auth_pb2.FinishOidcLoginRequest(
            state=_one(request, "state"), code=_one(request, "code"), issuer=_one(request, "iss"),
            error=_one(request, "error"), binding=request.cookies.get(BINDING, ""),
        )  # fmt: skip
        try:
            done = await self._finish(asked, timeout=_CALL_S, metadata=self._metadata(request))
        except grpc.aio.AioRpcError as error:
            text = f"You are not signed in: {error.details()}"
            response = _page(text, "/auth/login", "Try again", status=replies.failure(error).status)
        else:
            # Strict cookies do not go along where another site led here; from a page of our own they do.
            response = _page("You are signed in.", done.next, "Go on", head=_refresh(done.next))
            for value in self._sessions.cookies_of(done.session):
                response.headers.add(hdrs.SET_COOKIE, value)
        response.headers.add(hdrs.SET_COOKIE, f"{BINDING}=; Max-Age=0; {_ATTRIBUTES}")
        return response

    async def back_channel(self, request: web.Request) -> web.Response:
        """Take the provider's word that sessions are over (OpenID Connect Back-Channel Logout 1.0 §2.5)."""
        if request.content_type != _FORM:
            words = f"the provider sends a logout token as {_FORM}"
            raise GatewayError(grpc.StatusCode.INVALID_ARGUMENT, "CONTENT_UNSUPPORTED", words, http_status=415)
        form = await request.post()
        token = form.get("logout_token", "")
        asked = auth_pb2.BackChannelLogoutRequest(logout_token=token if isinstance(token, str) else "")
        await self._logout(asked, timeout=_CALL_S, metadata=self._metadata(request))
        return web.Response(status=200)


def _unary(channel: grpc.aio.Channel | Upstream, method: str, reply: Any) -> Any:
    read = reply.FromString if reply else None
    return channel.unary_unary(
        f"{_AUTH}/{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=read,
    )


def _one(request: web.Request, name: str) -> str:
    try:
        given = request.query.getall(name, [])
    except ValueError:
        raise bad_request("the query cannot be read") from None
    if len(given) > 1:
        raise bad_request(f"{name} is there twice")
    text = given[0] if given else ""
    # A lone surrogate, which a protobuf string cannot hold.
    return text.encode("utf-8", "replace").decode()


def _refresh(path: str) -> str:
    return f'<meta http-equiv="refresh" content="0; url={html.escape(path, quote=True)}">'


def _page(text: str, link: str, link_text: str, *, head: str = "", status: int = 200) -> web.Response:
    body = _PAGE.format(
        head=head, text=html.escape(text), link=html.escape(link, quote=True), link_text=html.escape(link_text)
    )
    return web.Response(text=body, content_type="text/html", status=status)
