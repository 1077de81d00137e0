"""Logs: asked for and followed only of hosts that one may see; what an agent logs raises no alert."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from solward.alerts.v1 import alerts_pb2
from solward.auth.v1 import access_pb2
from solward.hosts.v1 import link_pb2
from solward.metrics.v1 import logs_pb2 as pb

from common.clock import now_ms
from controlplane.alerts.findings import MAX_A_MINUTE, MAX_LINES_A_MINUTE
from controlplane.telemetry.logs import feed
from tests.peers.loki import LokiPeer
from tests.security.test_reach import scoped
from tests.support.access import ACCESS, grant
from tests.support.plane import Machine, Person, Plane, control_plane
from tests.support.ports import free_ports
from tests.support.stream import refused

LOGS = "solward.metrics.v1.LogsService"
ALERTS = "solward.alerts.v1.AlertsService"
HOSTS = ("sol-1", "sol-2", "sol-3")
SPOOL = "5" * 32
INFO, CRITICAL = link_pb2.SEVERITY_INFO, link_pb2.SEVERITY_CRITICAL


class World:
    """A control plane, its hosts, and what they say."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.machines: dict[str, Machine] = {}
        self.sequence = 0

    async def begin(self) -> Person:
        self.admin = await self.plane.sign_in()
        for name in HOSTS:
            self.machines[name] = await self.plane.add_machine(self.admin, name)
        return self.admin

    async def say(self, host: str, *messages: str, **more: Any) -> None:
        self.sequence += 1
        wanted = {"kind": "agent.log", "severity": INFO, "unix_ms": now_ms()} | more
        events = [link_pb2.Event(message=message, **wanted) for message in messages]
        batch = link_pb2.EventBatch(sequence=self.sequence, events=events)
        await self.plane.app.watching.findings.take(self.machines[host].uid, host, SPOOL, batch)

    async def ask(self, who: Person, **wanted: Any) -> list[str]:
        found, token = [], ""
        while True:
            request = pb.QueryLogsRequest(page_token=token, **wanted)
            page = await self.plane.call(f"{LOGS}/QueryLogs", request, pb.QueryLogsResponse, who)
            found += [entry.event.message for entry in page.entries]
            token = page.next_page_token
            if not token:
                return found

    def tail(self, who: Person, **wanted: Any) -> grpc.aio.UnaryStreamCall[pb.TailLogsRequest, pb.TailLogsResponse]:
        invoke = self.plane.channel().unary_stream(
            f"/{LOGS}/TailLogs", pb.TailLogsRequest.SerializeToString, pb.TailLogsResponse.FromString
        )
        return invoke(pb.TailLogsRequest(**wanted), metadata=(("authorization", f"Bearer {who.token}"),))

    async def until_heard(self, listeners: int = 1) -> None:
        while len(self.plane.app.watching.logs.feed._listeners) != listeners:
            await asyncio.sleep(0.01)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with control_plane(tmp_path, require_second_factor=False) as plane:
        made = World(plane)
        await made.begin()
        async with asyncio.timeout(60):
            yield made


async def test_a_caller_sees_only_what_a_grant_reaches(world: World) -> None:
    for name in HOSTS:
        await world.say(name, f"of {name}")
    assert sorted(await world.ask(world.admin)) == [f"of {name}" for name in HOSTS]
    carol = await scoped(world.plane, world.admin, "hosts/sol-2", "hosts/sol-3")
    assert sorted(await world.ask(carol)) == ["of sol-2", "of sol-3"]
    assert await world.ask(carol, hosts=["hosts/sol-2"]) == ["of sol-2"]
    for name in ("hosts/sol-1", "hosts/none"):
        refusal = await refused(world.ask(carol, hosts=["hosts/sol-2", name]))
        assert (refusal.code.name, refusal.reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
    assert (await refused(world.ask(world.admin, hosts=["hosts/none"]))).reason == "HOST_NOT_FOUND"
    nobody = await world.plane.sign_in("none")
    assert (await refused(world.ask(nobody))).reason == "PERMISSION_MISSING"


async def test_pages_go_on_where_they_were_though_more_arrives(world: World) -> None:
    words = [f"line {number}" for number in range(25)]
    await world.say("sol-1", *words)
    request = pb.QueryLogsRequest(page_size=10)
    first = await world.plane.call(f"{LOGS}/QueryLogs", request, pb.QueryLogsResponse, world.admin)
    await world.say("sol-1", "late")
    rest = await world.ask(world.admin, page_size=10)
    assert rest == ["late", *words[::-1]]
    request.page_token = first.next_page_token
    second = await world.plane.call(f"{LOGS}/QueryLogs", request, pb.QueryLogsResponse, world.admin)
    assert [entry.event.message for entry in second.entries] == words[5:15][::-1]
    assert await world.ask(world.admin, page_size=7, oldest_first=True) == [*words, "late"]
    # Of another question, or of another's.
    request.text = "other"
    refusal = await refused(world.plane.call(f"{LOGS}/QueryLogs", request, pb.QueryLogsResponse, world.admin))
    assert refusal.reason == "INVALID_FIELD"
    request.text, carol = "", await scoped(world.plane, world.admin, "hosts/sol-2")
    other = await world.plane.call(f"{LOGS}/QueryLogs", request, pb.QueryLogsResponse, carol)
    assert not other.entries


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"min_severity": 77}, "min_severity"),
        ({"kind": "validator."}, "kind"),
        ({"fields": ["novalue"]}, "fields"),
        ({"fields": ["a b=c"]}, "fields"),
        ({"hosts": ["sol-1"]}, "hosts"),
        ({"text": "x" * 513}, "text"),
        ({"page_size": 1001}, "page_size"),
        ({"start_time": Timestamp(seconds=2), "end_time": Timestamp(seconds=2)}, "start_time"),
        ({"start_time": Timestamp(seconds=-2), "end_time": Timestamp(seconds=2)}, "start_time"),
        ({"end_time": Timestamp(seconds=253_000_000_000)}, "start_time"),
    ],
)
async def test_a_bad_question_is_told_what_is_wrong_with_it(world: World, asked: dict[str, Any], says: str) -> None:
    refusal = await refused(world.ask(world.admin, **asked))
    assert refusal.code.name == "INVALID_ARGUMENT"
    assert says in refusal.message


