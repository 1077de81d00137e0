"""A receiver that is as strict as the specifications: what it gets, and what becomes of what it does not take."""

import asyncio
import base64
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from common.breaker import breakers
from controlplane.telemetry.exposition import render
from controlplane.telemetry.fleet_page import FRESH_SECONDS
from controlplane.telemetry.remote_write import running, wire
from controlplane.telemetry.remote_write import sender as sender_module
from tests.peers.remote_write import RemoteWritePeer
from tests.support.remote_write import CLUSTER, Fleet, counted, sent, settings, writing

EXTERNAL = {"cluster": CLUSTER, "job": "solward", "instance": "cp-1"}
LAG = "solana_rpc_slot_lag"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "RETRY_S", (0.01, 0.05))


def fleet_of_two() -> Fleet:
    fleet = Fleet()
    fleet.tell("sol-1", (LAG, {}, 4.0), ("node_cpu_seconds_total", {"cpu": "0"}, 7.5))
    fleet.tell("sol-1", ("solana_rpc_requests", {"method": "getSlot"}, 3.0), counts=True)
    for host in ("sol-1", "sol-2"):
        fleet.observe(host, "getSlot", [0.003, 0.2])
    firing = GaugeMetricFamily("solward_alert_firing", "x", labels=("host", "rule", "detail"))
    firing.add_metric(("sol-1", "rpc_down", ""), 1.0)
    things = CounterMetricFamily("solward_things", "Things.", labels=("z", "a"))
    things.add_metric(("1", "é\n"), 2.0)
    fleet.families = [firing, things]
    return fleet


def of_fleet(found: dict[Any, float]) -> dict[Any, float]:
    """Leave out what changes from one reading to the next: the process's own."""
    stable = ("solana_", "node_", "solward_alert_firing", "solward_things")
    return {key: value for key, value in found.items() if dict(key)["__name__"].startswith(stable)}


