"""The live door: WebSockets that are sent topics once a second, ten thousand of them from a few streams."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from aiohttp import hdrs, web

from common.breaker import Breaker
from common.errors import SolwardError
from controlplane.gateway import errors, strict_json
from controlplane.gateway.browser import BrowserSessions
from controlplane.gateway.errors import GatewayError, bad_request
from controlplane.gateway.headers import Metadata
from controlplane.gateway.live_access import Pass, Passes
from controlplane.gateway.live_events import EventSocket, head_of
from controlplane.gateway.live_feeds import Feeds
from controlplane.gateway.live_socket import CLOSE_S, NOT_ALLOWED, SOCKETS, Socket
from controlplane.gateway.origins import Origins
from controlplane.gateway.site import hand_over

PATH = "/api/rpc/ws"
# What a client offers as subprotocol, and beside it its token where it can set no header: never in the URL, which is
# logged by proxies and kept in histories.
PROTOCOL, TOKEN = "solward.live.v1", "bearer."
_OWN = ("solward-client-ip", "solward-raw-peer", "solward-gateway-secret")
_BEARER = re.compile(r"[Bb]earer +([A-Za-z0-9._~+/-]+=*)")
_TOKEN = re.compile(r"[A-Za-z0-9._-]+")
_TICKET = re.compile(r"[A-Za-z0-9_-]{20,100}")


@dataclass(frozen=True)
class LiveLimits:
    """What one client of the live door may ask for.

    Args:
        sockets: of one caller, by all its credentials.
        topics: of one socket.
        all_topics: different ones, of all sockets of one credential.
        message_bytes: the greatest message from a client.
        messages_per_s: from one client, on average.
        burst: messages at once.
        ping_s: so often a client that says nothing is asked whether it is there; it has half of that to answer.
    """

    sockets: int = 256
    topics: int = 32
    all_topics: int = 512
    message_bytes: int = 4_096
    messages_per_s: float = 5.0
    burst: float = 20.0
    ping_s: float = 30.0


class LiveDoor:
    """Takes WebSockets in, each with the right of its own credential.

    Args:
        channel: to the gRPC server; the caller closes it.
        metadata: gives what a request's call is sent with.
        sessions: reads cookies.
        origins: whose pages may open sockets.
        limits: of one client.
    """

    def __init__(
        self,
        channel: Any,
        metadata: Callable[[web.Request], Metadata],
        sessions: BrowserSessions,
        origins: Origins,
        limits: LiveLimits | None = None,
    ) -> None:
        self._metadata = metadata
        self._sessions = sessions
        self._origins = origins
        self._limits = limits or LiveLimits()
        self.message_bytes = self._limits.message_bytes
        self._breaker = Breaker("the control plane, for live topics", longest_s=5.0)
        self._feeds = Feeds(channel, self._breaker)
        self._passes = Passes(channel, self._breaker, self._changed)

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """Look after credentials while the application runs."""
        tasks = [
            asyncio.create_task(self._passes.keep_asking(), name="live access"),
            asyncio.create_task(self._keep_looking(), name="live pings"),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._feeds.close()
        self._breaker.close()

    async def shut(self, _: web.Application) -> None:
        """Send every client away, because the gateway ends."""
        for socket in self._passes.sockets():
            socket.close(1001, "the gateway ends; come again")
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._passes.empty()
        for socket in self._passes.sockets():
            socket.abort()

    async def serve_events(self, request: web.Request) -> web.StreamResponse:
        """Serve one client that listens to events, to its end: `?topics=fleet,alerts`."""
        _must_know(request, "topics")
        named = [one for text in request.query.getall("topics", ()) for one in text.split(",") if one]
        topics = list(dict.fromkeys(named))
        if not topics or not _are_topics(topics):
            raise bad_request("topics are named, for example ?topics=fleet,alerts", "topics")
        access = await self._let_in(request)
        try:
            self._must_have_room(access)
            if request.transport is None:
                raise bad_request("the connection is gone")
            socket = EventSocket(request.transport, access, self, self._limits.burst)
        except BaseException:
            self._passes.release(access)
            raise
        access.sockets.add(socket)
        SOCKETS.inc()
        try:
            head = await head_of(request, self._marks(request))
            await self._passes.ask(access, topics)
            # From here on nothing is waited for: what was checked holds, and nobody is greeted in vain.
            self._must_all_be_allowed(access, topics)
            self._must_have_topics(socket, topics)
        except BaseException:
            self.gone(socket)
            raise
        socket.greet(head)
        self._feeds.join(socket, topics)
        transport, request.protocol.transport = request.transport, None
        hand_over(transport, socket)
        await asyncio.Event().wait()
        raise AssertionError

    def _must_all_be_allowed(self, access: Pass, topics: list[str]) -> None:
        if refused := [topic for topic in topics if topic not in access.allowed]:
            raise _refusal(access, refused[0])

    def _marks(self, request: web.Request) -> dict[str, str]:
        """Give the headers by which a page of a listed origin may read the answer."""
        answer = web.Response()
        self._origins.mark(request, answer)
        return dict(answer.headers)

    async def _let_in(self, request: web.Request) -> Pass:
        """Find what the request's credential may watch; one more user holds it from now on."""
        token, ticket = self._credential(request)
        metadata = [pair for pair in self._metadata(request) if pair[0] in _OWN]
        if ticket:
            token = await self._passes.spend(ticket, metadata)
        metadata.append(("authorization", f"Bearer {token}"))
        return await self._passes.hold(token, metadata)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one client to its end."""
        _must_upgrade(request)
        _must_know(request)
        access = await self._let_in(request)
        try:
            self._must_have_room(access)
            # Without compression: it would cost memory for each socket, and tell of secrets by lengths.
            ws = web.WebSocketResponse(protocols=(PROTOCOL,), compress=False)
            if request.transport is None or not ws.can_prepare(request).ok:
                raise bad_request("this is no WebSocket handshake of version 13")
            # Counted before the handshake is awaited, so that a burst does not pass the limit.
            socket = Socket(request.transport, access, self, self._limits.burst)
        except BaseException:
            self._passes.release(access)
            raise
        access.sockets.add(socket)
        SOCKETS.inc()
        try:
            await ws.prepare(request)
        except BaseException:
            self.gone(socket)
            raise
        # What aiohttp keeps for each request and its answer would be most of a socket's memory.
        transport, request.protocol.transport = request.transport, None
        hand_over(transport, socket)
        # To the HTTP server the client has gone, and whoever served it is cancelled.
        await asyncio.Event().wait()
        raise AssertionError

    def pays(self, socket: Socket, now: float) -> bool:
        """Whether a client may send one more frame."""
        limits = self._limits
        socket.left = min(limits.burst, socket.left + (now - socket.paid) * limits.messages_per_s) - 1
        socket.paid = now
        return socket.left >= 0

    def gone(self, socket: Socket) -> None:
        """Forget a socket whose connection is over."""
        access = socket.access
        if socket in access.sockets:
            SOCKETS.dec()
            access.sockets.discard(socket)
            self._feeds.part(socket, list(socket.topics))
            self._passes.release(access)

    def _credential(self, request: web.Request) -> tuple[str, str]:
        """Give the token of a request, or its ticket."""
        held, ticket = self._sessions.read(request), _ticket(request)
        given = [found for found in (held.access, _bearer(request), _offered(request), ticket) if found]
        if len(given) > 1:
            words = "the request carries two credentials; send one of them"
            raise GatewayError(grpc.StatusCode.INVALID_ARGUMENT, "TWO_CREDENTIALS", words)
        # A browser sends cookies with whatever page opens a socket, and asks nobody before: Origin is all there is.
        if self._origins.is_foreign(request) or (held.access and not self._origins.is_ours(request)):
            words = "a socket is opened by a page of this origin or of one in cors_origins"
            raise GatewayError(grpc.StatusCode.PERMISSION_DENIED, "ORIGIN_REFUSED", words)
        if not given:
            words = (
                "sign in: a session cookie, an Authorization header, the subprotocols solward.live.v1, bearer.TOKEN, "
                "or a ticket of POST /api/rpc/tickets"
            )
            raise GatewayError(grpc.StatusCode.UNAUTHENTICATED, "NOT_SIGNED_IN", words)
        return ("", ticket) if ticket else (given[0], "")

    def _must_have_room(self, access: Pass) -> None:
        if self._passes.of_caller(access.caller) >= self._limits.sockets:
            words = f"{access.caller} has {self._limits.sockets} sockets already"
            raise GatewayError(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIVE_SOCKETS", words)

    async def _keep_looking(self) -> None:
        """Ask those who say nothing whether they are there, for ever."""
        while True:
            await asyncio.sleep(self._limits.ping_s / 6)
            now = asyncio.get_running_loop().time()
            for socket in self._passes.sockets():
                if socket.asked and now - socket.heard > self._limits.ping_s * 1.5:
                    socket.abort()
                elif not socket.asked and now - socket.heard > self._limits.ping_s:
                    socket.ping()

    async def take(self, socket: Socket, text: str) -> None:
        """Do what a message asks for."""
        echo: dict[str, Any] = {}
        try:
            wish = _read(text)
            echo = {"id": wish["id"]} if "id" in wish else {}
            self._feeds.part(socket, wish.get("unsubscribe", ()))
            await self._subscribe(socket, wish.get("subscribe", []), echo)
            socket.tell({"subscribed": sorted(socket.topics)} | echo)
        except SolwardError as error:
            socket.tell({"error": errors.body_of(error.status())} | echo)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                # Whether all its sockets are to be closed is found out at once, and not here.
                socket.access.doubted = True
            socket.tell({"error": errors.body_of(errors.status_from(error))} | echo)

    async def _subscribe(self, socket: Socket, topics: list[str], echo: dict[str, Any]) -> None:
        new = [topic for topic in dict.fromkeys(topics) if topic not in socket.topics]
        if not new:
            return
        self._must_not_be_many(socket, new)
        await self._passes.ask(socket.access, new)
        allowed = [topic for topic in new if topic in socket.access.allowed]
        for topic in new:
            if topic not in allowed:
                self._refuse(socket, topic, echo)
        self._must_have_topics(socket, allowed)
        self._feeds.join(socket, allowed)

    def _must_have_topics(self, socket: Socket, topics: list[str]) -> None:
        """Refuse more topics than one client may have, or all together."""
        self._must_not_be_many(socket, topics)
        if not self._feeds.have_room(socket.access.view, topics):
            words = "too many topics are watched by all together; try again later"
            raise GatewayError(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIVE_FULL", words)

    def _must_not_be_many(self, socket: Socket, new: list[str]) -> None:
        limits = self._limits
        if len(socket.topics) + len(new) > limits.topics or len(socket.access.topics().union(new)) > limits.all_topics:
            words = f"a socket has at most {limits.topics} topics, one credential {limits.all_topics} different ones"
            raise GatewayError(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIVE_TOPICS", words, field="subscribe")

    def _refuse(self, socket: Socket, topic: str, echo: dict[str, Any]) -> None:
        status = _refusal(socket.access, topic).status()
        socket.tell({"error": errors.body_of(status), "topic": topic} | echo)

    def _changed(self, access: Pass) -> None:
        """Move a credential's sockets to where they may be now."""
        for socket in list(access.sockets):
            lost = [topic for topic in socket.topics if topic not in access.allowed]
            self._feeds.part(socket, lost)
            for topic in lost:
                self._refuse(socket, topic, {})
            moved = [topic for topic, crowd in socket.topics.items() if crowd.feed.view != access.view]
            self._feeds.part(socket, moved)
            self._feeds.join(socket, moved)
            if lost and not socket.topics:
                socket.close(NOT_ALLOWED, "you may watch none of your topics any more")


