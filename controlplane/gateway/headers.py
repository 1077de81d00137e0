"""What of a request's headers is believed, and what every response says."""

import re
from collections.abc import Sequence

import grpc
from aiohttp import hdrs, web

from controlplane.gateway.errors import GatewayError, bad_request
from controlplane.networks import Network, is_address, within

# Everything else stays outside: who calls is for the gRPC server to say, not for a header.
_FORWARDED = ("authorization", "solward-second-factor", "solward-break-glass", "traceparent", "tracestate")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
# What goes along with a call.
Metadata = list[tuple[str, str]]
# What a page of another site can make a browser send without asking first.
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
_MAX_TIMEOUT_S = 86_400.0
# A page's own: scripts, styles and calls of this origin, nothing inline, nobody's frame.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HARDENED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def forwarded(request: web.Request) -> list[tuple[str, str]]:
    """Give the metadata that a request's headers become.

    Args:
        request: headers whose value gRPC cannot carry are left out.

    Raises:
        GatewayError: one of them is there twice.
    """
    found = []
    for name in _FORWARDED:
        given = request.headers.getall(name, ())
        if len(given) > 1:
            raise bad_request(f"the header {name} is there twice")
        if given and _PRINTABLE.fullmatch(given[0]):
            found.append((name, given[0]))
    return found


def client_address(request: web.Request, proxies: Sequence[Network]) -> str:
    """Give the client's IP address: the peer's or, behind trusted proxies, the last one they do not own.

    Args:
        request: of the client or of a proxy.
        proxies: whose X-Forwarded-For is believed.
    """
    peer = raw_peer(request)
    if not within(peer, proxies):
        return peer
    address = peer
    hops = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())).split(",")
    for text in reversed(hops):
        # A zone means something on its own machine only, and may hold anything.
        hop = text.strip().partition("%")[0]
        if not is_address(hop):
            break
        address = hop
        if not within(hop, proxies):
            break
    return address


def raw_peer(request: web.Request) -> str:
    """Give the address at the other end of the connection: the client's, or a proxy's."""
    return (request.remote or "").partition("%")[0] or "local"


def check_upgrade(request: web.Request) -> None:
    """Refuse every change of protocol but to WebSocket: what follows it would be read by other rules.

    Args:
        request: of any kind.

    Raises:
        GatewayError: 400, and the connection is closed.
    """
    wanted = request.headers.getall(hdrs.UPGRADE, ())
    if request.method == hdrs.METH_CONNECT or (wanted and [name.lower() for name in wanted] != ["websocket"]):
        code = grpc.StatusCode.INVALID_ARGUMENT
        words = "only WebSocket is upgraded to, where a path offers it"
        raise GatewayError(code, "UPGRADE_REFUSED", words, closes=True)


def timeout_of(request: web.Request) -> float | None:
    """Read Grpc-Timeout, in seconds; None where there is none.

    Args:
        request: for example with "Grpc-Timeout: 10m", ten milliseconds.

    Raises:
        GatewayError: it is malformed.
    """
    text = request.headers.get("Grpc-Timeout")
    if text is None:
        return None
    match = _TIMEOUT.fullmatch(text)
    if match is None:
        raise bad_request("Grpc-Timeout is up to 8 digits and one of H, M, S, m, u, n")
    return min(int(match[1]) * _UNITS[match[2]], _MAX_TIMEOUT_S)


def check_content(request: web.Request) -> None:
    """Refuse a body of another type than JSON, and a form even without a body.

    Args:
        request: whose body has not been read.

    Raises:
        GatewayError: 415.
    """
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise _unsupported("a body is sent without Content-Encoding")
    if not request.body_exists and request.content_type not in _FORMS:
        return
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8":
        raise _unsupported("a body is application/json in UTF-8")


async def harden(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers of every response; a route may have set others before.

    Args:
        request: what is answered.
        response: about to be sent.
    """
    response.headers[hdrs.SERVER] = "solward"
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    for name, value in _HARDENED.items():
        response.headers.setdefault(name, value)
    if request.secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")


def _unsupported(message: str) -> GatewayError:
    return GatewayError(grpc.StatusCode.INVALID_ARGUMENT, "CONTENT_UNSUPPORTED", message, http_status=415)
