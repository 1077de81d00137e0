"""Who may watch live topics, and what a client of the live door can do to others: nothing."""

import asyncio
import json
import socket as sockets
import ssl
from pathlib import Path

import aiohttp
import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from solward.auth.v1 import auth_pb2
from solward.metrics.v1 import topics_pb2 as pb

from controlplane.gateway import live_access, live_socket
from controlplane.store.tables import users
from tests.support.access import grant
from tests.support.browser import Browser
from tests.support.live import PATH, Samples, viewer
from tests.support.plane import Person, Plane, Refused, control_plane

METRICS = "solward.metrics.v1.MetricsService"
COOKIE = "__Host-solward-access"


async def _refused(plane: Plane, token: str = "", **options: object) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with viewer(plane, token, **options):
            pass
    return refused.value.status


async def _check(plane: Plane, who: Person, *topics: str) -> pb.CheckTopicsResponse:
    return await plane.call(f"{METRICS}/CheckTopics", pb.CheckTopicsRequest(topics=topics), pb.CheckTopicsResponse, who)


async def test_a_credential_comes_by_header_cookie_or_subprotocol_and_never_by_url(plane: Plane) -> None:
    person = await plane.sign_in("viewer")
    offers = ("solward.live.v1", f"bearer.{person.token}")
    async with viewer(plane, person.token) as by_header, viewer(plane, protocols=offers) as by_protocol:
        assert by_protocol.socket.protocol == "solward.live.v1"
        for one in (by_header, by_protocol):
            await one.say(subscribe=["fleet"], id="1")
            assert await one.next("subscribed") == {"subscribed": ["fleet"], "id": "1"}
            assert (await one.next("topic"))["fleet"] == {}
    assert await _refused(plane) == 401
    assert await _refused(plane, "no.such.token") == 401
    assert await _refused(plane, path=f"{PATH}?access_token={person.token}") == 400
    assert await _refused(plane, person.token, protocols=offers) == 400
    assert await _refused(plane, protocols=("chat",)) == 400
    async with Browser(plane) as browser:
        assert (await browser.send("GET", PATH)).status == 426


async def test_case_25_a_page_of_another_origin_opens_no_socket(plane: Plane) -> None:
    person = await plane.add_person("viewer")
    async with Browser(plane) as browser:
        await browser.sign_in(person)
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
        async with viewer(plane, headers=cookie | {"Origin": browser.base}) as own:
            await own.say(subscribe=["alerts"])
            assert (await own.next("topic"))["alerts"] == {}
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}):
            assert await _refused(plane, headers=cookie | headers) == 403
        token = browser.cookies[COOKIE]
        assert await _refused(plane, token, headers={"Origin": "https://evil.example"}) == 403
        assert await _refused(plane, token, headers=cookie | {"Origin": browser.base}) == 400


async def test_each_sees_the_hosts_that_it_reaches_and_no_others(tmp_path: Path) -> None:
    async with control_plane(tmp_path, require_second_factor=False) as plane:
        admin, dave = await plane.sign_in(), await plane.sign_in("none")
        for name in ("sol-1", "sol-2"):
            await plane.add_machine(admin, name)
            Samples(plane.app.watching.ingest, name).send()
        carol = await plane.sign_in("none")
        await grant(plane, admin, carol.name, "viewer", "hosts/sol-1")
        async with viewer(plane, admin.token) as whole, viewer(plane, carol.token) as part:
            for one in (whole, part):
                await one.say(subscribe=["fleet", "hosts/sol-1/rpc"])
            assert {row["host"] for row in (await whole.next("fleet"))["fleet"]["hosts"]} == {
                "hosts/sol-1", "hosts/sol-2",
            }  # fmt: skip
            for _ in range(2):
                assert [row["host"] for row in (await part.next("fleet"))["fleet"]["hosts"]] == ["hosts/sol-1"]
            assert (await part.next("rpc"))["rpc"]["methods"][0]["p50Ms"] == 10.0
            # Whether there is such a host is not told.
            for host in ("sol-2", "there-is-none"):
                await part.say(subscribe=[f"hosts/{host}/score"])
                assert await part.reason() == "PERMISSION_MISSING"
            await whole.say(subscribe=["hosts/there-is-none/rpc", "nonsense", "alerts"])
            assert [await whole.reason(), await whole.reason()] == ["HOST_NOT_FOUND", "TOPIC_UNKNOWN"]
            assert (await whole.next("subscribed"))["subscribed"] == ["alerts", "fleet", "hosts/sol-1/rpc"]
        second = await plane.sign_in("viewer")
        views = [(await _check(plane, who, "fleet")).view for who in (admin, second, carol)]
        assert views[0] == views[1] != views[2]
        with pytest.raises(Refused, match="PERMISSION_MISSING"):
            await _check(plane, dave, "fleet")


