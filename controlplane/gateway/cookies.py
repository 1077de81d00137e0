"""Cookies of browser sessions: how tokens travel in them, and the token that shows a request to be a page's own."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

import jwt
from aiohttp import hdrs, web

from controlplane.gateway.errors import bad_request

# A browser takes a cookie of such a name over HTTPS only, for this host and no other, whoever else may set cookies.
ACCESS = "__Host-solward-access"
REFRESH = "__Host-solward-refresh"
_JWT = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){2}")
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """A pair of tokens on its way into cookies.

    Args:
        access: the bearer token, a JWT that names its session as "sid".
        access_s: seconds that it lives.
        refresh: what it is renewed with.
        refresh_s: seconds that the session lives at the most.
    """

    access: str
    access_s: int
    refresh: str
    refresh_s: int


@dataclass(frozen=True, slots=True)
class Held:
    """What a request's cookies hold; empty where there is nothing, or nothing of ours.

    Args:
        access: the bearer token.
        refresh: the refresh token.
        session: which session the refresh token was made for; certain.
        access_session: which session the access token names; only as certain as that token, which is not checked here.
        given: whether there was a cookie of ours at all.
    """

    access: str = ""
    refresh: str = ""
    session: str = ""
    access_session: str = ""
    given: bool = False


class Cookies:
    """Makes and reads the cookies of sessions.

    Args:
        secret: the CSRF secret; what it signs is worth nothing elsewhere. A second line holds the one before, whose
            tokens and cookies are still taken.
    """

    def __init__(self, secret: str) -> None:
        self._secrets = [one.encode() for one in secret.split("\n")]

    def csrf_token(self, session: str) -> str:
        """Give the CSRF token of a session: 64 hexadecimal digits."""
        return self._mac(self._secrets[0], session)

    def is_csrf(self, given: str, session: str) -> bool:
        """Whether this is the CSRF token of a session."""
        return any(matches(given, self._mac(secret, session)) for secret in self._secrets)

    def set(self, tokens: SessionTokens) -> list[str]:
        """Turn tokens into the values of two Set-Cookie headers."""
        session = session_of(tokens.access)
        sealed = f"{session}.{tokens.refresh}.{self._mac(self._secrets[0], 'refresh', session, tokens.refresh)}"
        return [
            f"{ACCESS}={tokens.access}; Max-Age={max(0, tokens.access_s)}; {_ATTRIBUTES}",
            f"{REFRESH}={sealed}; Max-Age={max(0, tokens.refresh_s)}; {_ATTRIBUTES}",
        ]

    def read(self, request: web.Request) -> Held:
        """Read a request's cookies; raises GatewayError where one of ours is there twice."""
        found = parse(request.headers.getall(hdrs.COOKIE, ()))
        access = found.get(ACCESS, "")
        if not _JWT.fullmatch(access):
            # No token of any server's, and metadata might not even carry it.
            access = ""
        session, refresh = self._open(found.get(REFRESH, ""))
        return Held(access, refresh, session, session_of(access), bool(found))

    def _open(self, value: str) -> tuple[str, str]:
        session, _, rest = value.partition(".")
        refresh, _, mac = rest.rpartition(".")
        right = any(matches(mac, self._mac(secret, "refresh", session, refresh)) for secret in self._secrets)
        return (session, refresh) if right and session and refresh else ("", "")

    def _mac(self, secret: bytes, *parts: str) -> str:
        return hmac.new(secret, _bytes("\0".join(parts)), hashlib.sha256).hexdigest()


def clear() -> list[str]:
    """Give the values of the Set-Cookie headers that end a browser's session."""
    return [f"{name}=; Max-Age=0; {_ATTRIBUTES}" for name in (ACCESS, REFRESH)]


def parse(lines: Sequence[str]) -> dict[str, str]:
    """Read our cookies out of Cookie headers; others are not looked at.

    Args:
        lines: the values of all Cookie headers.

    Raises:
        GatewayError: one of ours is there twice: somebody else has set one of them.
    """
    found: dict[str, str] = {}
    for line in lines:
        for pair in line.split(";"):
            name, _, value = pair.strip(" \t").partition("=")
            if name not in (ACCESS, REFRESH):
                continue
            if name in found:
                raise bad_request(f"the cookie {name} is there twice")
            found[name] = value
    return found


def session_of(access: str) -> str:
    """Say which session an access token names; empty where it names none. Who calls is for the server to say."""
    if not access:
        return ""
    try:
        # Read, not believed: the gateway holds no key, and a token that is false is refused by the server.
        session = jwt.decode(access, options={"verify_signature": False}).get("sid", "")
    except (jwt.PyJWTError, ValueError):
        return ""
    return session if isinstance(session, str) else ""


def matches(given: str, wanted: str) -> bool:
    """Compare two tokens in a time that tells nothing of them."""
    return hmac.compare_digest(_bytes(given), _bytes(wanted))


def _bytes(text: str) -> bytes:
    # Headers may hold any bytes; aiohttp hands those that are no UTF-8 on as surrogates.
    return text.encode("utf-8", "surrogateescape")
