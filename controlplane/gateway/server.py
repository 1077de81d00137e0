"""The gateway: an HTTP application that answers every bound RPC by calling the gRPC server."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from controlplane.gateway import browser, connect, errors, headers, openapi, origins, replies, transcode
from controlplane.gateway.bodies import OFF_LOOP_BYTES, read_body
from controlplane.gateway.browser import BrowserSessions
from controlplane.gateway.concatenated import read_objects
from controlplane.gateway.connect import PATH as CONNECT_PATH
from controlplane.gateway.connect import ConnectDoor
from controlplane.gateway.cookies import Held
from controlplane.gateway.errors import GatewayError
from controlplane.gateway.headers import Metadata
from controlplane.gateway.live import PATH, LiveDoor, LiveLimits
from controlplane.gateway.live_events import PATH as EVENTS_PATH
from controlplane.gateway.oidc import OidcPages
from controlplane.gateway.origins import Origins
from controlplane.gateway.page import add_page
from controlplane.gateway.routes import Match, Route, Routes
from controlplane.gateway.site import Limits
from controlplane.gateway.templates import PathError
from controlplane.gateway.upstream import Upstream
from controlplane.networks import EVERYWHERE, Admission, Network

_HEALTH = "/grpc.health.v1.Health/Check"
_HEALTH_S = 5.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Trust:
    """Whom the gateway believes, and how it proves itself.

    Args:
        gateway_secret: proves to the gRPC server that the client's address comes from here.
        csrf_secret: signs what shows a browser's request to be our own page's.
        proxies: whose X-Forwarded-For is believed.
        admission: which client addresses may call.
        origins: exact origins of other pages that may call with cookies.
    """

    gateway_secret: str
    csrf_secret: str
    proxies: tuple[Network, ...] = ()
    admission: Admission = EVERYWHERE
    origins: tuple[str, ...] = ()


def build_app(
    channel: grpc.aio.Channel | Upstream,
    services: Sequence[ServiceDescriptor],
    trust: Trust,
    limits: Limits | None = None,
    *,
    describe: bool = True,
    live: LiveLimits | None = None,
) -> web.Application:
    """Make the application; other routes may be added to it and win over the RPCs'.

    Args:
        channel: to the gRPC server; the caller closes it.
        services: whose RPCs are served.
        trust: whom the gateway believes.
        limits: what a client may ask for.
        describe: offer the OpenAPI document.
        live: what a client of the live door may ask for.

    Raises:
        RouteError: a binding cannot be served.
    """
    listed = Origins(trust.origins, trust.proxies)
    sessions = BrowserSessions(trust.csrf_secret, listed)
    routes = Routes(services)
    gateway = _Gateway(channel, routes, trust, listed, sessions, limits or Limits())
    app = web.Application(middlewares=[gateway.serve], client_max_size=gateway.limits.body_bytes)
    app.router.add_get("/health", gateway.health)
    app.router.add_get("/auth/csrf", sessions.csrf)
    pages = OidcPages(channel, gateway.metadata, sessions)
    app.router.add_get("/auth/login", pages.login)
    app.router.add_get("/auth/callback", pages.callback)
    app.router.add_post("/auth/backchannel-logout", pages.back_channel)
    door = LiveDoor(channel, gateway.metadata, sessions, listed, live)
    app.router.add_get(PATH, door.serve, allow_head=False)
    app.router.add_get(EVENTS_PATH, door.serve_events, allow_head=False)
    app.cleanup_ctx.append(door.running)
    app.on_shutdown.append(door.shut)
    connected = ConnectDoor(channel, services, gateway.metadata, sessions, gateway.limits)
    app.router.add_route("*", CONNECT_PATH, connected.serve)
    if describe:
        app.router.add_get("/openapi.json", replies.always(openapi.document(routes.all)))
        add_page(app)
    app.on_response_prepare.append(headers.harden)
    app.on_response_prepare.append(gateway.mark)
    return app


class _Gateway:
    def __init__(
        self,
        channel: grpc.aio.Channel | Upstream,
        routes: Routes,
        trust: Trust,
        listed: Origins,
        sessions: BrowserSessions,
        limits: Limits,
    ) -> None:
        self.limits = limits
        self._routes = routes
        self._trust = trust
        self._origins = listed
        self._sessions = sessions
        self._calls = {id(route): _callable(channel, route) for route in routes.all}
        self._check = channel.unary_unary(
            _HEALTH,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )

    @web.middleware
    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request: by another route of the application where it has one, else by an RPC."""
        try:
            headers.check_upgrade(request)
            self._admit(request)
            if origins.is_preflight(request):
                return self._preflight(request)
            if request.match_info.http_exception is None:
                return await handler(request)
            return await self._call(request)
        except GatewayError as error:
            return replies.refusal(error)
        except grpc.aio.AioRpcError as error:
            return replies.failure(error)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:  # noqa: BLE001 - the last resort: aiohttp's own answer would be no JSON
            _log.exception("gateway_failed", method=request.method, path=request.path[:200])
            return replies.refusal(errors.failed())

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Tell a browser whether a page of another origin may read this response."""
        self._origins.mark(request, response)

    async def health(self, request: web.Request) -> web.Response:
        """Say whether the server, or the service of `?service=`, is ready."""
        asked = health_pb2.HealthCheckRequest(service=request.query.get("service", ""))
        try:
            # Whoever asks, and with whatever credential: it is asked as nobody.
            reply = await self._check(asked, timeout=_HEALTH_S, metadata=self._whence(request))
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return replies.as_json({"status": "SERVICE_UNKNOWN"}, 404)
            return _not_serving("NOT_SERVING")
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)
        return replies.as_json({"status": status}) if status == "SERVING" else _not_serving(status)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        found = self._find(request, path)
        if not isinstance(found, Match):
            raise self._wrong_method(found)
        route = found.route
        held = self._sessions.read(request)
        metadata = self.metadata(request) + self._sessions.authorize(request, route, held)
        timeout = headers.timeout_of(request)
        if route.collects:
            # Without a deadline of its own a client that sends slowly would hold a call for ever.
            begun = self._calls[id(route)](timeout=timeout or self.limits.collect_s, metadata=metadata)
            return await self._collect(request, found, query, begun)
        message = await self._message(request, found, query)
        self._sessions.fill(request, route, message, held)
        call = self._calls[id(route)]
        if route.streams:
            stream = replies.Stream(request, route, self.limits.write_s)
            return await stream.send(call(message, timeout=timeout, metadata=metadata))
        into_cookies = self._sessions.wants_cookies(request, route, held)
        under_way = call(message, timeout=self.limits.unary_s if timeout is None else timeout, metadata=metadata)
        return await self._answer(route, under_way, held, into_cookies=into_cookies)

    async def _collect(self, request: web.Request, match: Match, query: str, call: Any) -> web.Response:
        """Pass the objects of a body on one by one; the call is over when this returns or raises."""
        try:
            headers.check_content(request)
            if query:
                raise errors.bad_request("this path takes every field in its body and none in its query")
            # A server that answers before the end does not listen any more: its answer is what counts.
            with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
                async for body in read_objects(request, self.limits):
                    large = len(body) > OFF_LOOP_BYTES
                    read = asyncio.to_thread(transcode.read_request, match, "", body) if large else None
                    await call.write(await read if read else transcode.read_request(match, "", body))
                await call.done_writing()
        except BaseException:
            call.cancel()
            raise
        return await replies.reply(match.route, await call)

    async def _message(self, request: web.Request, match: Match, query: str) -> Message:
        headers.check_content(request)
        body = await read_body(request, self.limits)
        if len(body) > OFF_LOOP_BYTES:
            return await asyncio.to_thread(transcode.read_request, match, query, body)
        return transcode.read_request(match, query, body)

    async def _answer(self, route: Route, under_way: Any, held: Held, *, into_cookies: bool) -> web.Response:
        try:
            reply = await under_way
        except grpc.aio.AioRpcError as error:
            response, code = replies.failure(error), error.code()
        else:
            response = self._sessions.opened(reply) if into_cookies else await replies.reply(route, reply)
            response.headers.update(replies.rate_limit(await under_way.trailing_metadata()))
            code = grpc.StatusCode.OK
        return browser.closed(response) if self._sessions.closes(route, held, code) else response

    def _admit(self, request: web.Request) -> None:
        address = headers.client_address(request, self._trust.proxies)
        if not self._trust.admission.admits(address):
            words = f"calls are not taken from {address}"
            raise GatewayError(grpc.StatusCode.PERMISSION_DENIED, "NETWORK_REFUSED", words, closes=True)

    def _preflight(self, request: web.Request) -> web.Response:
        handled = request.match_info.http_exception is None
        found = connect.METHODS if handled else self._find(request, request.raw_path.partition("?")[0])
        if not self._origins.is_listed(request):
            words = "the page's origin is not one of cors_origins"
            raise GatewayError(grpc.StatusCode.PERMISSION_DENIED, "ORIGIN_REFUSED", words)
        return origins.preflight(found if isinstance(found, list) else [request.method])

    def _find(self, request: web.Request, path: str) -> Match | list[str]:
        """Find the RPC of a request, or the methods that its path has."""
        try:
            found = self._routes.find(request.method, path)
        except PathError as error:
            raise errors.bad_request(str(error)) from None
        if isinstance(found, Match):
            return found
        unrouted = request.match_info.http_exception
        allowed = {*found, *getattr(unrouted, "allowed_methods", ())}
        if not allowed:
            raise GatewayError(grpc.StatusCode.NOT_FOUND, "PATH_UNKNOWN", "there is nothing at this path")
        return sorted(allowed)

    def _wrong_method(self, allowed: list[str]) -> GatewayError:
        allow = ", ".join(allowed)
        return GatewayError(
            grpc.StatusCode.UNIMPLEMENTED,
            "METHOD_NOT_ALLOWED",
            f"this path takes {allow}",
            http_status=405,
            headers={"Allow": allow},
        )

    def metadata(self, request: web.Request) -> Metadata:
        """Give what of a request goes along with its call, and what shows that it comes from here."""
        return headers.forwarded(request) + self._whence(request)

    def _whence(self, request: web.Request) -> list[tuple[str, str]]:
        return [
            ("solward-client-ip", headers.client_address(request, self._trust.proxies)),
            ("solward-raw-peer", headers.raw_peer(request)),
            ("solward-gateway-secret", self._trust.gateway_secret),
        ]


def _not_serving(status: str) -> web.Response:
    return replies.as_json({"status": status}, 503, {"Retry-After": errors.SOON_S})


def _callable(channel: grpc.aio.Channel | Upstream, route: Route) -> Any:
    make = channel.stream_unary if route.collects else channel.unary_stream if route.streams else channel.unary_unary
    return make(
        route.rpc,
        request_serializer=route.request.SerializeToString,
        response_deserializer=route.reply.FromString,
    )
