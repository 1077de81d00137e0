"""Origins: which pages may call, and what their browsers are told."""

from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from controlplane.networks import Network, within

# What a page may send and read besides what browsers always allow.
_REQUEST_HEADERS = (
    "authorization", "connect-protocol-version", "connect-timeout-ms", "content-type", "grpc-timeout",
    "solward-second-factor", "solward-session", "traceparent", "tracestate", "x-csrf-token",
)  # fmt: skip
_RESPONSE_HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After")
_PREFLIGHT_S = 600
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def origin(text: str) -> str:
    """Read an origin of the settings; raises ValueError in words.

    Args:
        text: "https://console.example.net", with a port where it is not the scheme's own.
    """
    wrong = ValueError(
        f"{text!r} must be an exact origin such as https://console.example.net: lower-case, no path, no wildcard; "
        "http on loopback only"
    )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise wrong from None
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    exact = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    if exact != text or not host or "*" in host or usual is None or port == usual or not text.isascii():
        raise wrong
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise wrong
    return text


class Origins:
    """Knows our own origin and those that settings list.

    Args:
        listed: exact origins of other pages that may call with cookies.
        proxies: who may stand before the gateway and end TLS.
    """

    def __init__(self, listed: Sequence[str], proxies: Sequence[Network]) -> None:
        self._listed = frozenset(listed)
        self._proxies = tuple(proxies)

    def is_ours(self, request: web.Request) -> bool:
        """Whether a page of ours, or of a listed origin, makes this request, by the browser's own word."""
        given = request.headers.getall(hdrs.ORIGIN, ())
        if given:
            return len(given) == 1 and (given[0] in self._listed or given[0] in self._own(request))
        return request.headers.getall("Sec-Fetch-Site", ()) == ["same-origin"]

    def is_foreign(self, request: web.Request) -> bool:
        """Whether a page of another origin makes this request; what is no browser says nothing of origins."""
        says = hdrs.ORIGIN in request.headers or "Sec-Fetch-Site" in request.headers
        return says and not self.is_ours(request)

    def is_listed(self, request: web.Request) -> bool:
        """Whether the request comes from a page of a listed origin."""
        given = request.headers.getall(hdrs.ORIGIN, ())
        return len(given) == 1 and given[0] in self._listed

    def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell the browser whether a page may read this response."""
        if not self._listed:
            return
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if self.is_listed(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = ", ".join(_RESPONSE_HEADERS)

    def _own(self, request: web.Request) -> Collection[str]:
        host = request.host.lower()
        own = {f"{request.scheme}://{host}"}
        if within((request.remote or "").partition("%")[0], self._proxies):
            own.add(f"https://{host}")
        return own


def is_preflight(request: web.Request) -> bool:
    """Whether a browser asks what a page may do, before it does it."""
    headers = request.headers
    return (
        request.method == hdrs.METH_OPTIONS and hdrs.ORIGIN in headers and hdrs.ACCESS_CONTROL_REQUEST_METHOD in headers
    )


def preflight(methods: Sequence[str]) -> web.Response:
    """Answer a preflight of a listed origin.

    Args:
        methods: those that the path has.
    """
    return web.Response(
        status=204,
        headers={
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: ", ".join(methods),
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ", ".join(_REQUEST_HEADERS),
            hdrs.ACCESS_CONTROL_MAX_AGE: str(_PREFLIGHT_S),
        },
    )
