"""What Alertmanager is told: what fires, again and again, and each end once."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web
from solward.alerts.v1 import alerts_pb2 as pb
from solward.hosts.v1 import link_pb2

from common.breaker import breakers
from common.clock import now_ms
from controlplane.alerts import alertmanager as module
from controlplane.alerts.alertmanager import Alertmanager, labels_of
from controlplane.alerts.book import Book


class Kept:
    """In place of the repository."""

    async def save(self, alert: pb.Alert) -> None:
        return None


class Peer:
    """In place of Alertmanager: keeps what it is sent, and answers as it is told."""

    def __init__(self) -> None:
        self.status = 200
        self.asked = 0
        self.taken: list[dict[str, Any]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.status == 200:
            self.taken += await request.json()
        return web.Response(status=self.status)

    def over(self) -> list[str]:
        """Details of the alerts whose end was told, in order."""
        now = dt.datetime.now(dt.UTC)
        return [one["labels"]["detail"] for one in self.taken if dt.datetime.fromisoformat(one["endsAt"]) <= now]


@asynccontextmanager
async def sending(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Book, Peer]]:
    monkeypatch.setattr(module, "AGAIN_S", 0.3)
    monkeypatch.setattr(module, "RETRY_S", 0.05)
    peer, book = Peer(), Book(Kept())  # type: ignore[arg-type]
    app = web.Application()
    app.router.add_post("/am/api/v2/alerts", peer.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sender = Alertmanager(book, f"http://127.0.0.1:{runner.addresses[0][1]}/am", "fleet.example")
    task = asyncio.create_task(sender.run())
    try:
        yield book, peer
        assert not task.done(), "the sender ended by itself"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await runner.cleanup()


def alert(detail: str, name: str = "", state: pb.AlertState = pb.ALERT_STATE_FIRING) -> pb.Alert:
    made = pb.Alert(
        name=f"alerts/{name or detail}", rule="udp_drops", host="hosts/sol-1", detail=detail, state=state,
        severity=link_pb2.SEVERITY_WARNING, subject=pb.ALERT_SUBJECT_VALIDATOR, summary="drops", evidence="12 a second",
    )  # fmt: skip
    made.fire_time.FromMilliseconds(now_ms())
    return made


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_what_fires_is_told_again_and_its_end_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sending(monkeypatch) as (book, peer):
        await book.put([alert("a")])
        await until(lambda: len(peer.taken) >= 2)
        told = peer.taken[0]
        assert told["labels"] == {
            "alertname": "UdpDrops", "cluster": "fleet.example", "severity": "warning", "subject": "validator",
            "host": "sol-1", "detail": "a",
        }  # fmt: skip
        assert told["annotations"]["description"] == "12 a second"
        assert dt.datetime.fromisoformat(told["endsAt"]) > dt.datetime.now(dt.UTC)
        await book.put([alert("a", state=pb.ALERT_STATE_RESOLVED)])
        await until(lambda: peer.over() == ["a"])
        await asyncio.sleep(0.7)
        assert peer.over() == ["a"]


async def test_an_end_waits_for_one_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sending(monkeypatch) as (book, peer):
        await book.put([alert("a")])
        await until(lambda: bool(peer.taken))
        peer.status = 503
        before = peer.asked
        await book.put([alert("a", state=pb.ALERT_STATE_RESOLVED)])
        await until(lambda: peer.asked > before)
        assert peer.over() == []
        peer.status = 200
        await until(lambda: peer.over() == ["a"])


async def test_what_is_silenced_is_over_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sending(monkeypatch) as (book, peer):
        await book.put([alert("a")])
        await until(lambda: bool(peer.taken))
        book.open["alerts/a"].silence = "silences/x"
        assert peer.over() == []
        await book.put([])
        await until(lambda: peer.over() == ["a"])


async def test_two_of_the_same_labels_are_one_and_end_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sending(monkeypatch) as (book, peer):
        await book.put([alert("a", "one"), alert("a", "two")])
        await until(lambda: bool(peer.taken))
        await book.put([alert("a", "one", pb.ALERT_STATE_RESOLVED)])
        await asyncio.sleep(0.5)
        assert peer.over() == []
        await book.put([alert("a", "two", pb.ALERT_STATE_RESOLVED)])
        await until(lambda: peer.over() == ["a"])


async def test_what_is_called_bad_is_not_sent_at_once_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sending(monkeypatch) as (book, peer):
        peer.status = 400
        await book.put([alert("a")])
        await asyncio.sleep(0.5)
        assert 1 <= peer.asked <= 4


async def test_without_a_url_nothing_is_done() -> None:
    book = Book(Kept())  # type: ignore[arg-type]
    await book.put([alert("a")])
    await Alertmanager(book, "", "fleet.example").run()
    assert [one.name for one in breakers() if one.name == "Alertmanager"] == []


def test_an_empty_label_is_none() -> None:
    made = alert("")
    made.host = ""
    assert set(dict(labels_of(made, "c"))) == {"alertname", "cluster", "severity", "subject"}