async def test_case_26_who_signs_out_or_is_demoted_is_cut_off(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_access, "GOOD_S", 2.0)
    leaver, demoted, other = [await plane.sign_in("viewer") for _ in range(3)]
    async with (
        viewer(plane, leaver.token) as one, viewer(plane, demoted.token) as two, viewer(plane, other.token) as three,
    ):  # fmt: skip
        for each in (one, two, three):
            await each.say(subscribe=["fleet"])
            await each.next("topic")
        await plane.call("solward.auth.v1.AuthService/Logout", auth_pb2.LogoutRequest(), Empty, leaver)
        async with plane.app.records.engine.begin() as connection:
            await connection.execute(users.update().where(users.c.uid == demoted.uid).values(role="none"))
        assert await one.close_code(10) == 4401
        assert await two.close_code(10) == 4403
        # They shared one stream, and it was opened by any of them; it goes on for those who stay.
        for _ in range(3):
            await three.next("topic", within_s=5)


async def test_words_that_are_not_understood_are_answered_and_floods_end(plane: Plane) -> None:
    person = await plane.sign_in("viewer")
    async with viewer(plane, person.token) as one:
        for text in (
            "no json", "[]", "{}", "[" * 3000, '{"subscribe": "fleet"}', '{"subscribe": [1]}', '{"sub": []}',
            '{"subscribe": [], "x": 1}', '{"subscribe": [], "id": 1}', json.dumps({"subscribe": ["x" * 81]}),
        ):  # fmt: skip
            await one.socket.send_str(text)
            assert await one.reason() == "REQUEST_MALFORMED"
        await one.say(subscribe=[f"hosts/h{number}/rpc" for number in range(33)])
        assert await one.reason() == "LIVE_TOPICS"
        for _ in range(60):
            await one.say(unsubscribe=["fleet"])
        assert await one.close_code(5) == 4429
    async with viewer(plane, person.token) as one:
        await one.socket.send_bytes(b"{}")
        assert await one.close_code(5) == 1003
    async with viewer(plane, person.token) as one:
        await one.socket.send_str("x" * 5000)
        # Where the rest of it was on its way, the client's kernel may not let it see the reason.
        assert await one.close_code(5) in (1009, 1006)


async def test_unsubscribed_is_silent_and_nobody_watching_is_no_work(plane: Plane) -> None:
    person = await plane.sign_in("viewer")
    topics = plane.app.watching.topics
    async with viewer(plane, person.token) as one:
        await one.say(subscribe=["fleet"])
        await one.next("topic")
        assert topics.watchers == 1
        await one.say(unsubscribe=["fleet"])
        assert await one.next("subscribed") == {"subscribed": []}
        with pytest.raises(TimeoutError):
            await one.next("topic", within_s=2.0)
        assert topics.watchers == 0


async def test_a_client_that_does_not_read_is_closed_and_holds_nobody_up(plane: Plane) -> None:
    person = await plane.sign_in("viewer")
    # A large frame: what the kernels keep for a client is filled sooner.
    for number in range(500):
        Samples(plane.app.watching.ingest, f"h{number}-{'x' * 50}").send()
    context = ssl.create_default_context(cadata=plane.installation.ca.pem)
    raw = sockets.socket()
    # What the kernels keep for a client is no business of the door; here it is little.
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", plane.app.gateway_port))
    reader, writer = await asyncio.open_connection(sock=raw, ssl=context, server_hostname="localhost", limit=1024)
    writer.write(
        f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {person.token}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert b" 101 " in await reader.readline()
    text = json.dumps({"subscribe": ["fleet"]}).encode()
    writer.write(bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text)
    async with viewer(plane, person.token) as other:
        await other.say(subscribe=["fleet"])
        gone = asyncio.ensure_future(_until_alone(plane))
        while not gone.done():
            await other.next("topic", within_s=4)
        await gone
    writer.transport.abort()


async def _until_alone(plane: Plane) -> None:
    """Wait until one socket is left."""
    # Sooner than the kernel would give up.
    async with asyncio.timeout(20):
        while live_socket.SOCKETS._value.get() != 1:
            await asyncio.sleep(0.2)


async def test_a_caller_has_so_many_sockets_and_an_rpc_is_refused_for_topics_out_of_reach(plane: Plane) -> None:
    person = await plane.sign_in("viewer")
    call = plane.channel().unary_stream(
        f"/{METRICS}/WatchTopics", pb.WatchTopicsRequest.SerializeToString, pb.WatchTopicsResponse.FromString
    )
    metadata = (("authorization", f"Bearer {person.token}"),)
    frames = call(pb.WatchTopicsRequest(topics=["fleet", "alerts"]), metadata=metadata)
    assert [(await frames.read()).topic for _ in range(4)] == ["fleet", "alerts"] * 2
    frames.cancel()
    for topics, code in (([], grpc.StatusCode.INVALID_ARGUMENT), (["hosts/x/rpc"], grpc.StatusCode.NOT_FOUND)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(pb.WatchTopicsRequest(topics=topics), metadata=metadata).read()
        assert refused.value.code() == code
