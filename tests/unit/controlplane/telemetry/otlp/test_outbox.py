"""What waits for the collector: bounded, in order, and no more asked of a collector that is away than need be."""

import asyncio
import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from prometheus_client import REGISTRY

from common.breaker import breakers
from common.pki import key_pem, new_key
from controlplane.identity.ca import CertificateAuthority
from controlplane.telemetry.otlp import collector as collector_module
from controlplane.telemetry.otlp import outbox as outbox_module
from controlplane.telemetry.otlp.collector import Away, Collector
from controlplane.telemetry.otlp.outbox import Outbox
from controlplane.telemetry.otlp.settings import OtlpSettings
from tests.peers.otlp import otlp_peer
from tests.support.ports import free_ports


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(collector_module, "PAUSE_S", 0.001)
    monkeypatch.setattr(outbox_module, "PERIOD_S", 0.02)
    monkeypatch.setattr(outbox_module, "LAST_S", 0.3)
    yield


def encode(items: list[int]) -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for item in items:
        scope.log_records.add(time_unix_nano=item)
    return request.SerializeToString()


def dropped(why: str) -> float:
    return REGISTRY.get_sample_value("solward_otlp_dropped_total", {"signal": "logs", "why": why}) or 0.0


def state() -> list[str]:
    return [one.state for one in breakers() if one.name == "the OTLP collector"]


async def test_items_arrive_in_order_also_the_last_ones() -> None:
    async with otlp_peer() as peer:
        collector, outbox = Collector(OtlpSettings(endpoint=peer.endpoint)), Outbox("logs", encode)
        task = asyncio.create_task(outbox.run(collector))
        for number in range(1, 1501):
            outbox.add(number)
        await peer.until(lambda: len(peer.lines) == 1500)
        outbox.add(1501)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await collector.close()
        assert [line.time_unix_nano for line in peer.lines] == list(range(1, 1502))
        assert state() == []


async def test_an_outage_is_bounded_seen_and_not_felt() -> None:
    (port,) = free_ports(1)
    collector = Collector(OtlpSettings(endpoint=f"http://127.0.0.1:{port}"))
    outbox = Outbox[int]("logs", encode, capacity=1000)
    before = dropped("full")
    task = asyncio.create_task(outbox.run(collector))
    longest, until, number = 0.0, time.monotonic() + 1.5, 0
    while time.monotonic() < until:
        for _ in range(50):
            number += 1
            outbox.add(number)
        began = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - began)
    assert len(outbox) <= 1000 + outbox_module.BATCH
    assert dropped("full") > before
    assert state() in (["open"], ["half-open"])
    assert longest < 0.25
    # Back again: the newest are still there, in order.
    async with otlp_peer(port) as peer:
        await peer.until(lambda: peer.lines and peer.lines[-1].time_unix_nano == number, 30)
        seen = [line.time_unix_nano for line in peer.lines]
        assert seen == sorted(set(seen))
        assert len(seen) <= 1000 + outbox_module.BATCH
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await collector.close()


async def test_what_is_refused_for_good_is_not_sent_again() -> None:
    async with otlp_peer() as peer:
        peer.refuse_with = grpc.StatusCode.INVALID_ARGUMENT
        collector = Collector(OtlpSettings(endpoint=peer.endpoint))
        await collector.send("logs", encode([1]))
        assert (peer.asked, state()) == (1, ["closed"])
        peer.refuse_with = grpc.StatusCode.UNAVAILABLE
        with pytest.raises(Away):
            await collector.send("logs", encode([1]))
        assert peer.asked == 1 + collector_module.TRIES
        await collector.close()


async def test_headers_go_along_with_every_request() -> None:
    async with otlp_peer() as peer:
        collector = Collector(OtlpSettings(endpoint=peer.endpoint, headers={"x-key": "s3cret"}))  # type: ignore[dict-item]
        await collector.send("logs", encode([1]))
        assert peer.metadata[0]["x-key"] == "s3cret"
        await collector.close()


async def test_a_collector_with_tls_is_believed_by_its_authority_only(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    authority, stranger = (CertificateAuthority.create("solward.internal", now) for _ in range(2))
    key = new_key()
    certificate = authority.issue_server(key.public_key(), ["127.0.0.1"], now)
    credentials = grpc.ssl_server_credentials([(key_pem(key), authority.chain_pem(certificate).encode())])
    async with otlp_peer(credentials=credentials) as peer:
        ca_file = tmp_path / "ca.pem"
        ca_file.write_text(authority.pem)
        settings = OtlpSettings(endpoint=f"https://127.0.0.1:{peer.port}", ca_file=ca_file)
        collector = Collector(settings, ca_file.read_bytes())
        await collector.send("logs", encode([1]))
        assert len(peer.lines) == 1
        await collector.close()
        other = Collector(settings, stranger.pem.encode())
        with pytest.raises(Away):
            await other.send("logs", encode([2]))
        assert len(peer.lines) == 1
        await other.close()


async def test_what_cannot_be_encoded_stands_in_nobody_s_way() -> None:
    def picky(items: list[int]) -> bytes:
        if 13 in items:
            raise ValueError("not this one")
        return encode(items)

    async with otlp_peer() as peer:
        collector, outbox = Collector(OtlpSettings(endpoint=peer.endpoint)), Outbox("logs", picky)
        before = dropped("broken")
        task = asyncio.create_task(outbox.run(collector))
        outbox.add(13)
        await asyncio.sleep(0.1)
        outbox.add(14)
        await peer.until(lambda: peer.lines)
        assert [line.time_unix_nano for line in peer.lines] == [14]
        assert dropped("broken") == before + 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await collector.close()