async def test_a_follower_hears_the_latest_and_then_each_once(world: World) -> None:
    await world.say("sol-1", *(f"old {number}" for number in range(5)))
    call = world.tail(world.admin, backlog=3)
    assert [entry.event.message for entry in (await call.read()).entries] == ["old 2", "old 3", "old 4"]
    await world.say("sol-2", "new", "newer")
    heard = await call.read()
    assert [(entry.host, entry.event.message) for entry in heard.entries] == [
        ("hosts/sol-2", "new"), ("hosts/sol-2", "newer"),
    ]  # fmt: skip
    call.cancel()
    filtered = world.tail(world.admin, hosts=["hosts/sol-1"], min_severity=CRITICAL, text="b", fields=["a=1"])
    await world.until_heard()
    await world.say("sol-2", "b", severity=CRITICAL, attributes={"a": "1"})
    await world.say("sol-1", "b", severity=INFO, attributes={"a": "1"})
    await world.say("sol-1", "b", severity=CRITICAL, attributes={"a": "2"})
    await world.say("sol-1", "abc", severity=CRITICAL, attributes={"a": "1"})
    assert [entry.event.message for entry in (await filtered.read()).entries] == ["abc"]
    filtered.cancel()
    await world.until_heard(0)


async def test_case_26_a_follower_hears_no_host_whose_grant_has_ended(world: World) -> None:
    carol = await scoped(world.plane, world.admin, "hosts/sol-1")
    made = await grant(world.plane, world.admin, carol.name, "viewer", "hosts/sol-2")
    call = world.tail(carol)
    await world.until_heard()
    await world.say("sol-3", "not hers")
    await world.say("sol-2", "before")
    assert [entry.event.message for entry in (await call.read()).entries] == ["before"]
    end = access_pb2.EndGrantRequest(name=made.name)
    await world.plane.call(f"{ACCESS}/EndGrant", end, access_pb2.Grant, world.admin)
    # The stream looks again every two seconds.
    await asyncio.sleep(2.2)
    await world.say("sol-2", "after")
    await world.say("sol-1", "mine")
    assert [entry.event.message for entry in (await call.read()).entries] == ["mine"]
    call.cancel()


async def test_a_follower_who_does_not_read_is_told_and_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "QUEUE", 2)
    with world.plane.app.watching.logs.feed.listening() as listener:
        for number in range(4):
            await world.say("sol-1", str(number))
        with pytest.raises(Exception, match="did not read"):
            while True:
                await listener.next()
    assert sorted(await world.ask(world.admin)) == ["0", "1", "2", "3"]


async def test_agents_lines_raise_no_alert_and_crowd_out_no_finding(world: World) -> None:
    flood = [f"line {number}" for number in range(1000)]
    await world.say("sol-1", *flood, severity=CRITICAL)
    await world.say("sol-1", *flood, severity=CRITICAL)
    assert len(await world.ask(world.admin, page_size=1000)) <= 2 * MAX_LINES_A_MINUTE
    assert MAX_LINES_A_MINUTE < MAX_A_MINUTE
    assert not world.plane.app.watching.book.open
    await world.say("sol-1", "a panic", kind="validator.panic", severity=CRITICAL)
    request = alerts_pb2.ListEventsRequest()
    found = await world.plane.call(f"{ALERTS}/ListEvents", request, alerts_pb2.ListEventsResponse, world.admin)
    assert [one.event.message for one in found.events] == ["a panic"]
    assert [alert.rule for alert in world.plane.app.watching.book.open.values()] == ["critical_finding"]
    assert await world.ask(world.admin, kind="validator") == ["a panic"]


async def test_where_loki_is_away_it_is_said_and_followers_hear_all_the_same(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    loki = {"url": f"http://127.0.0.1:{port}", "token": "canary-of-a-token"}
    peer = LokiPeer(authorization="Bearer canary-of-a-token")
    async with control_plane(tmp_path, require_second_factor=False, loki=loki) as plane, asyncio.timeout(60):
        world = World(plane)
        await world.begin()
        await world.say("sol-1", "kept")
        refusal = await refused(world.ask(world.admin))
        assert (refusal.code.name, refusal.reason) == ("UNAVAILABLE", "LOGS_DOWN")
        assert "--follow" in refusal.message
        assert "canary" not in refusal.message
        call = world.tail(world.admin, backlog=5)
        assert [entry.event.message for entry in (await call.read()).entries] == ["kept"]
        call.cancel()
        async with peer.serving(port):
            while not peer.lines:
                await asyncio.sleep(0.05)
            assert await world.ask(world.admin) == ["kept"]
            assert set(peer.queries) == {'{service_name="solward", cluster="solward.internal"}'}
            # Of what is in there, only this fleet's entries of hosts in reach come out.
            carol = await scoped(world.plane, world.admin, "hosts/sol-2")
            assert await world.ask(carol) == []
            assert 'host=~"sol-2"' in peer.queries[-1]
            peer.answers.append((422, {}))
            assert (await refused(world.ask(world.admin))).reason == "LOG_QUERY_REFUSED"
