"""Who may watch: the control plane's word on each credential, asked for again while sockets are open."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import grpc
import structlog
from solward.metrics.v1 import topics_pb2 as pb

from common.breaker import Breaker, BreakerOpen
from controlplane.gateway import errors
from controlplane.gateway.errors import GatewayError
from controlplane.gateway.headers import Metadata
from controlplane.gateway.live_socket import NOT_ALLOWED, SIGNED_OUT, UNCERTAIN, Socket

log = structlog.get_logger(__name__)

CHECK = "/solward.metrics.v1.MetricsService/CheckTopics"
# With which a ticket goes to the control plane; no client can send it itself.
TICKET_KEY = "solward-ticket"
# How long the control plane's word is good, when without it the sockets are closed, and how long it may take to come:
# whoever is signed out is cut off within the first and the last together.
GOOD_S, UNCERTAIN_S, DEADLINE_S = 15.0, 25.0, 5.0
_AT_ONCE = 32
_SAID_NO = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_NO_WORD = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Pass:
    """One credential, what it may watch, and its sockets.

    Attributes:
        metadata: with which the control plane is asked in its name.
        caller: whose it is.
        view: stands for what it may see.
        allowed: topics that it may watch.
        checked: when the control plane was last asked and answered, by the loop's clock.
        users: sockets, and those about to be.
        doubted: ask again soon.
    """

    def __init__(self, token: str, metadata: Metadata) -> None:
        self.token = token
        self.metadata = metadata
        self.caller = self.view = ""
        self.allowed: set[str] = set()
        self.refusals: dict[str, pb.TopicRefusal] = {}
        self.sockets: set[Socket] = set()
        self.checked = float("-inf")
        self.users = 0
        self.doubted = False
        self.lock = asyncio.Lock()

    def topics(self) -> set[str]:
        """Everything that its sockets are subscribed to."""
        return {topic for socket in self.sockets for topic in socket.topics}


class Passes:
    """Every credential that has sockets.

    Args:
        channel: to the gRPC server.
        breaker: of that server.
        changed: is told of one that may watch something else than before.
    """

    def __init__(self, channel: Any, breaker: Breaker, changed: Callable[[Pass], None]) -> None:
        self._check = channel.unary_unary(
            CHECK,
            request_serializer=pb.CheckTopicsRequest.SerializeToString,
            response_deserializer=pb.CheckTopicsResponse.FromString,
        )
        self._breaker = breaker
        self._changed = changed
        self._all: dict[str, Pass] = {}
        self._emptied = asyncio.Event()

    def sockets(self) -> list[Socket]:
        """List every socket."""
        return [socket for one in self._all.values() for socket in one.sockets]

    def of_caller(self, caller: str) -> int:
        """Count a caller's sockets, of all its credentials."""
        return sum(len(one.sockets) for one in self._all.values() if one.caller == caller)

    async def hold(self, token: str, metadata: Metadata) -> Pass:
        """Let a credential in, for one more user; raises as `ask` does."""
        one = self._all.setdefault(token, Pass(token, metadata))
        one.users += 1
        try:
            await self.ask(one)
        except BaseException:
            self.release(one)
            raise
        return one

    async def spend(self, ticket: str, metadata: Metadata) -> str:
        """Trade a ticket for a token that watches live topics; raises as `ask` does.

        Args:
            ticket: as the client gave it; it is good for nothing more then.
            metadata: of a request without a credential.
        """
        reply = await self._answer(pb.CheckTopicsRequest(), [*metadata, (TICKET_KEY, ticket)])
        return str(reply.live_token)

    def release(self, one: Pass) -> None:
        """Let go of a credential; it is forgotten with its last user."""
        one.users -= 1
        if not one.users:
            del self._all[one.token]
            self._emptied.set()

    async def empty(self) -> None:
        """Wait until there is no credential."""
        while self._all:
            self._emptied.clear()
            await self._emptied.wait()

    async def ask(self, one: Pass, topics: Iterable[str] = ()) -> None:
        """Know what a credential may watch: by the word that is still good, or by asking.

        Args:
            one: the credential.
            topics: besides those that it is known to watch.

        Raises:
            AioRpcError: the control plane refused, or did not answer.
            GatewayError: it is not asked, because it has not answered for a while.
        """
        more = set(topics)
        async with one.lock:
            fresh = asyncio.get_running_loop().time() - one.checked < GOOD_S and not one.doubted
            if not fresh or not more <= one.allowed:
                await self._ask(one, one.topics() | more)

    async def keep_asking(self) -> None:
        """Ask again for ever, once a while for each credential."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def again(one: Pass) -> None:
            async with gate:
                await self._again(one)

        while True:
            await asyncio.sleep(1.0)
            # A second early, so that nobody who subscribes meanwhile has to wait for it.
            due = asyncio.get_running_loop().time() - GOOD_S + 1.0
            await asyncio.gather(*(again(one) for one in list(self._all.values()) if one.doubted or one.checked < due))

    async def _again(self, one: Pass) -> None:
        try:
            async with one.lock:
                await self._ask(one, one.topics())
        except grpc.aio.AioRpcError as error:
            if error.code() in _SAID_NO:
                code = SIGNED_OUT if error.code() is grpc.StatusCode.UNAUTHENTICATED else NOT_ALLOWED
                self._close(one, code, errors.status_from(error).message)
                return
            self._close_uncertain(one)
        except GatewayError:
            self._close_uncertain(one)
        except Exception:
            log.exception("a credential could not be looked at again")
            self._close_uncertain(one)

    async def _ask(self, one: Pass, topics: set[str]) -> None:
        asked = asyncio.get_running_loop().time()
        reply = await self._answer(pb.CheckTopicsRequest(topics=sorted(topics)), one.metadata)
        refusals = {refusal.topic: refusal for refusal in reply.refusals}
        before = one.view
        one.caller, one.view, one.refusals = reply.caller, reply.view, refusals
        one.allowed = topics - refusals.keys()
        one.checked, one.doubted = asked, False
        if one.view != before or one.topics() - one.allowed:
            self._changed(one)

    async def _answer(self, request: pb.CheckTopicsRequest, metadata: Metadata) -> pb.CheckTopicsResponse:
        try:
            self._breaker.before()
        except BreakerOpen as error:
            words = "the control plane cannot be reached; try again in a moment"
            raise GatewayError(grpc.StatusCode.UNAVAILABLE, "CONTROL_PLANE_DOWN", words) from error
        try:
            reply: pb.CheckTopicsResponse = await self._check(request, timeout=DEADLINE_S, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() in _NO_WORD:
                self._breaker.failed()
            else:
                self._breaker.succeeded()
            raise
        self._breaker.succeeded()
        return reply

    def _close(self, one: Pass, code: int, words: str) -> None:
        for socket in list(one.sockets):
            socket.close(code, words)

    def _close_uncertain(self, one: Pass) -> None:
        if asyncio.get_running_loop().time() - one.checked >= UNCERTAIN_S - DEADLINE_S:
            self._close(one, UNCERTAIN, "the control plane does not answer whether you may watch; try again")
