"""Sessions of browsers: tokens kept in cookies, and the proof that a request is our own page's."""

import time
from typing import Any

import grpc
from aiohttp import hdrs, web
from google.protobuf.message import Message

from controlplane.gateway import cookies, replies
from controlplane.gateway.cookies import Cookies, Held, SessionTokens
from controlplane.gateway.errors import GatewayError
from controlplane.gateway.origins import Origins
from controlplane.gateway.routes import Route

SESSION_HEADER = "Solward-Session"
CSRF_HEADER = "X-CSRF-Token"
# What opens and renews a session answers with this; nothing else carries tokens that may go into cookies.
SESSION = "solward.auth.v1.Session"
_LOGOUT = "/solward.auth.v1.AuthService/Logout"


class BrowserSessions:
    """Stands between cookies and the metadata of calls.

    Args:
        secret: the CSRF secret.
        origins: whose pages may act for a session.
    """

    def __init__(self, secret: str, origins: Origins) -> None:
        self._cookies = Cookies(secret)
        self._origins = origins

    def read(self, request: web.Request) -> Held:
        """Read the cookies; raises GatewayError where a bearer token is there besides."""
        held = self._cookies.read(request)
        if (held.access or held.refresh) and hdrs.AUTHORIZATION in request.headers:
            raise _two_credentials("a session cookie and an Authorization header")
        return held

    def authorize(self, request: web.Request, route: Route, held: Held) -> list[tuple[str, str]]:
        """Give the metadata that a cookie becomes.

        Args:
            request: what is asked.
            route: the RPC's; one for strangers only takes no cookie.
            held: what `read` found.

        Raises:
            GatewayError: the call could change something, and is not shown to be our own page's.
        """
        if not held.access or route.for_strangers:
            return []
        if route.mutates or request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            self._check(request, held.access_session)
        return [("authorization", f"Bearer {held.access}")]

    def fill(self, request: web.Request, route: Route, message: Message, held: Held) -> None:
        """Put the refresh token of the cookie into a request that lacks one.

        Args:
            request: what is asked.
            route: the RPC's; only one that trades a refresh token is touched.
            message: the RPC's request, from path, query and body.
            held: what `read` found.

        Raises:
            GatewayError: there is a token in the body too, or this is not shown to be our own page's request.
        """
        if not _renews(route) or not held.given:
            return
        given: Any = message
        if given.refresh_token:
            raise _two_credentials("a refresh token in the body and a session cookie")
        if held.refresh:
            self._check(request, held.session)
        # A cookie that was not made here holds no token; the server says so, as of any token that is over.
        given.refresh_token = held.refresh or "none"

    def wants_cookies(self, request: web.Request, route: Route, held: Held) -> bool:
        """Whether the tokens of the reply go into cookies.

        Args:
            request: asks for it with "Solward-Session: cookie", or renews a session that is in cookies.
            route: the RPC's.
            held: what `read` found.

        Raises:
            GatewayError: the header asks for something else, or a page of another origin sends it.
        """
        if route.reply.DESCRIPTOR.full_name != SESSION:
            return False
        wish = request.headers.get(SESSION_HEADER)
        if wish not in (None, "cookie"):
            words = f'the header {SESSION_HEADER} is "cookie" or is left out'
            raise GatewayError(grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED", words, field=SESSION_HEADER)
        if wish and self._origins.is_foreign(request):
            raise _refused("a session in cookies is opened by a page of this origin or of one in cors_origins")
        return wish is not None or (_renews(route) and bool(held.refresh))

    def opened(self, reply: Message) -> web.Response:
        """Answer with a session whose tokens are in cookies and not in the body.

        Args:
            reply: the session; it loses its tokens.
        """
        session: Any = reply
        values, named = self.cookies_of(reply), cookies.session_of(session.access_token)
        session.ClearField("access_token")
        session.ClearField("refresh_token")
        # A browser has its own.
        session.ClearField("roots_pem")
        body = replies.message_value(reply) | {"csrfToken": self._cookies.csrf_token(named)}
        return _with_cookies(replies.as_json(body), values)

    def cookies_of(self, reply: Message) -> list[str]:
        """Give the values of the Set-Cookie headers that a session travels in."""
        session: Any = reply
        now = time.time()
        return self._cookies.set(
            SessionTokens(
                session.access_token,
                int(session.access_expire_time.ToSeconds() - now),
                session.refresh_token,
                int(session.session_expire_time.ToSeconds() - now),
            )
        )

    def closes(self, route: Route, held: Held, code: grpc.StatusCode) -> bool:
        """Whether a browser is to forget its cookies after a call.

        Args:
            route: the RPC's.
            held: what `read` found.
            code: how the call ended.
        """
        if not held.given:
            return False
        over = code is grpc.StatusCode.UNAUTHENTICATED
        return (_renews(route) and over) or (route.rpc == _LOGOUT and (over or code is grpc.StatusCode.OK))

    async def csrf(self, request: web.Request) -> web.Response:
        """Give a page the CSRF token of the session in its cookies."""
        held = self.read(request)
        if not held.session:
            words = 'there is no session in cookies: sign in with "Solward-Session: cookie"'
            raise GatewayError(grpc.StatusCode.UNAUTHENTICATED, "NOT_SIGNED_IN", words)
        return replies.as_json({"csrfToken": self._cookies.csrf_token(held.session)})

    def _check(self, request: web.Request, session: str) -> None:
        if not self._origins.is_ours(request):
            raise _refused(
                "a call with a session cookie that may change something needs the Origin of this server or one in "
                "cors_origins, or Sec-Fetch-Site: same-origin"
            )
        given = request.headers.getall(CSRF_HEADER, ())
        if not session or len(given) != 1 or not self._cookies.is_csrf(given[0], session):
            raise _refused(
                f"a call with a session cookie that may change something needs the header {CSRF_HEADER}: the csrfToken "
                "of the sign-in, or of GET /auth/csrf"
            )


def closed(response: web.Response) -> web.Response:
    """Have a browser forget the session's cookies."""
    return _with_cookies(response, cookies.clear())


def _renews(route: Route) -> bool:
    return route.reply.DESCRIPTOR.full_name == SESSION and "refresh_token" in route.scope.fields_by_name


def _with_cookies(response: web.Response, values: list[str]) -> web.Response:
    for value in values:
        response.headers.add(hdrs.SET_COOKIE, value)
    return response


def _refused(words: str) -> GatewayError:
    return GatewayError(grpc.StatusCode.PERMISSION_DENIED, "CSRF_REFUSED", words)


def _two_credentials(which: str) -> GatewayError:
    words = f"the request carries {which}; send one of them"
    return GatewayError(grpc.StatusCode.INVALID_ARGUMENT, "TWO_CREDENTIALS", words)
