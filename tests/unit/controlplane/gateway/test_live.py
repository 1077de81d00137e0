"""The live door's inner parts, on real connections: frames, slow readers, pings, crowds, and a server that is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType
from solward.metrics.v1 import topics_pb2 as pb

from controlplane.gateway import live_access, live_feeds, live_socket
from controlplane.gateway.live import LiveLimits
from controlplane.gateway.live_socket import wire
from controlplane.gateway.server import build_app
from tests.support.stand import TRUST, serving

SERVICE = "solward.metrics.v1.MetricsService"
# A frame that says which view it is of.
VIEW = "which view"


@dataclass
class Server:
    """A gRPC server that says what a test wants it to."""

    view: str = "v"
    frame: str = "{}"
    period_s: float = 0.05
    fails: grpc.StatusCode | None = None
    checks: int = 0
    streams: list[list[str]] = field(default_factory=list)
    open: int = 0
    moved: str = ""
    carriers: list[str] = field(default_factory=list)

    def seen_by(self, context: Any) -> str:
        self.carriers.append(dict(context.invocation_metadata())["authorization"])
        return "w" if self.carriers[-1] == self.moved else self.view

    async def check(self, request: pb.CheckTopicsRequest, context: grpc.aio.ServicerContext) -> pb.CheckTopicsResponse:  # type: ignore[type-arg]
        self.checks += 1
        if self.fails:
            await context.abort(self.fails, "as the test wants it")
        return pb.CheckTopicsResponse(caller="users/ana", view=self.seen_by(context))

    async def watch(self, request: pb.WatchTopicsRequest, context: object) -> AsyncIterator[pb.WatchTopicsResponse]:
        self.streams.append(sorted(request.topics))
        self.seen_by(context)
        carrier = self.carriers[-1]
        self.open += 1
        try:
            while True:
                for topic in request.topics:
                    view = "w" if carrier == self.moved else self.view
                    yield pb.WatchTopicsResponse(
                        topic=topic, view=view, frame=view if self.frame == VIEW else self.frame
                    )
                await asyncio.sleep(self.period_s)
        finally:
            self.open -= 1


@dataclass
class Door:
    server: Server
    session: ClientSession
    url: str

    async def join(self, *topics: str, token: str = "a.b.c") -> ClientWebSocketResponse:
        socket = await self.session.ws_connect(self.url, headers={"Authorization": f"Bearer {token}"}, autoping=False)
        if topics:
            await socket.send_json({"subscribe": list(topics)})
        return socket


@asynccontextmanager
async def door(limits: LiveLimits | None = None) -> AsyncIterator[Door]:
    said = Server()
    server = grpc.aio.server()
    handlers = {
        "CheckTopics": grpc.unary_unary_rpc_method_handler(
            said.check, pb.CheckTopicsRequest.FromString, pb.CheckTopicsResponse.SerializeToString
        ),
        "WatchTopics": grpc.unary_stream_rpc_method_handler(
            said.watch, pb.WatchTopicsRequest.FromString, pb.WatchTopicsResponse.SerializeToString
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        app = build_app(channel, [], TRUST, live=limits)
        async with ClientSession() as session, serving(app) as http_port:
            yield Door(said, session, f"http://127.0.0.1:{http_port}/api/rpc/ws")
    await server.stop(None)


async def until(wanted: object, look: object) -> None:
    assert callable(look)
    async with asyncio.timeout(10):
        while look() != wanted:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
async def test_a_frame_is_read_as_it_was_written_whatever_its_size(size: int) -> None:
    text = "x" * (size // 2) + "é" * (size // 4) + "y" * (size - size // 2 - size // 4 * 2)
    assert len(wire(text)) == size + (2 if size < 126 else 4 if size < 65_536 else 10)
    async with door() as made:
        made.server.frame = text
        socket = await made.join("fleet")
        assert (await socket.receive_json(timeout=5)) == {"subscribed": ["fleet"]}
        assert (await socket.receive_str(timeout=5)) == text
        await socket.close()


async def test_all_share_one_stream_and_one_credential_is_asked_for_once() -> None:
    async with door() as made:
        sockets = [await made.join("fleet", "alerts") for _ in range(10)]
        for socket in sockets:
            for _ in range(3):
                await socket.receive_str(timeout=5)
        assert made.server.streams == [["alerts", "fleet"]]
        # At the first connection, and for the first that asked for these topics.
        assert made.server.checks == 2
        other = await made.join("fleet", token="d.e.f")
        await other.receive_str(timeout=5)
        assert (len(made.server.streams), made.server.checks) == (1, 4)
        for socket in (*sockets, other):
            await socket.close()
        await until(0, lambda: made.server.open)


async def test_a_crowd_has_a_greatest_size_and_a_second_feed_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_feeds, "CROWD", 2)
    async with door() as made:
        sockets = [await made.join("fleet") for _ in range(5)]
        for socket in sockets:
            for _ in range(2):
                await socket.receive_str(timeout=5)
        assert made.server.streams == [["fleet"]] * 3
        monkeypatch.setattr(live_feeds, "FEEDS", 0)
        await sockets[0].send_json({"subscribe": ["alerts"]})
        async with asyncio.timeout(5):
            while "LIVE_FULL" not in await sockets[0].receive_str():
                pass


async def test_a_slow_reader_is_closed_and_the_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_socket, "BEHIND_S", 0.5)
    async with door() as made:
        made.server.frame = "x" * 400_000
        slow, quick = await made.join("fleet"), await made.join("fleet")
        slow._response.connection.transport.pause_reading()  # type: ignore[union-attr]
        async with asyncio.timeout(20):
            while live_socket.SOCKETS._value.get() > 1:
                assert len(await quick.receive_str()) > 10
        assert (await quick.receive_str()) == made.server.frame


async def test_a_client_that_says_nothing_is_asked_and_then_cut_off() -> None:
    async with door(LiveLimits(ping_s=0.6)) as made:
        made.server.period_s = 60
        there, gone = await made.join("fleet"), await made.join("fleet")
        async with asyncio.timeout(5):
            for _ in range(3):
                while (await there.receive()).type is not WSMsgType.PING:
                    pass
                await there.pong()
            while (await gone.receive()).type not in (WSMsgType.CLOSED, WSMsgType.ERROR):
                pass
        assert not there.closed


async def test_a_caller_has_so_many_sockets() -> None:
    async with door(LiveLimits(sockets=2)) as made:
        sockets = [await made.join(), await made.join(token="d.e.f")]
        response = await made.session.get(made.url, headers=_handshake("g.h.i"))
        assert response.status == 429
        assert (await response.json())["details"][0]["reason"] == "LIVE_SOCKETS"
        await sockets[0].close()
        await until(1, live_socket.SOCKETS._value.get)
        assert not (await made.join()).closed


async def test_without_the_control_planes_word_nobody_watches_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_access, "GOOD_S", 1.0)
    monkeypatch.setattr(live_access, "UNCERTAIN_S", live_access.DEADLINE_S + 2.0)
    async with door() as made:
        socket = await made.join("fleet")
        await socket.receive_str(timeout=5)
        made.server.fails = grpc.StatusCode.UNAVAILABLE
        async with asyncio.timeout(15):
            while (await socket.receive()).type is WSMsgType.TEXT:
                pass
        assert socket.close_code == 4503
        response = await made.session.get(made.url, headers=_handshake("a.b.c"))
        assert response.status == 503


async def test_frames_of_another_view_reach_nobody_until_it_is_known_whose_they_are() -> None:
    async with door() as made:
        socket = await made.join("fleet")
        await socket.receive_str(timeout=5)
        made.server.view, made.server.frame = "w", '"new"'
        async with asyncio.timeout(10):
            while await socket.receive_str() != '"new"':
                pass
        # It has moved to a feed of its own view; the one before was begun anew a few times until that was known.
        assert 2 <= len(made.server.streams) <= 5
        await until(1, lambda: made.server.open)


async def test_those_who_stay_are_served_on_when_whose_credential_carries_their_feed_sees_something_else() -> None:
    async with door() as made:
        made.server.frame = VIEW
        sockets = {f"Bearer {token}": await made.join("fleet", token=token) for token in ("a.b.c", "d.e.f")}
        for socket in sockets.values():
            await socket.receive_str(timeout=5)
            assert await socket.receive_str(timeout=5) == "v"
        # The first who came carries the feed of both.
        made.server.moved = "Bearer a.b.c"
        for who, socket in sockets.items():
            own = "w" if who == made.server.moved else "v"
            async with asyncio.timeout(10):
                for _ in range(3):
                    while await socket.receive_str() != own:
                        pass
        # What is in the sockets' queues by now came after the move.
        await asyncio.sleep(2.5)
        for who, socket in sockets.items():
            await socket.send_json({"subscribe": [], "id": "now"})
            async with asyncio.timeout(5):
                while "now" not in await socket.receive_str():
                    pass
                assert {await socket.receive_str() for _ in range(5)} == {"w" if who == made.server.moved else "v"}


async def test_the_gateway_says_good_bye() -> None:
    async with door() as made:
        socket = await made.join("fleet")
        await socket.receive_str(timeout=5)
        leaving = asyncio.create_task(_last(socket))
    assert await leaving == 1001


async def _last(socket: ClientWebSocketResponse) -> int | None:
    while (await socket.receive()).type is WSMsgType.TEXT:
        pass
    return socket.close_code


def _handshake(token: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token}", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip


async def events(door: Door, query: str, **headers: str) -> Any:
    url = door.url.replace("/ws", "/events") + query
    return await door.session.get(url, headers={"Authorization": "Bearer a.b.c"} | headers)


async def test_events_are_the_frames_of_the_sockets() -> None:
    async with door() as made:
        made.server.frame = '{"topic":"fleet"}'
        socket = await made.join("fleet")
        async with await events(made, "?topics=fleet") as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert await answer.content.readline() == b'data: {"topic":"fleet"}\n'
            assert await answer.content.readline() == b"\n"
            # Both kinds of client come by one stream.
            assert made.server.streams == [["fleet"]]
        await socket.close()
        async with asyncio.timeout(5):
            while made.server.open:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("query", ["", "?topics=", "?topic=fleet", "?topics=fleet&token=x", f"?topics={'x' * 81}"])
async def test_events_that_cannot_be_meant_are_refused(query: str) -> None:
    async with door() as made, await events(made, query) as answer:
        assert answer.status == 400
        assert (await answer.json())["details"][0]["reason"] == "REQUEST_MALFORMED"


async def test_events_need_a_credential_and_a_page_of_ours() -> None:
    async with door() as made:
        async with made.session.get(made.url.replace("/ws", "/events") + "?topics=fleet") as answer:
            assert answer.status == 401
        async with await events(made, "?topics=fleet", Origin="https://evil.example") as answer:
            assert answer.status == 403


async def test_a_listener_is_pinged_and_told_why_it_ends() -> None:
    async with door(LiveLimits(ping_s=0.3)) as made:
        made.server.period_s = 60
        answer = await events(made, "?topics=fleet")
        assert await answer.content.readline() == b"data: {}\n"
        assert await answer.content.readline() == b"\n"
        assert await answer.content.readline() == b": still here\n"
    # The gateway has ended.
    rest = await answer.content.read()
    assert b'event: end\ndata: {"code":1001,' in rest


async def test_listeners_of_one_credential_that_come_together_all_hear() -> None:
    async with door() as made:
        answers = await asyncio.gather(*(events(made, "?topics=fleet") for _ in range(8)))
        for answer in answers:
            async with asyncio.timeout(5):
                assert await answer.content.readline() == b"data: {}\n"
            answer.close()


async def test_more_topics_than_a_client_may_have_are_refused_at_once() -> None:
    async with door(LiveLimits(topics=2)) as made, await events(made, "?topics=a,b,c") as answer:
        assert answer.status == 429
        assert (await answer.json())["details"][0]["reason"] == "LIVE_TOPICS"
