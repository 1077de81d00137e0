"""Responses: a reply, an error, or a stream of replies."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc
import structlog
from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from controlplane.gateway import errors, transcode
from controlplane.gateway.bodies import OFF_LOOP_BYTES
from controlplane.gateway.errors import GatewayError
from controlplane.gateway.routes import Route

# A stream that says nothing for so long is begun all the same: its client is to know that it is served.
FIRST_S = 1.0
# Events that are quiet for so long are kept alive with a comment.
QUIET_S = 15.0
_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(?:; ?charset=[\w-]+)?", re.ASCII)
_RATE_LIMIT = re.compile(r"limit=([0-9]+), remaining=([0-9]+), reset=([0-9]+)")
_log = structlog.get_logger(__name__)


def message_value(message: Message) -> dict[str, Any]:
    """Turn a message into JSON types."""
    return json_format.MessageToDict(message)


def as_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with JSON.

    Args:
        value: of JSON types.
        status: the HTTP status.
        headers: besides those of every response.
    """
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def always(value: Any) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Make a handler that answers with the same JSON whoever asks."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return handler


def refusal(error: GatewayError) -> web.Response:
    """Answer with an error of the gateway's own."""
    status = error.status()
    response = as_json(errors.body_of(status), error.http_status, errors.headers_of(status) | error.headers)
    if error.closes:
        response.force_close()
    return response


def failure(error: grpc.aio.AioRpcError) -> web.Response:
    """Answer with the error that a call ended with."""
    status = errors.status_from(error)
    http_status = errors.HTTP_STATUS.get(status.code, 500)
    told = errors.headers_of(status) | rate_limit(error.trailing_metadata())
    return as_json(errors.body_of(status), http_status, told)


def rate_limit(trailing: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    """Give the headers that say how the caller's budget stands.

    Args:
        trailing: what the server sent with the end of the call.
    """
    for key, value in trailing or ():
        match = _RATE_LIMIT.fullmatch(value) if key == "ratelimit" and isinstance(value, str) else None
        if match:
            return dict(zip(("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"), match.groups(), strict=True))
    return {}


async def reply(route: Route, message: Message) -> web.Response:
    """Answer with the reply of a unary call.

    Args:
        route: the route that was called.
        message: what the RPC answered.
    """
    raw = transcode.raw_reply(message)
    if raw is not None:
        content_type, data = raw
        known = _CONTENT_TYPE.fullmatch(content_type)
        return web.Response(body=data, headers={"Content-Type": content_type if known else "application/octet-stream"})
    if message.ByteSize() > OFF_LOOP_BYTES:
        body = await asyncio.to_thread(transcode.write_reply, route, message)
    else:
        body = transcode.write_reply(route, message)
    return web.Response(body=body, content_type="application/json")


class Stream:
    """Answers with the replies of a streaming call, one line of JSON or one event each.

    Args:
        request: what is answered; asks for events with "Accept: text/event-stream".
        route: the route that was called.
        write_s: how long the client may take to read one reply, in seconds.
    """

    def __init__(self, request: web.Request, route: Route, write_s: float) -> None:
        self._request = request
        self._route = route
        self._write_s = write_s
        self._events = "text/event-stream" in request.headers.get("Accept", "")
        self._response = web.StreamResponse()
        self._reading: asyncio.Future[Any]

    async def send(self, call: grpc.aio.UnaryStreamCall[Message, Message]) -> web.StreamResponse:
        """Send everything that a call answers.

        Args:
            call: just begun; it is over when this returns or raises.

        Raises:
            AioRpcError: the call failed before its first message.
        """
        response = self._response
        try:
            await asyncio.wait({self._next(call)}, timeout=FIRST_S)
            if self._reading.done():
                # What fails before anything was said has a status of its own.
                self._reading.result()
            response.content_type = "text/event-stream" if self._events else "application/x-ndjson"
            await response.prepare(self._request)
            if self._request.method != "HEAD":
                async with asyncio.timeout(None) as patience:
                    await self._pump(call, patience)
            return response
        except TimeoutError:
            # The client does not read, so nothing can be told to it.
            if self._request.transport is not None:
                self._request.transport.abort()
            return response
        finally:
            call.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _next(self, call: grpc.aio.UnaryStreamCall[Message, Message]) -> asyncio.Future[Any]:
        self._reading = asyncio.ensure_future(call.read())
        return self._reading

    async def _pump(self, call: grpc.aio.UnaryStreamCall[Message, Message], patience: asyncio.Timeout) -> None:
        last = False
        while not last:
            await self._keep_alive(patience)
            try:
                message = await self._reading
            except grpc.aio.AioRpcError as error:
                await self._write({"error": errors.body_of(errors.status_from(error))}, patience)
                break
            if message is grpc.aio.EOF:
                break
            value, last = self._line(message)
            await self._write(value, patience)
            self._next(call)
        await self._response.write_eof()

    async def _keep_alive(self, patience: asyncio.Timeout) -> None:
        """Send comments to who listens to events until there is one: proxies cut off who says nothing."""
        while self._events:
            done, _ = await asyncio.wait({self._reading}, timeout=QUIET_S)
            if done:
                return
            await self._send(b":\n\n", patience)

    def _line(self, message: Message) -> tuple[dict[str, Any], bool]:
        try:
            return {"result": transcode.reply_value(self._route, message)}, False
        except (DecodeError, TypeError, ValueError, json_format.Error):
            _log.exception("gateway_reply_unwritable", rpc=self._route.rpc)
            status = status_pb2.Status(code=13, message="the gateway failed to write the reply")
            return {"error": errors.body_of(status)}, True

    async def _write(self, value: dict[str, Any], patience: asyncio.Timeout) -> None:
        line = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        await self._send(b"data: " + line + b"\n\n" if self._events else line + b"\n", patience)

    async def _send(self, data: bytes, patience: asyncio.Timeout) -> None:
        patience.reschedule(asyncio.get_running_loop().time() + self._write_s)
        await self._response.write(data)
        patience.reschedule(None)
