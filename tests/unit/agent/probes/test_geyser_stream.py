"""Streams as they are told of, against a peer that delays, drops, falls silent, refuses, and goes away."""

import asyncio
import datetime as dt
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from agent.geyser import stream as stream_module
from agent.geyser.bells import PluginBells
from agent.geyser.board import SlotBoard
from agent.geyser.plugin_settings import StreamSettings
from agent.probes.geyser_stream import KIND, StreamProbe, _Source
from agent.probes.rpc_pubsub import PubsubProbe
from agent.probes.slot_poll import SlotPoll
from common.breaker import Breaker
from common.pki import key_pem, new_key
from tests.peers.fixtures import validator_peer
from tests.peers.yellowstone import Peer, yellowstone
from tests.peers.yellowstone.peer import Pair
from tests.support.sink import Kept


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less long between two tries."""
    monkeypatch.setattr(stream_module, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(stream_module, "LONGEST_WAIT_S", 0.2)
    monkeypatch.setattr(stream_module, "LIMITED_WAIT_S", 0.1)


def self_signed() -> Pair:
    """Make a certificate for this machine."""
    key, now = new_key(), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a plugin")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(key_pem(key), made.public_bytes(serialization.Encoding.PEM))


@asynccontextmanager
async def probing(peer: Peer, **wanted: Any) -> AsyncIterator[Kept]:
    """Follow a peer's stream, and the slots of its node."""
    kept, board = Kept(), SlotBoard()
    bells = wanted.pop("bells", None)
    settings = StreamSettings(url=wanted.pop("url", peer.url), **wanted)
    probes = [StreamProbe({"ys": settings}, board, bells), PubsubProbe(peer.ws_url, board)]
    tasks = [asyncio.create_task(probe.run(kept)) for probe in probes]
    try:
        yield kept
        assert not any(task.done() for task in tasks), "a probe ended by itself"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(holds: Callable[[], object], what: Callable[[], object] = lambda: "", seconds: float = 15.0) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(what()) from None


def errors(kept: Kept, kind: str) -> int:
    return len(kept.of("geyser_errors", source="ys", **{"class": kind}))


def rates(kept: Kept, kind: str) -> list[float]:
    return kept.of("geyser_events_rate", source="ys", kind=kind)


async def test_a_stream_that_stands_tells_of_slots_their_delay_and_their_number() -> None:
    async with yellowstone() as peer, probing(peer, counts=True) as kept:
        peer.faults.delay_ms = 120
        await until(lambda: len(kept.of("geyser_slot_delay_seconds", source="ys")) > 40)
        delays = kept.of("geyser_slot_delay_seconds", source="ys")[10:]
        assert 0.11 < median(delays) < 0.16
        assert kept.of("geyser_stream_up", source="ys")[-1] == 1
        assert kept.of("geyser_stream_silent_seconds", source="ys")[-1] < 1
        assert peer.node.slot.number - 60 < kept.of("geyser_newest_slot", source="ys")[-1] <= peer.node.slot.number
        # 20 slots a second, of six statuses each, and a block with 1,000 transactions and 64 entries.
        assert 80 < rates(kept, "slot")[-1] < 140
        assert 14 < rates(kept, "block")[-1] < 24
        assert 14_000 < rates(kept, "transaction")[-1] < 24_000
        assert 900 < rates(kept, "entry")[-1] < 1_500
        assert not kept.events
        assert not kept.of("geyser_missed_slots", source="ys") + kept.of("geyser_slot_gaps", source="ys")
        (request,) = peer.service.last.requests if peer.service.last else []
        assert (len(request.slots), len(request.blocks_meta), len(request.accounts)) == (1, 1, 0)


async def test_slots_out_of_order_and_kinds_that_are_not_known_are_no_fault() -> None:
    async with yellowstone() as peer, probing(peer, missed_after_seconds=1) as kept:
        peer.faults.shuffle, peer.faults.unknown = 10, True
        peer.faults.skip = list(range(peer.node.slot.number + 5, peer.node.slot.number + 200, 3))
        await until(lambda: len(kept.of("geyser_stream_up", source="ys")) > 4)
        assert len(kept.of("geyser_slot_delay_seconds", source="ys")) > 30
        assert not kept.of("geyser_missed_slots", source="ys") + kept.of("geyser_slot_gaps", source="ys")
        assert not rates(kept, "block")


async def test_slots_that_never_come_are_missed_and_leave_a_gap() -> None:
    async with yellowstone() as peer, probing(peer, missed_after_seconds=1) as kept:
        await until(lambda: kept.of("geyser_slot_delay_seconds", source="ys"))
        begin = peer.node.slot.number + 10
        peer.faults.drop = [begin, begin + 1, begin + 7]
        await until(lambda: sum(kept.of("geyser_missed_slots", source="ys")) >= 3)
        await asyncio.sleep(1.5)
        assert sum(kept.of("geyser_missed_slots", source="ys")) == 3
        # Of two in a row only the second has a child that came.
        assert sum(kept.of("geyser_slot_gaps", source="ys")) == 2


