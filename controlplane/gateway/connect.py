"""The Connect protocol, unary calls: every RPC at `POST /package.Service/Method`, in JSON or as on the wire.

Written by the protocol's published description: codes in words, details as type and base64, `Connect-Timeout-Ms`,
trailers as `Trailer-*`, and GET for calls that change nothing.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from aiohttp import hdrs, web
from google.protobuf import json_format
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from controlplane.gateway import errors, replies, transcode
from controlplane.gateway.bodies import OFF_LOOP_BYTES, read_body
from controlplane.gateway.browser import BrowserSessions
from controlplane.gateway.errors import GatewayError, bad_request
from controlplane.gateway.headers import Metadata
from controlplane.gateway.routes import Match, Route, connect_routes
from controlplane.gateway.site import Limits
from controlplane.gateway.upstream import Upstream

# A full service name and a method: no path of REST looks like it.
PATH = r"/{service:(?:[a-z][a-z0-9_]*\.)+[A-Z][A-Za-z0-9]*}/{method:[A-Z][A-Za-z0-9]*}"
# What a path has that is not looked at more closely.
METHODS = [hdrs.METH_GET, hdrs.METH_POST]
_CODECS = {"application/json": "json", "application/proto": "proto"}
_TYPES = {codec: content_type for content_type, codec in _CODECS.items()}
_TIMEOUT = re.compile(r"[0-9]{1,10}")
_LONGEST_S = 86_400.0
_WORDS = {
    1: "canceled", 2: "unknown", 3: "invalid_argument", 4: "deadline_exceeded", 5: "not_found", 6: "already_exists",
    7: "permission_denied", 8: "resource_exhausted", 9: "failed_precondition", 10: "aborted", 11: "out_of_range",
    12: "unimplemented", 13: "internal", 14: "unavailable", 15: "data_loss", 16: "unauthenticated",
}  # fmt: skip


class ConnectDoor:
    """Answers Connect's unary calls by calling the gRPC server.

    Args:
        channel: to the gRPC server.
        services: whose RPCs are served.
        metadata: what of a request goes along with its call.
        sessions: stands between cookies and the metadata of calls.
        limits: what a client may ask for.
    """

    def __init__(
        self, channel: grpc.aio.Channel | Upstream, services: Sequence[ServiceDescriptor],
        metadata: Callable[[web.Request], Metadata], sessions: BrowserSessions, limits: Limits,
    ) -> None:  # fmt: skip
        self._routes = connect_routes(services)
        self._known = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
        self._calls = {path: _callable(channel, route) for path, route in self._routes.items()}
        self._metadata = metadata
        self._sessions = sessions
        self._limits = limits

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        try:
            return await self._call(request)
        except GatewayError as error:
            response = _failure(error.status(), error.headers, error.http_status)
            if error.closes:
                response.force_close()
            return response
        except grpc.aio.AioRpcError as error:
            return _failure(errors.status_from(error), replies.rate_limit(error.trailing_metadata()))

    async def _call(self, request: web.Request) -> web.Response:
        path = request.path
        route = self._routes.get(path)
        if route is None:
            known = path in self._known
            words = "a streaming RPC is not called by Connect: see its REST path" if known else "there is no such RPC"
            code = grpc.StatusCode.UNIMPLEMENTED if known else grpc.StatusCode.NOT_FOUND
            raise GatewayError(code, "RPC_STREAMS" if known else "RPC_UNKNOWN", words, http_status=404)
        if request.method == hdrs.METH_POST:
            codec = _codec(request)
            _check_version(request.headers.get("Connect-Protocol-Version"), "1", "Connect-Protocol-Version")
            raw = await read_body(request, self._limits)
        elif request.method == hdrs.METH_GET and not route.mutates:
            codec, raw = _asked(request)
        else:
            allow = "POST" if route.mutates else "GET, POST"
            raise GatewayError(
                grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_ALLOWED", f"this RPC takes {allow}", http_status=405,
                headers={"Allow": allow},
            )  # fmt: skip
        return await self._answer(request, route, codec, raw)

    async def _answer(self, request: web.Request, route: Route, codec: str, raw: bytes) -> web.Response:
        held = self._sessions.read(request)
        metadata = self._metadata(request) + self._sessions.authorize(request, route, held)
        # What takes long to read or to write must not keep everybody else waiting.
        large = len(raw) > OFF_LOOP_BYTES
        message = await asyncio.to_thread(_read, route, codec, raw) if large else _read(route, codec, raw)
        timeout = _timeout(request) or self._limits.unary_s
        call = self._calls[route.rpc](message, timeout=timeout, metadata=metadata)
        reply = await call
        large = reply.ByteSize() > OFF_LOOP_BYTES
        body = await asyncio.to_thread(_write, route, codec, reply) if large else _write(route, codec, reply)
        response = web.Response(body=body, content_type=_TYPES[codec])
        told = replies.rate_limit(await call.trailing_metadata())
        response.headers.update({f"Trailer-{name}": value for name, value in told.items()})
        return response


def _codec(request: web.Request) -> str:
    codec = _CODECS.get(request.content_type)
    if codec is None or (request.charset or "utf-8").lower() != "utf-8":
        words = "a unary call is application/json or application/proto"
        raise GatewayError(
            grpc.StatusCode.INVALID_ARGUMENT, "CONTENT_UNSUPPORTED", words, http_status=415,
            headers={"Accept-Post": ", ".join(_CODECS)},
        )  # fmt: skip
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        words = "a body is sent without Content-Encoding"
        raise GatewayError(grpc.StatusCode.UNIMPLEMENTED, "CONTENT_UNSUPPORTED", words)
    return codec


def _asked(request: web.Request) -> tuple[str, bytes]:
    """Read the codec and the message of a GET: `?connect=v1&encoding=json&message=…`, with `base64=1` for bytes."""
    query = request.query
    for name in query:
        if len(query.getall(name)) > 1 or name not in ("connect", "encoding", "message", "base64", "compression"):
            raise bad_request(f"the parameter {name[:100]!r} is not one of Connect's, or is there twice", name[:100])
    _check_version(query.get("connect"), "v1", "connect")
    codec, text = query.get("encoding", ""), query.get("message")
    if codec not in _TYPES or text is None:
        raise bad_request("a GET gives encoding, json or proto, and message", "encoding")
    if query.get("compression", "identity") != "identity":
        raise GatewayError(grpc.StatusCode.UNIMPLEMENTED, "CONTENT_UNSUPPORTED", "a message is sent uncompressed")
    if query.get("base64", "0") != "1":
        return codec, text.encode()
    try:
        padded = text + "=" * (-len(text) % 4)
        return codec, base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise bad_request("message is no base64", "message") from None


def _check_version(given: str | None, wanted: str, name: str) -> None:
    if given not in (None, wanted):
        raise bad_request(f"{name} is {wanted}", name)


def _read(route: Route, codec: str, raw: bytes) -> Message:
    if codec == "json":
        return transcode.read_request(Match(route, []), "", raw)
    message = route.request()
    try:
        message.ParseFromString(raw)
    except DecodeError:
        raise bad_request(f"the body is no {route.scope.full_name}") from None
    return message


def _write(route: Route, codec: str, reply: Message) -> bytes:
    return reply.SerializeToString() if codec == "proto" else transcode.write_reply(route, reply)


def _timeout(request: web.Request) -> float | None:
    text = request.headers.get("Connect-Timeout-Ms")
    if text is None:
        return None
    if not _TIMEOUT.fullmatch(text):
        raise bad_request("Connect-Timeout-Ms is up to 10 digits", "Connect-Timeout-Ms")
    # Nothing is done within no time at all.
    return min(max(int(text) / 1000, 1e-3), _LONGEST_S)


def _failure(status: status_pb2.Status, headers: dict[str, str], http_status: int | None = None) -> web.Response:
    body: dict[str, Any] = {"code": _WORDS.get(status.code, "unknown"), "message": status.message}
    if status.details:
        body["details"] = [_detail(detail) for detail in status.details]
    told = errors.headers_of(status) | headers
    return replies.as_json(body, http_status or errors.HTTP_STATUS.get(status.code, 500), told)


def _detail(detail: Any) -> dict[str, Any]:
    value = base64.b64encode(detail.value).decode().rstrip("=")
    found: dict[str, Any] = {"type": detail.type_url.rpartition("/")[2], "value": value}
    try:
        found["debug"] = {key: one for key, one in json_format.MessageToDict(detail).items() if key != "@type"}
    except (DecodeError, TypeError, ValueError, json_format.Error):
        # Of a type that this program does not know: passed on as it is.
        return found
    return found


def _callable(channel: grpc.aio.Channel | Upstream, route: Route) -> Any:
    return channel.unary_unary(
        route.rpc,
        request_serializer=route.request.SerializeToString,
        response_deserializer=route.reply.FromString,
    )
