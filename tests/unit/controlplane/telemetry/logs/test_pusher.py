"""The pusher: everything comes to Loki once and in order, whatever Loki says to it meanwhile."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from common.breaker import breakers
from controlplane.store.marks import MarkRepository
from controlplane.telemetry.logs import pusher as module
from controlplane.telemetry.logs.loki import Loki, retry_after
from controlplane.telemetry.logs.model import LogsDown
from controlplane.telemetry.logs.pusher import MARK, Pusher
from controlplane.telemetry.logs.settings import LokiSettings
from tests.peers.loki import LokiPeer
from tests.support.logs import CLUSTER, Logged, logged

DAY_MS = 86_400_000


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Logged]:
    async with logged(tmp_path) as made:
        yield made


def dropped(reason: str) -> float:
    return REGISTRY.get_sample_value("solward_loki_dropped_total", {"reason": reason}) or 0.0


async def say(world: Logged, count: int, host: str = "sol-1") -> list[str]:
    words = [f"{host} {world.sequence} {number}" for number in range(count)]
    await world.say(host, *map(world.event, words))
    return words


def pushed(world: Logged) -> list[str]:
    return [line.text for line in world.peer.lines]


async def test_labels_are_few_and_the_rest_is_metadata(world: Logged) -> None:
    await world.say("sol-1", world.event("m", kind="validator.panic", severity=4, attributes={"slot": "1"}, times=3))
    await world.say("sol-1", world.event("m", kind='ev\x01l{x="y"}.z', severity=99))
    await world.push()
    streams = [dict(labels) for labels in world.peer.streams]
    base = {"service_name": "solward", "cluster": CLUSTER, "host": "sol-1"}
    assert streams == [
        base | {"level": "critical", "class": "validator"}, base | {"level": "unknown", "class": "other"},
    ]  # fmt: skip
    assert world.peer.lines[0].metadata == {"kind": "validator.panic", "times": "3", "attr_slot": "1"}


async def test_everything_comes_once_and_in_order_across_restarts(world: Logged) -> None:
    words = await say(world, 30)
    await world.push()
    words += await say(world, 5)
    again = Pusher(world.pusher._loki, world.events, MarkRepository(world.engine), CLUSTER)
    while await again.push_some():
        """More waits."""
    assert pushed(world) == words
    assert (world.peer.repeated, await MarkRepository(world.engine).get(MARK)) == (0, 35)


async def test_what_was_pushed_before_the_mark_could_move_is_kept_once(world: Logged) -> None:
    words = await say(world, 30)
    await world.push()
    await MarkRepository(world.engine).put(MARK, 10)
    world.pusher._mark = None
    words += await say(world, 5)
    await world.push()
    assert pushed(world) == words
    assert world.peer.repeated == 20


async def test_batches_are_bounded(world: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    await say(world, 2_500)
    await world.push()
    assert world.peer.pushes == 3
    monkeypatch.setattr(module, "MOST_BYTES", 10_000)
    await world.say("sol-1", *(world.event("x" * 4_000) for _ in range(9)))
    await world.push()
    assert world.peer.pushes == 3 + 5
    assert len(pushed(world)) == 2_509


@pytest.mark.parametrize("status", [500, 502, 503, 401, 403, 404, 302])
async def test_while_loki_is_away_everything_is_kept(world: Logged, status: int) -> None:
    words = await say(world, 3)
    world.peer.status = status
    with pytest.raises(LogsDown, match=str(status)):
        await world.push()
    world.peer.status = 0
    await world.push()
    assert pushed(world) == words


async def test_breaker_opens_and_closes(world: Logged) -> None:
    words = await say(world, 3)
    world.peer.status = 503
    for _ in range(5):
        assert await world.pusher.step() > 0
    (breaker,) = [one for one in breakers() if one.name == "Loki of a test"]
    assert breaker.state == "open"
    asked = world.peer.pushes
    pause = await world.pusher.step()
    assert world.peer.pushes == asked
    assert 0 < pause <= 1.3
    assert world.pusher.lag_s() > 0
    world.peer.status, breaker._until = 0, 0.0
    # More may wait: it is asked for at once, and then every second.
    assert await world.pusher.step() == module.LOOK_SECONDS
    assert (breaker.state, pushed(world)) == ("closed", words)


@pytest.mark.parametrize(("header", "least", "most"), [("7", 7.0, 7.0), ("", 0.5, 1.5), ("100000", 60.0, 60.0)])
async def test_too_many_requests_are_heeded(world: Logged, header: str, least: float, most: float) -> None:
    words = await say(world, 3)
    world.peer.answers.append((429, {"Retry-After": header} if header else {}))
    assert least <= await world.pusher.step() <= most
    assert all(one.failures == 0 for one in breakers() if one.name == "Loki of a test")
    await world.push()
    assert pushed(world) == words


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("3.5") == 3.5
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    assert 25 < (retry_after(date) or 0) <= 30
    for odd in ("", "soon", "1e999", "nan", "-5", "Wed, 99 Oct 2026 07:28:00 GMT"):
        assert retry_after(odd) is None or odd == "-5"


async def test_bad_entries_are_dropped_alone_and_counted(world: Logged) -> None:
    before = dropped("too_far_in_future")
    good = [world.event(f"good {number}") for number in range(100)]
    bad = [world.event("bad", -3_600_000), world.event("bad too", -3_600_001)]
    await world.say("sol-1", *good[:40], bad[0], *good[40:90], bad[1], *good[90:])
    await world.push()
    assert pushed(world) == [event.message for event in good]
    assert dropped("too_far_in_future") - before == 2
    # And it goes on behind them.
    assert await MarkRepository(world.engine).get(MARK) == 102


async def test_what_is_wholly_refused_does_not_go_on_for_ever(world: Logged) -> None:
    before = dropped("refused")
    await say(world, 500)
    world.peer.status = 400
    await world.push()
    assert world.peer.pushes == 0
    assert dropped("refused") - before == 500
    world.peer.status = 0
    words = await say(world, 1)
    await world.push()
    assert pushed(world) == words


async def test_what_is_older_than_loki_takes_is_not_sent(world: Logged) -> None:
    before = dropped("too_old")
    await world.say("sol-1", world.event("of before there was a Loki", 8 * DAY_MS))
    await world.push()
    await world.say("sol-1", world.event("old", 8 * DAY_MS), world.event("new"))
    await world.push()
    assert (pushed(world), world.peer.refusals, dropped("too_old") - before) == (["new"], [], 1)


async def test_what_was_pruned_while_it_waited_is_counted(world: Logged) -> None:
    before = dropped("pruned")
    # What was gone before the first push was not lost by it.
    await world.say("sol-1", world.event("gone before", 9_000))
    await world.events.prune(world.now - 8_000, 100)
    await say(world, 1)
    await world.push()
    assert dropped("pruned") == before
    await world.say("sol-1", world.event("gone", 7_000), world.event("gone too", 7_000), world.event("there"))
    await world.events.prune(world.now - 6_000, 100)
    world.peer.status = 503
    for _ in range(3):
        with pytest.raises(LogsDown):
            await world.push()
    world.peer.status = 0
    await world.push()
    assert dropped("pruned") - before == 2
    assert pushed(world)[-1] == "there"


async def test_large_events_fit(world: Logged) -> None:
    large = {f"name {number}": "☀" * 4096 for number in range(60)}
    await world.say("sol-1", world.event("𝄞" * 100_000, meaning="m" * 5_000, attributes=large))
    await world.push()
    (line,) = world.peer.lines
    assert world.peer.refusals == []
    assert set(line.text) == {"𝄞"}


async def test_credentials_and_tenant_are_shown_and_never_said(tmp_path: Path) -> None:
    async with logged(tmp_path, tenant="fleet", user="u", password="a-secret") as world:  # type: ignore[arg-type]
        words = await say(world, 1)
        world.peer.tenant, world.peer.authorization = "fleet", "Basic dTphLXNlY3JldA=="
        await world.push()
        assert pushed(world) == words
        world.peer.authorization = "Basic other"
        await say(world, 1)
        with pytest.raises(LogsDown, match=r"loki\.user") as caught:
            await world.push()
        assert "a-secret" not in str(caught.value)
    bearer = LokiSettings(url="http://127.0.0.1:9", token="a-secret")  # type: ignore[arg-type]
    assert "a-secret" not in repr(bearer)
    loki = Loki(bearer, "Loki of another test")
    with pytest.raises(LogsDown, match="does not answer"):
        await loki.call("push", b"")
    await loki.close()


@pytest.mark.parametrize("content", [None, "no PEM"])
async def test_authorities_that_cannot_be_read_are_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    loki = Loki(LokiSettings(url="https://127.0.0.1:9", ca_file=path), "Loki of another test")
    with pytest.raises(LogsDown, match=r"loki\.ca_file.*ca\.pem"):
        await loki.call("push", b"")
    await loki.close()


async def test_a_server_is_spoken_to_where_its_authority_is_known(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-keyout", str(key), "-out", str(cert), "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.DEVNULL)
    assert await made.wait() == 0
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    peer = LokiPeer("", "Bearer a-secret")
    async with peer.serving(tls=tls) as url:
        for ca_file, calls in ((None, 0), (cert, 1)):
            loki = Loki(LokiSettings(url=url, ca_file=ca_file, token="a-secret"), "Loki of another test")  # type: ignore[arg-type]
            if ca_file:
                headers = {"Content-Type": "application/json"}
                assert (await loki.call("push", b'{"streams":[]}', headers)).taken
            else:
                with pytest.raises(LogsDown, match="Certificate"):
                    await loki.call("push", b"")
            assert peer.pushes == calls
            await loki.close()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"url": "ftp://x"}, "http or https"),
        ({"url": "http://u:secretword@x"}, "no credentials"),
        ({"url": "http://x/loki/api/v1/push"}, "end before"),
        ({"url": "http://x", "user": "u"}, "go together"),
        ({"url": "http://x", "user": "u:v", "password": "p"}, "pattern"),
        ({"url": "http://x", "user": "u", "password": "p", "token": "t"}, "in place of"),
        ({"tenant": "t"}, "url is missing"),
        ({"url": "http://x", "tenant": "a\r\nb"}, "pattern"),
        ({"url": "http://x", "token": "a\nsecretword"}, "printable"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        LokiSettings(**given)  # type: ignore[arg-type]
    assert "secretword" not in caught.value.errors(include_input=False)[0]["msg"]  # type: ignore[attr-defined]
