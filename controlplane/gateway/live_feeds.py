"""Feeds: streams of live topics from the control plane, each shared by everybody who may see the same."""

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import grpc
import structlog
from prometheus_client import Counter
from solward.metrics.v1 import topics_pb2 as pb

from common.breaker import Breaker, BreakerOpen
from controlplane.gateway.live_access import Pass
from controlplane.gateway.live_socket import Socket

log = structlog.get_logger(__name__)

WATCH = "/solward.metrics.v1.MetricsService/WatchTopics"
# So many sockets share one feed; more have another, whose frames are made at another moment of the second.
CROWD = 2_000
# Feeds at once; the server takes 500 streams of a connection.
FEEDS = 300
# A feed that says nothing for so long is begun anew.
SILENT_S = 10.0
_AT_ONCE = 100
_RETRY_S, _LONGEST_RETRY_S = 0.25, 5.0
# The server's word on the credential that the feed was opened with, or on one of its topics.
_DOUBTS = (
    grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT,
)  # fmt: skip
_SENT = Counter("solward_live_frames", "Frames that the live door handed to clients.")


class Crowd:
    """Sockets that are sent one topic by one feed."""

    __slots__ = ("feed", "members", "topic")

    def __init__(self, topic: str, feed: "Feed") -> None:
        self.topic = topic
        self.feed = feed
        self.members: dict[Socket, None] = {}


class Feed:
    """One stream from the control plane, of topics that were asked for together."""

    def __init__(self, view: str) -> None:
        self.view = view
        self.crowds: dict[str, Crowd] = {}
        self.task: asyncio.Task[None] | None = None

    def passes(self) -> set[Pass]:
        """List the credentials of all who watch."""
        return {socket.access for crowd in self.crowds.values() for socket in crowd.members}


class Feeds:
    """Begins a feed for the first who watches a topic, and ends it after the last.

    Args:
        channel: to the gRPC server.
        breaker: of that server.
    """

    def __init__(self, channel: Any, breaker: Breaker) -> None:
        self._watch = channel.unary_stream(
            WATCH,
            request_serializer=pb.WatchTopicsRequest.SerializeToString,
            response_deserializer=pb.WatchTopicsResponse.FromString,
        )
        self._breaker = breaker
        self._feeds: set[Feed] = set()
        self._crowds: dict[tuple[str, str], list[Crowd]] = {}

    def have_room(self, view: str, topics: Iterable[str]) -> bool:
        """Whether one more socket may watch topics: by feeds that there are, or by one more."""
        return len(self._feeds) < FEEDS or all(self._crowd(view, topic) for topic in topics)

    def join(self, socket: Socket, topics: Iterable[str]) -> None:
        """Put a socket among those who watch topics; those of them that no feed carries yet come by a new one."""
        feed = Feed(socket.access.view)
        for topic in topics:
            crowd = self._crowd(feed.view, topic)
            if crowd is None:
                crowd = feed.crowds[topic] = Crowd(topic, feed)
                self._crowds.setdefault((feed.view, topic), []).append(crowd)
            crowd.members[socket] = None
            socket.topics[topic] = crowd
        if feed.crowds:
            self._feeds.add(feed)
            feed.task = asyncio.create_task(self._run(feed), name="live feed")

    def part(self, socket: Socket, topics: Iterable[str]) -> None:
        """Take a socket from among those who watch topics."""
        for topic in topics:
            crowd = socket.topics.pop(topic, None)
            if crowd is None:
                continue
            crowd.members.pop(socket, None)
            if not crowd.members:
                self._dissolve(crowd)

    async def close(self) -> None:
        """End every feed."""
        tasks = [feed.task for feed in self._feeds if feed.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _crowd(self, view: str, topic: str) -> Crowd | None:
        """Find a crowd that has room."""
        return next((one for one in self._crowds.get((view, topic), ()) if len(one.members) < CROWD), None)

    def _dissolve(self, crowd: Crowd) -> None:
        # Whoever comes later begins another: this feed may be begun anew without the topic.
        feed, place = crowd.feed, (crowd.feed.view, crowd.topic)
        crowds = self._crowds[place]
        crowds.remove(crowd)
        if not crowds:
            del self._crowds[place]
        del feed.crowds[crowd.topic]
        if not feed.crowds and feed.task:
            feed.task.cancel()

    async def _run(self, feed: Feed) -> None:
        wait_s = _RETRY_S
        try:
            while feed.crowds:
                try:
                    self._breaker.before()
                    if await self._follow(feed):
                        wait_s = _RETRY_S
                except BreakerOpen as error:
                    wait_s = max(_RETRY_S, error.retry_s)
                except Exception:
                    log.exception("a live feed failed; beginning anew", topics=list(feed.crowds)[:10])
                await asyncio.sleep(min(wait_s, _LONGEST_RETRY_S) * random.uniform(0.8, 1.2))  # noqa: S311
                wait_s *= 2
        finally:
            self._feeds.discard(feed)

    async def _follow(self, feed: Feed) -> bool:
        """Hand frames on until the stream ends; gives whether there were any."""
        carrier = random.choice(list(feed.passes()))  # noqa: S311
        call = self._watch(pb.WatchTopicsRequest(topics=list(feed.crowds)), metadata=carrier.metadata)
        any_came = False
        try:
            while True:
                async with asyncio.timeout(SILENT_S):
                    response = await call.read()
                if response is grpc.aio.EOF:
                    return any_came
                self._breaker.succeeded()
                any_came = True
                if response.view != feed.view:
                    # The credential that carries it sees something else now. What its fellows see must be asked, and
                    # one of those who stay has to carry it.
                    self._doubt(feed)
                    return False
                await self._hand_on(feed, response)
        except TimeoutError:
            self._breaker.failed()
        except grpc.aio.AioRpcError as error:
            if error.code() in _DOUBTS:
                self._breaker.succeeded()
                self._doubt(feed)
            else:
                self._breaker.failed()
        finally:
            call.cancel()
        return any_came

    async def _hand_on(self, feed: Feed, response: pb.WatchTopicsResponse) -> None:
        crowd = feed.crowds.get(response.topic)
        if crowd is None:
            return
        # Written once for each kind of client.
        frames: dict[type[Socket], bytes] = {}
        now = asyncio.get_running_loop().time()
        for place, socket in enumerate(list(crowd.members)):
            if place % _AT_ONCE == _AT_ONCE - 1:
                # What was written leaves, and others have the loop.
                await asyncio.sleep(0)
            # It may have left, or be one who may no longer see this, meanwhile.
            if socket in crowd.members:
                kind = type(socket)
                if kind not in frames:
                    frames[kind] = kind.written(response.frame)
                socket.push(frames[kind], now)
        _SENT.inc(len(crowd.members))

    def _doubt(self, feed: Feed) -> None:
        for one in feed.passes():
            one.doubted = True
