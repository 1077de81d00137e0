"""Live topics: made once for all who may see the same, and not at all for nobody."""

import asyncio
import json
import time
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest
from google.protobuf import json_format
from solward.alerts.v1 import alerts_pb2
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2
from solward.metrics.v1 import topics_pb2 as pb

from controlplane.mev.bus import FRAME, TOPIC, BundleBus
from controlplane.telemetry.analysis import Analysis
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.topic_makers import RPC_SECONDS, TopicMakers
from controlplane.telemetry.topics import BEATS, Topic, Topics, View, parse
from tests.support.live import Samples

FLEET = Topic("fleet", "fleet")


class Sees:
    """A view of some hosts; of all without any."""

    def __init__(self, *hosts: str) -> None:
        self.key = ",".join(hosts) or "all"
        self._hosts = hosts

    def sees(self, kind: str, host: str) -> bool:
        return not self._hosts or host in self._hosts


class World:
    """An ingest, an analysis, and makers that are counted."""

    def __init__(self) -> None:
        self.ingest = Ingest(120)
        self.analysis = Analysis(self.ingest, self._tell)
        self.firing: dict[str, alerts_pb2.Alert] = {}
        self.makers = TopicMakers(self.ingest, self.analysis, lambda: self.firing).by_kind()
        self.made: list[tuple[str, str]] = []
        self.topics = Topics({kind: self._counted(kind) for kind in self.makers})

    async def content(self, name: str, view: View | None = None) -> Any:
        topic = parse(name)
        assert topic
        return json_format.MessageToDict(await self.makers[topic.kind](topic, view or Sees()))

    async def _tell(self, host: str, events: Any) -> None:
        raise AssertionError((host, events))

    def _counted(self, kind: str) -> Any:
        async def make(topic: Topic, view: View) -> pb.TopicFrame:
            self.made.append((topic.name, view.key))
            return await self.makers[kind](topic, view)

        return make


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("fleet", FLEET),
        ("alerts", Topic("alerts", "alerts")),
        ("hosts/sol-1/rpc", Topic("hosts/sol-1/rpc", "rpc", "hosts/sol-1")),
        ("hosts/sol-1/score", Topic("hosts/sol-1/score", "score", "hosts/sol-1")),
        *(
            (name, None)
            for name in ("", "fleet ", "hosts/A/rpc", "hosts/../rpc", "hosts/a/rpc/x", "hosts/a", "alerts\n")
        ),
    ],
)
def test_a_topic_is_known_by_its_whole_name(name: str, topic: Topic | None) -> None:
    assert parse(name) == topic


async def test_a_topic_is_made_once_a_second_for_all_who_see_the_same() -> None:
    world, frames = World(), 3
    Samples(world.ingest, "sol-1").send()
    per_view = 4 * BEATS

    async def read(view: View) -> list[str]:
        async def seen() -> View:
            return view

        async with aclosing(world.topics.watch([FLEET], seen)) as stream:
            return [(await anext(stream)).frame for _ in range(frames)]

    views = [Sees(), Sees("hosts/sol-1")] * per_view
    began = time.monotonic()
    read_by_all = await asyncio.gather(*map(read, views))
    assert 1.0 < time.monotonic() - began < 3.5
    # Watchers are spread over the beats of a second, and within a beat nothing is made twice.
    for view in ("all", "hosts/sol-1"):
        made = world.made.count(("fleet", view))
        assert (frames - 1) * BEATS <= made <= frames * BEATS
        of_view = [texts for one, texts in zip(views, read_by_all, strict=True) if one.key == view]
        assert len({text for texts in of_view for text in texts}) <= made
    assert world.topics.watchers == 0


async def test_nobody_watching_costs_nothing() -> None:
    world = World()
    Samples(world.ingest, "sol-1").send()

    async def seen() -> View:
        return Sees()

    async with AsyncExitStack() as stack:
        stream = await stack.enter_async_context(aclosing(world.topics.watch([FLEET], seen)))
        await anext(stream)
        assert world.topics.watchers == 1
    before = len(world.made)
    await asyncio.sleep(1.5)
    assert (world.topics.watchers, len(world.made)) == (0, before)


async def test_a_view_that_changes_is_looked_at_before_every_frame() -> None:
    world = World()
    for host in ("sol-1", "sol-2"):
        Samples(world.ingest, host).send()
    views = iter((Sees(), Sees("hosts/sol-2")))

    async def seen() -> View:
        return next(views)

    async with aclosing(world.topics.watch([FLEET], seen)) as stream:
        frames = [await anext(stream) for _ in range(2)]
    shown = [[row["host"] for row in json.loads(frame.frame)["fleet"]["hosts"]] for frame in frames]
    assert shown == [["hosts/sol-1", "hosts/sol-2"], ["hosts/sol-2"]]
    assert [frame.view for frame in frames] == ["all", "hosts/sol-2"]