@pytest.mark.parametrize("protocol", ["v1", "v2"])
async def test_what_is_written_is_what_the_page_shows(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Small requests, so that there are several.
    monkeypatch.setattr(wire, "MOST_SAMPLES", 20)
    fleet, peer = fleet_of_two(), RemoteWritePeer()
    async with peer.serving() as url, writing(fleet, settings({"url": url, "protocol": protocol})) as made:
        await made.write_now()
        await sent(made)
        page = render(await fleet.read(), False, False).decode()
    assert not peer.refusals
    assert set(peer.requests) == {protocol}
    assert len(peer.requests) > 4
    shown = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = EXTERNAL | {"__name__": sample.name} | sample.labels
            shown[tuple(sorted((name, value) for name, value in labels.items() if value))] = sample.value
    written = {labels: kept.samples[0][1] for labels, kept in peer.series.items()}
    assert of_fleet(written) == of_fleet(shown)  # type: ignore[arg-type]
    assert written.keys() <= shown.keys()
    assert all(len(kept.samples) == 1 for kept in peer.series.values())


async def test_metrics_are_described() -> None:
    for protocol in ("v1", "v2"):
        fleet, peer = fleet_of_two(), RemoteWritePeer()
        async with peer.serving() as url, writing(fleet, settings({"url": url, "protocol": protocol})) as made:
            await made.write_now()
            await sent(made)
        if protocol == "v1":
            about = peer.metadata["node_cpu_seconds_total"]
            assert (about.type, about.unit) == (1, "seconds")
            about = peer.metadata["solana_rpc_latency_seconds"]
            assert (about.type, about.help) == (3, "Latency of JSON-RPC calls that were answered.")
        else:
            (kept,) = [kept for labels, kept in peer.series.items() if ("__name__", "node_cpu_seconds_total") in labels]
            assert kept.about == (1, "As the agent of the host counted it.", "seconds")


async def test_a_series_that_ends_is_said_to_end_once() -> None:
    fleet, peer = fleet_of_two(), RemoteWritePeer()
    now = int(time.time())
    fleet.tell("sol-3", (LAG, {}, 1.0), second=now - FRESH_SECONDS)
    async with peer.serving() as url, writing(fleet, settings({"url": url, "protocol": "v1"})) as made:
        await made.write_now()
        fleet.families = fleet.families[1:]
        # Of one host everything ends; of another, one series has not been told for a minute.
        fleet.ingest.forget("sol-1")
        fleet.tell("sol-3", ("solana_ws_up", {}, 1.0), second=now)
        await made.write_now()
        await made.write_now()
        await sent(made)
    assert not peer.refusals
    ended = [labels for labels, kept in peer.series.items() if [value for _, value in kept.samples][1:] == [None]]
    names = {(dict(labels)["host"], dict(labels)["__name__"]) for labels in ended}
    # And everything else is told three times.
    assert {("sol-1", LAG), ("sol-1", "solana_rpc_requests_total"), ("sol-1", "solana_rpc_latency_seconds_bucket"),
            ("sol-1", "solward_alert_firing"), ("sol-3", LAG)} <= names  # fmt: skip
    assert {host for host, _ in names} == {"sol-1", "sol-3"}
    assert [value for _, value in peer.samples("solana_rpc_latency_seconds_count", host="sol-2")] == [2.0] * 3
    assert [value for _, value in peer.samples("solana_ws_up", host="sol-3")] == [1.0, 1.0]


async def test_a_new_series_of_a_host_ends_none_of_the_old() -> None:
    fleet, peer = fleet_of_two(), RemoteWritePeer()
    async with peer.serving() as url, writing(fleet, settings({"url": url})) as made:
        await made.write_now()
        fleet.tell("sol-1", (LAG, {}, 5.0), ("solana_ws_up", {}, 1.0))
        await made.write_now()
        await sent(made)
    assert [value for _, value in peer.samples(LAG)] == [4.0, 5.0]
    assert not [kept for kept in peer.series.values() if None in [value for _, value in kept.samples]]


@pytest.mark.parametrize(("silent", "status"), [(False, 0), (True, 0), (False, 400), (False, 415)])
async def test_who_does_not_have_the_new_protocol_gets_the_old_from_then_on(silent: bool, status: int) -> None:
    fleet, peer = fleet_of_two(), RemoteWritePeer(("v1",), silent)
    peer.answers = [(status, {})] if status else []
    refused = counted("refused")
    async with peer.serving() as url, writing(fleet, settings({"url": url})) as made:
        for _ in range(2):
            await made.write_now()
            await sent(made)
    assert peer.requests.count("v2") == (0 if status else 1)
    assert [value for _, value in peer.samples(LAG)] == [4.0, 4.0]
    assert peer.metadata
    assert counted("refused") == refused


async def test_what_is_bad_for_who_has_the_new_protocol_does_not_change_it() -> None:
    fleet, peer = fleet_of_two(), RemoteWritePeer()
    refused = counted("refused")
    async with peer.serving() as url, writing(fleet, settings({"url": url})) as made:
        await made.write_now()
        await sent(made)
        peer.answers = [(400, {})]
        await made.write_now()
        await made.write_now()
        await sent(made)
        assert made.senders[0].protocol == "v2"
    assert set(peer.requests) == {"v2"}
    assert len(peer.samples(LAG)) == 2
    assert counted("refused") > refused


async def test_who_is_away_gets_everything_in_order_when_back(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, peer = Fleet(), RemoteWritePeer()
    before = {outcome: counted(outcome) for outcome in ("sent", "refused", "dropped")}
    peer.answers = [(503, {}), (500, {}), (429, {"Retry-After": "0"}), (401, {})]
    async with peer.serving() as url, writing(fleet, settings({"url": url, "protocol": "v1"})) as made:
        for number in range(5):
            fleet.tell("sol-1", (LAG, {}, float(number)))
            await made.write_now()
        assert made.senders[0].waiting_s() >= 0
        await sent(made)
        assert made.senders[0].waiting_s() == 0.0
        assert made.senders[0].lag_s() < 5
        assert "remote write to r0" in {one.name for one in breakers()}
    assert [value for _, value in peer.samples(LAG)] == [0, 1, 2, 3, 4]
    assert counted("refused") == before["refused"]
    assert counted("dropped") == before["dropped"]
    assert counted("sent") - before["sent"] == sum(len(kept.samples) for kept in peer.series.values())


async def test_retry_after_is_kept_to() -> None:
    fleet, peer = Fleet(), RemoteWritePeer()
    peer.answers = [(503, {"Retry-After": "1"})]
    async with peer.serving() as url, writing(fleet, settings({"url": url, "protocol": "v1"})) as made:
        began = time.monotonic()
        await made.write_now()
        await sent(made)
        assert 0.9 < time.monotonic() - began < 5


async def test_beyond_the_queue_the_oldest_is_dropped_and_counted() -> None:
    fleet, peer = Fleet(), RemoteWritePeer()
    peer.status = 503
    wanted = {"interval_seconds": 60, "queue_minutes": 2}
    dropped, whole = counted("dropped"), 0
    async with peer.serving() as url, writing(fleet, settings({"url": url, "protocol": "v1"}, **wanted)) as made:
        for number in range(7):
            fleet.tell("sol-1", (LAG, {}, float(number)))
            await made.write_now()
            whole = max(whole, made.senders[0]._queue[-1].count)
            await asyncio.sleep(0.02)
        peer.status = 0
        await sent(made)
    assert [value for _, value in peer.samples(LAG)] == [4, 5, 6]
    assert 4 * (whole - 50) < counted("dropped") - dropped <= 4 * whole


async def test_what_is_refused_is_dropped_and_said_once() -> None:
    fleet, peer = Fleet(), RemoteWritePeer()
    peer.status = 413
    refused = counted("refused")
    with structlog.testing.capture_logs() as said:
        async with peer.serving() as url, writing(fleet, settings({"url": url, "protocol": "v1"})) as made:
            for _ in range(3):
                await made.write_now()
            await sent(made)
    errors = [one for one in said if one["log_level"] == "error"]
    assert [one["why"] for one in errors] == ["status 413: as told"]
    assert counted("refused") > refused


async def test_of_what_is_written_in_part_the_rest_is_refused() -> None:
    fleet, peer = Fleet(), RemoteWritePeer()
    told, refused = counted("sent"), counted("refused")
    peer.answers = [(400, {"X-Prometheus-Remote-Write-Samples-Written": "5"})]
    async with peer.serving() as url, writing(fleet, settings({"url": url})) as made:
        await made.write_now()
        size = made.senders[0]._queue[0].count
        await sent(made)
        # Whoever says how much it wrote has protocol 2.0.
        assert made.senders[0].protocol == "v2"
    assert counted("sent") - told == 5
    assert counted("refused") - refused == size - 5


async def test_a_clock_that_is_set_back_a_little_makes_no_time_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, peer = fleet_of_two(), RemoteWritePeer()
    async with peer.serving() as url, writing(fleet, settings({"url": url})) as made:
        for unix_ms in (5_000_000, 5_000_000, 4_999_000, 1_000):
            monkeypatch.setattr(running, "now_ms", lambda unix_ms=unix_ms: unix_ms)
            await made.write_now()
            await sent(made)
    assert [when for when, _ in peer.samples(LAG)] == [5_000_000, 5_000_001, 5_000_002]
    assert peer.refusals == ["out of order sample"]


async def test_who_should_have_the_new_protocol_and_does_not_is_named() -> None:
    fleet, peer = Fleet(), RemoteWritePeer(("v1",), silent=True)
    with structlog.testing.capture_logs() as said:
        async with peer.serving() as url, writing(fleet, settings({"url": url, "protocol": "v2"})) as made:
            await made.write_now()
            await sent(made)
    assert [one["why"] for one in said if one["log_level"] == "error"] == ["it does not have protocol 2.0"]


async def test_receivers_do_not_wait_for_each_other() -> None:
    fleet, away, there = Fleet(), RemoteWritePeer(), RemoteWritePeer()
    away.status = 503
    fleet.tell("sol-1", (LAG, {}, 1.0))
    async with (
        away.serving() as one, there.serving() as other,
        writing(fleet, settings({"url": one}, {"url": other})) as made,
    ):  # fmt: skip
        await made.write_now()
        async with asyncio.timeout(10):
            while not there.series:
                await asyncio.sleep(0.01)
        assert not away.series
    assert len(there.samples(LAG)) == 1
    labels = {"receiver": "r0"}
    assert REGISTRY.get_sample_value("solward_remote_write_queue_seconds", labels) is None


async def test_credentials_and_headers_are_sent() -> None:
    basic = "Basic " + base64.b64encode(b"me:secret").decode()
    for credentials, wanted in (({"token": "t0ken"}, "Bearer t0ken"), ({"user": "me", "password": "secret"}, basic)):
        fleet, peer = Fleet(), RemoteWritePeer(authorization=wanted)
        own = {"headers": {"X-Scope-OrgID": "team"}}
        async with peer.serving() as url, writing(fleet, settings({"url": url} | credentials | own)) as made:
            await made.write_now()
            await sent(made)
        assert peer.series
        assert {told["X-Scope-OrgID"] for told in peer.headers} == {"team"}
        assert {told["Authorization"] for told in peer.headers} == {wanted}


async def test_a_certificate_must_come_from_the_authority_that_is_named(tmp_path: Path) -> None:
    fleet, peer = Fleet(), RemoteWritePeer()
    ca_file, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-keyout", str(key), "-out", str(ca_file), "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"]
    await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(ca_file, key)
    async with peer.serving(tls=tls) as url:
        async with writing(fleet, settings({"url": url, "ca_file": str(ca_file)})) as made:
            await made.write_now()
            await sent(made)
        assert peer.series
        peer.series.clear()
        async with writing(fleet, settings({"url": url}, {"url": url, "ca_file": "/nowhere"})) as made:
            await made.write_now()
            await asyncio.sleep(0.3)
        assert not peer.series
