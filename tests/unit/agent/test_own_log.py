"""The agent's own log as events: bounded, without secrets, and silent about the link's own silence."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from solward.hosts.v1 import link_pb2

from agent.own_log import LINK_AGAIN_S, MOST_A_MINUTE, OwnLog
from common import logs
from tests.support.sink import Kept


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now=1_000.0)


@pytest.fixture
def own(clock: SimpleNamespace) -> Iterator[OwnLog]:
    before = structlog.get_config()
    logs.configure("info", json=True)
    made = OwnLog(lambda: clock.now)
    with logs.tapped(made):
        yield made
    structlog.configure(**before)


def told(own: OwnLog) -> list[link_pb2.Event]:
    sink = Kept()
    own.drain(sink)
    return list(sink.events)


def test_a_line_becomes_an_event_and_is_written_as_before(own: OwnLog, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger("agent.probes.x").warning("it broke", times=3, why="no\nroute")
    (event,) = told(own)
    assert (event.kind, event.severity, event.message) == ("agent.log", link_pb2.SEVERITY_WARNING, "it broke")
    assert event.attributes == {"logger": "agent.probes.x", "times": "3", "why": "no / route"}
    written = json.loads(capsys.readouterr().err)
    assert {key: written[key] for key in ("event", "level", "times")} == {
        "event": "it broke", "level": "warning", "times": 3,
    }  # fmt: skip


@pytest.mark.parametrize("level", ["info", "warning", "error", "critical"])
def test_levels(own: OwnLog, level: str) -> None:
    log = structlog.get_logger("agent.x")
    log.debug("nobody's business")
    getattr(log, level)("x")
    assert [event.severity for event in told(own)] == [link_pb2.Severity.Value(f"SEVERITY_{level.upper()}")]


def test_secrets_stay_on_the_host(own: OwnLog) -> None:
    log = structlog.get_logger("agent.x")
    log.error("at https://user:canary@h/p?api=canary", token="canary", Password="canary", url="x://canary@h", n=1)
    try:
        raise RuntimeError("x" * 5_000 + " at https://canary@h/ the end")
    except RuntimeError:
        log.exception("it failed")
    events = told(own)
    assert len(events) == 2
    assert "canary" not in str(events)
    assert events[0].attributes["n"] == "1"
    assert events[1].attributes["exception"].endswith("the end")
    assert all(len(value) <= 1_100 for event in events for value in event.attributes.values())


def test_more_lines_than_a_minute_takes_are_counted(own: OwnLog, clock: SimpleNamespace) -> None:
    log = structlog.get_logger("agent.x")
    for number in range(100):
        log.info("line", number=number)
    assert len(told(own)) == MOST_A_MINUTE
    clock.now += 60
    log.info("next minute")
    left_out, following = told(own)
    assert left_out.attributes["lines"] == "40"
    assert following.message == "next minute"


def test_what_the_link_says_of_its_trouble_is_told_once_in_a_while(own: OwnLog, clock: SimpleNamespace) -> None:
    log = structlog.get_logger("agent.link.auto")
    events = []
    for _ in range(240):
        # An hour, in which the control plane is away.
        log.warning("the stream ended", reason="UNAVAILABLE")
        log.info("connecting again", seconds=15.0)
        events += told(own)
        clock.now += 15
    assert len(events) == 2 * 3600 // LINK_AGAIN_S
    ended = [event.times for event in events if event.message == "the stream ended"]
    assert ended == [1, 40, 40, 40, 40, 40]


def test_a_flood_that_nobody_drains_is_bounded(own: OwnLog) -> None:
    for _ in range(5_000):
        structlog.get_logger("agent.x").info("x")
    assert len(told(own)) == MOST_A_MINUTE


async def test_lines_of_every_thread_come(own: OwnLog) -> None:
    say: Callable[[], Any] = lambda: structlog.get_logger("agent.x").info("from a thread")  # noqa: E731
    threads = [threading.Thread(target=say) for _ in range(10)]
    for thread in threads:
        thread.start()
    sink = Kept()
    running = asyncio.create_task(own.run(sink))
    async with asyncio.timeout(5):
        while len(sink.events) < 10:
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for thread in threads:
        thread.join()
    assert [event.message for event in sink.events] == ["from a thread"] * 10


def test_the_tap_ends_with_its_block(own: OwnLog) -> None:
    other = OwnLog()
    with logs.tapped(other):
        structlog.get_logger("agent.x").info("inside")
    structlog.get_logger("agent.x").info("outside")
    assert [event.message for event in told(other)] == ["inside"]
    assert [event.message for event in told(own)] == ["inside", "outside"]