async def test_a_host_is_told_by_method() -> None:
    world = World()
    samples = Samples(world.ingest, "sol-1", ("getSlot", "getBlock"))
    now = int(time.time())
    for second in range(RPC_SECONDS):
        samples.send(latency_s=(second + 1) / 1000, requests=10, timeouts=2, second=now - RPC_SECONDS + 1 + second)
    told = (await world.content("hosts/sol-1/rpc"))["rpc"]
    assert (told["host"], told["windowSeconds"], told["methods"][0]["method"]) == ("hosts/sol-1", 30, "getBlock")
    row = told["methods"][1]
    assert (row["lastMs"], row["p50Ms"], row["p90Ms"], row["p99Ms"]) == (30.0, 15.5, 27.1, 29.71)
    assert (row["requestsPerSecond"], row["errorRate"], row["errorsPerSecond"]) == (10.0, 0.2, {"timeout": 2.0})
    fleet = (await world.content("fleet"))["fleet"]
    assert (fleet["hostCount"], fleet["requestsPerSecond"], fleet["errorRate"]) == (1, 20.0, 0.2)
    assert (await world.content("hosts/sol-9/rpc"))["rpc"] == {"host": "hosts/sol-9", "windowSeconds": 30}
    await world.analysis.tick(time.time())
    assert (await world.content("hosts/sol-1/score"))["score"]["host"] == "hosts/sol-1"
    assert (await world.content("hosts/sol-9/score"))["score"] == {"host": "hosts/sol-9"}


async def test_alerts_are_those_that_fire_unsilenced_within_reach_gravest_first() -> None:
    world = World()
    for number, (host, severity, silence) in enumerate((
        ("hosts/a", link_pb2.SEVERITY_WARNING, ""), ("hosts/b", link_pb2.SEVERITY_CRITICAL, ""),
        ("hosts/a", link_pb2.SEVERITY_CRITICAL, "silences/x"), ("", link_pb2.SEVERITY_WARNING, ""),
    )):  # fmt: skip
        name = f"alerts/{number}"
        world.firing[name] = alerts_pb2.Alert(name=name, host=host, severity=severity, silence=silence)

    async def names(view: View) -> list[str]:
        told = (await world.content("alerts", view))["alerts"]
        assert told["firingCount"] == len(told["alerts"])
        return [alert["name"] for alert in told["alerts"]]

    assert await names(Sees()) == ["alerts/1", "alerts/0", "alerts/3"]
    assert await names(Sees("hosts/a")) == ["alerts/0"]


async def test_changes_are_told_at_once_and_written_once_for_all_who_lack_the_same() -> None:
    bus = BundleBus()
    topics = Topics({}, pushed=(TOPIC, bus))
    bundles = Topic("bundles", "bundles")

    async def everything() -> View:
        return Sees()

    async def some() -> View:
        return Sees("hosts/sol-1")

    async with AsyncExitStack() as stack:
        first, second, third = [
            await stack.enter_async_context(aclosing(topics.watch([bundles], view)))
            for view in (everything, everything, some)
        ]
        for watch in (first, second, third):
            assert json.loads((await anext(watch)).frame)["bundles"] == {}
        began = time.monotonic()
        waiting = [asyncio.create_task(anext(watch)) for watch in (first, second, third)]
        await asyncio.sleep(0.01)
        for host in ("sol-1", "sol-2"):
            bus.tell(jito_pb2.Bundle(name=f"bundles/{host}", host=f"hosts/{host}"))
        frames = await asyncio.gather(*waiting)
        assert time.monotonic() - began < 0.2
        assert frames[0] is frames[1]
        seen = [[one["host"] for one in json.loads(frame.frame)["bundles"]["bundles"]] for frame in frames]
        assert seen == [["hosts/sol-1", "hosts/sol-2"]] * 2 + [["hosts/sol-1"]]
        # Without a change it is still told each second that there was none.
        quiet = json.loads((await anext(first)).frame)["bundles"]
        assert quiet == {"before": "2", "newest": "2"}


async def test_what_nothing_happens_to_is_told_once_a_second_with_the_time_that_it_is() -> None:
    bus = BundleBus(7_000)
    topics = Topics({}, pushed=(TOPIC, bus))

    async def everything() -> View:
        return Sees()

    async with aclosing(topics.watch([Topic("bundles", "bundles")], everything)) as watch:
        frames = [json.loads((await anext(watch)).frame) for _ in range(4)]
    assert frames[0]["bundles"] == {"before": "7000", "newest": "7000"}
    times = [frame["time"] for frame in frames]
    assert len({text[:19] for text in times[1:]}) == 3, times


async def test_who_misses_more_changes_than_are_kept_is_told_so() -> None:
    bus = BundleBus()
    for number in range(FRAME + 50):
        bus.tell(jito_pb2.Bundle(name=f"bundles/{number}"))
    frame = bus.since(Sees(), 0).bundles
    assert (frame.before, frame.newest, len(frame.bundles)) == (50, FRAME + 50, FRAME)