async def test_pings_are_answered() -> None:
    async with yellowstone(ping_s=0.2) as peer, probing(peer) as kept:
        await until(lambda: peer.service.last and len(peer.service.last.requests) > 4)
        assert peer.service.last is not None
        first, *answers = peer.service.last.requests
        assert not first.HasField("ping")
        assert [answer.ping.id for answer in answers[:4]] == [1, 2, 3, 4]
        # An answer leaves the filters as they are.
        assert all(not answer.slots for answer in answers)
        await until(lambda: kept.of("geyser_newest_slot", source="ys"))


@pytest.mark.parametrize(("mute", "words"), [(False, "though pings came"), (True, "and no ping either")])
async def test_a_stream_that_falls_silent_is_made_anew(mute: bool, words: str) -> None:
    async with yellowstone(ping_s=0.2) as peer, probing(peer, silent_seconds=1) as kept:
        await until(lambda: kept.of("geyser_newest_slot", source="ys"))
        opened = peer.service.opened
        await asyncio.sleep(0)
        if mute:
            peer.service._ping_s = 1e9
            await asyncio.sleep(0.1)
            await peer.down()
            await peer.up()
            await until(lambda: peer.service.opened > opened)
            opened = peer.service.opened
            await until(lambda: len(kept.of("geyser_newest_slot", source="ys")) > 2)
            peer.faults.mute = True
        else:
            peer.faults.silent = True
        await until(lambda: errors(kept, "silent"))
        assert words in next(event.message for event in kept.events if event.attributes["class"] == "silent")
        peer.faults.silent = peer.faults.mute = False
        told = len(kept.of("geyser_newest_slot", source="ys"))
        await until(lambda: peer.service.opened > opened and len(kept.of("geyser_newest_slot", source="ys")) > told + 1)
        assert kept.of("geyser_stream_up", source="ys")[-1] == 1


async def test_a_server_that_never_answers_is_a_timeout() -> None:
    async with yellowstone() as peer:
        peer.faults.deaf = True
        async with probing(peer, silent_seconds=1) as kept:
            await until(lambda: errors(kept, "timeout"))
            assert set(kept.of("geyser_stream_up", source="ys")) <= {0.0}
            # What is not known is not told.
            assert not kept.of("geyser_newest_slot", source="ys") + kept.of("geyser_stream_silent_seconds", source="ys")


ENDS = [
    ("INTERNAL", "lagged to send an update", "lagged"),
    ("OUT_OF_RANGE", "broadcast from 5 is not available, last available: 9", "slot_unavailable"),
    ("INTERNAL", "startup", "starting"),
    ("INVALID_ARGUMENT", "failed to create filter: x", "filter_refused"),
    ("UNAUTHENTICATED", "No valid auth token", "token_refused"),
    ("RESOURCE_EXHAUSTED", "subscription limit exceeded", "limited"),
    ("UNAVAILABLE", "server is shutting down", "shutdown"),
    ("UNIMPLEMENTED", "method disabled", "not_offered"),
    ("CANCELLED", "", "ended"),
    ("OK", "", "ended"),
]


@pytest.mark.parametrize(("code", "words", "kind"), ENDS)
async def test_a_stream_that_ends_says_why_and_comes_back(code: str, words: str, kind: str) -> None:
    async with yellowstone() as peer, probing(peer) as kept:
        await until(lambda: kept.of("geyser_newest_slot", source="ys"))
        peer.faults.end = (code, words)
        await until(lambda: errors(kept, kind), lambda: kept.events)
        (first, *_) = kept.events
        assert (first.kind, first.attributes["class"], first.attributes["source"]) == (KIND, kind, "ys")
        peer.faults.end = None
        told = len(kept.of("geyser_newest_slot", source="ys"))
        await until(lambda: len(kept.of("geyser_newest_slot", source="ys")) > told)


@pytest.mark.parametrize(("code", "words", "kind"), ENDS[2:8])
async def test_a_stream_that_is_refused_is_told_once_and_tried_on(code: str, words: str, kind: str) -> None:
    async with yellowstone() as peer:
        peer.faults.refuse = (code, words)
        async with probing(peer) as kept:
            await until(lambda: errors(kept, kind) >= 3)
            assert [event.attributes["class"] for event in kept.events] == [kind]
            assert "cannot be opened" in kept.events[0].message