_CODES = {"TOPIC_UNKNOWN": grpc.StatusCode.INVALID_ARGUMENT, "HOST_NOT_FOUND": grpc.StatusCode.NOT_FOUND}


def _refusal(access: Pass, topic: str) -> GatewayError:
    found = access.refusals.get(topic)
    reason = found.reason if found else "PERMISSION_MISSING"
    words = found.message if found else "this topic may not be watched"
    error = GatewayError(_CODES.get(reason, grpc.StatusCode.PERMISSION_DENIED), reason, words)
    error.metadata = {"topic": topic}
    return error


def _must_upgrade(request: web.Request) -> None:
    if hdrs.UPGRADE not in request.headers:
        words, upgrade = "this path is for WebSockets: docs/live.md", {"Upgrade": "websocket"}
        code = grpc.StatusCode.FAILED_PRECONDITION
        raise GatewayError(code, "UPGRADE_WANTED", words, http_status=426, headers=upgrade)


def _must_know(request: web.Request, *names: str) -> None:
    """Refuse a parameter that there is not; its value may be a secret, and is not told."""
    if unknown := sorted(request.query.keys() - {"ticket", *names}):
        words = "a token goes into a header, never a URL; a ticket into ?ticket="
        raise bad_request(f"there is no parameter {unknown[0][:80]!r}; {words}", unknown[0][:80])