async def test_a_server_that_is_gone_is_tried_on_until_it_is_back() -> None:
    async with yellowstone() as peer, probing(peer) as kept:
        await until(lambda: kept.of("geyser_newest_slot", source="ys"))
        await peer.down()
        await until(lambda: errors(kept, "transport"))
        await until(lambda: kept.of("geyser_stream_up", source="ys")[-1] == 0)
        await peer.up()
        await until(lambda: kept.of("geyser_stream_up", source="ys")[-1] == 1)


async def test_a_message_of_60_megabytes_is_taken_and_one_of_70_ends_the_stream() -> None:
    async with yellowstone() as peer:
        peer.faults.big_mb = 60
        async with probing(peer) as kept:
            await until(lambda: len(kept.of("geyser_newest_slot", source="ys")) > 2)
            assert not kept.events
        peer.faults.big_mb = 70
        async with probing(peer) as kept:
            await until(lambda: errors(kept, "too_large"), lambda: kept.events)


async def test_the_token_is_sent_and_kept_secret(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("canary-token\n")
    secret.chmod(0o600)
    async with yellowstone(token="canary-token") as peer:
        async with probing(peer, token_file=secret) as kept:
            await until(lambda: kept.of("geyser_newest_slot", source="ys"))
            assert not kept.events
        secret.write_text("another")
        async with probing(peer, token_file=secret) as kept:
            await until(lambda: errors(kept, "token_refused"))
            # Another token is taken up without a restart.
            secret.write_text("canary-token")
            await until(lambda: kept.of("geyser_newest_slot", source="ys"))
        secret.chmod(0o644)
        async with probing(peer, token_file=secret) as kept:
            await until(lambda: errors(kept, "file"))
            assert "chmod 600" in kept.events[0].message
            assert "canary-token" not in str(kept.events)


async def test_tls_is_trusted_by_its_authority_and_by_no_other(tmp_path: Path) -> None:
    ours, other = self_signed(), self_signed()
    (tmp_path / "ours.pem").write_bytes(ours.certificate)
    (tmp_path / "other.pem").write_bytes(other.certificate)
    async with yellowstone(tls=ours) as peer:
        async with probing(peer, ca_file=tmp_path / "ours.pem") as kept:
            await until(lambda: kept.of("geyser_newest_slot", source="ys"), lambda: kept.events)
        async with probing(peer, ca_file=tmp_path / "other.pem") as kept:
            await until(lambda: errors(kept, "transport"))
        async with probing(peer, ca_file=tmp_path / "gone.pem") as kept:
            await until(lambda: errors(kept, "file"))


async def test_a_node_that_is_only_polled_is_compared_less_sharply() -> None:
    board = SlotBoard()
    async with validator_peer(slot_ms=100) as peer:
        task = asyncio.create_task(SlotPoll(peer.rpc_url, board, period_s=0.05).run(Kept()))
        await until(lambda: len(list(board.told_between(0.0, 1e12))) > 10)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    told = sorted(board.told_between(0.0, 1e12))
    gaps = [(second - first) / (later - slot) for (slot, first), (later, second) in pairwise(told)]
    assert 0.08 < median(gaps) < 0.13


async def test_a_node_that_cannot_be_polled_is_left_alone() -> None:
    board = SlotBoard()
    task = asyncio.create_task(SlotPoll("http://127.0.0.1:9", board, period_s=0.01).run(Kept()))
    await asyncio.sleep(0.5)
    assert not task.done()
    assert not list(board.told_between(0.0, 1e12))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_stream_is_opened_at_once_when_a_plugin_was_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "FIRST_WAIT_S", 60.0)
    monkeypatch.setattr(stream_module, "LONGEST_WAIT_S", 60.0)
    bells = PluginBells()
    async with yellowstone() as peer, probing(peer, bells=bells) as kept:
        await until(lambda: 1 in kept.of("geyser_stream_up", source="ys"))
        assert bells.doubted.times == 0
        await peer.down()
        await until(lambda: errors(kept, "transport"))
        # It stood: why it ended may be the plugin's end.
        assert bells.doubted.times == 1
        await peer.up()
        await asyncio.sleep(1.5)
        assert kept.of("geyser_stream_up", source="ys")[-1] == 0
        bells.loaded.ring()
        await until(lambda: kept.of("geyser_stream_up", source="ys")[-1] == 1, seconds=5)


async def test_an_open_breaker_does_not_outlast_the_plugin_that_opened_it() -> None:
    bells = PluginBells()
    async with yellowstone() as peer:
        source = _Source("ys", StreamSettings(url=peer.url), None, Kept(), bells)
        source._stream._breaker = Breaker("ys", failures=1, first_s=60.0)
        source._stream._breaker.failed()
        running = asyncio.create_task(source.run())
        try:
            await asyncio.sleep(0.3)
            assert peer.service.opened == 0
            bells.loaded.ring()
            await until(lambda: peer.service.opened == 1, seconds=3)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