def _ticket(request: web.Request) -> str:
    given = request.query.getall("ticket", ())
    if len(given) > 1:
        raise bad_request("the ticket is there once", "ticket")
    if given and not _TICKET.fullmatch(given[0]):
        raise bad_request("a ticket is what POST /api/rpc/tickets answers with", "ticket")
    return given[0] if given else ""


def _bearer(request: web.Request) -> str:
    given = request.headers.getall(hdrs.AUTHORIZATION, ())
    found = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    if given and not found:
        raise bad_request("the header Authorization is there once, and is: Bearer TOKEN")
    return found[1] if found else ""


def _offered(request: web.Request) -> str:
    offers = [
        one.strip() for line in request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ()) for one in line.split(",")
    ]
    tokens = [one.removeprefix(TOKEN) for one in offers if one.startswith(TOKEN)]
    if offers and (PROTOCOL not in offers or len(tokens) > 1 or len(offers) > 1 + len(tokens)):
        # A library that finds none of its own would log them all, and a token may be among them.
        raise bad_request(f"the subprotocols are {PROTOCOL} and, for a token, {TOKEN}TOKEN")
    return tokens[0] if tokens and _TOKEN.fullmatch(tokens[0]) else ""


def _read(text: str) -> dict[str, Any]:
    try:
        wish = strict_json.loads(text)
    except RecursionError:
        raise bad_request("a message is nested too deeply") from None
    except ValueError as error:
        raise bad_request(f"a message is a JSON object: {error}") from None
    if not isinstance(wish, dict) or not wish.keys() & {"subscribe", "unsubscribe"}:
        raise bad_request('a message is {"subscribe": [TOPIC, ...]} or {"unsubscribe": [TOPIC, ...]}')
    if unknown := sorted(wish.keys() - {"subscribe", "unsubscribe", "id"}):
        raise bad_request(f"there is no {unknown[0][:80]!r} in a message", unknown[0][:80])
    for name in ("subscribe", "unsubscribe"):
        if not _are_topics(wish.get(name, [])):
            raise bad_request(f"{name} is a list of topics, each of 80 characters at the most", name)
    if not isinstance(wish.get("id", ""), str) or len(wish.get("id", "")) > 64:
        raise bad_request("id is a text of 64 characters at the most", "id")
    return wish


def _are_topics(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and len(one) <= 80 for one in value)
