"""What the Kafka probe makes of brokers that fail: down, slow, rolling; of closed doors; of endless answers."""

import asyncio
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import pytest
from confluent_kafka import Producer

from agent.geyser.kafka.client import Cluster
from agent.geyser.kafka.failures import KafkaFailed
from agent.geyser.settings import KafkaSettings, SaslSettings, TlsSettings
from agent.probes.geyser_kafka import KafkaProbe
from agent.secret_file import SettingsFileError
from tests.peers.kafka_door import Wanted, door
from tests.support.kafka import KafkaServer, kafka
from tests.support.kafka_mock import mock_cluster
from tests.support.sink import Kept
from tests.support.tls import Authority


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaServer]:
    with kafka() as running:
        running.create("t")
        running.produce("t", {0: 10})
        running.commit("g", "t", {0: 4})
        yield running


def cluster(*brokers: str, **settings: object) -> Cluster:
    settings = {"timeout_seconds": 1.0} | settings
    return Cluster("main", KafkaSettings(brokers=brokers, **settings), Event())  # type: ignore[arg-type]


async def failure(*brokers: str, **settings: object) -> KafkaFailed:
    with pytest.raises(KafkaFailed) as failed:
        await asyncio.to_thread(cluster(*brokers, **settings).look)
    return failed.value


def secret(folder: Path, text: str) -> Path:
    path = folder / "password"
    path.touch(0o600)
    path.write_text(f"{text}\n")
    return path


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_one_signs_in_through_tls(broker: KafkaServer, tmp_path: Path, mechanism: str) -> None:
    authority = Authority(tmp_path)
    tls = TlsSettings(ca_file=authority.file)
    wanted = Wanted(broker.port, authority.server("127.0.0.1"), mechanism, password="right")
    async with door(wanted) as port:
        sasl = SaslSettings(mechanism, "solward", secret(tmp_path, "right"))  # type: ignore[arg-type]
        look = await asyncio.to_thread(cluster(f"127.0.0.1:{port}", tls=tls, sasl=sasl, timeout_seconds=5.0).look)
        assert look.groups["g"].committed == {"t": {0: 4}}
        assert look.topics["t"].ends == [10]
        (tmp_path / "password").write_text("wrong")
        failed = await failure(f"127.0.0.1:{port}", tls=tls, sasl=sasl, timeout_seconds=5.0)
        assert failed.kind == "auth"
        assert "wrong" not in failed.message


async def test_who_is_asked_for_a_certificate_shows_it(broker: KafkaServer, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.server("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    certificate, key = authority.issue("agent")
    async with door(Wanted(broker.port, context)) as port:
        tls = TlsSettings(ca_file=authority.file, cert_file=certificate, key_file=key)
        look = await asyncio.to_thread(cluster(f"127.0.0.1:{port}", tls=tls, timeout_seconds=5.0).look)
        assert look.brokers == 1


async def test_a_broker_of_another_authority_is_a_failure_of_tls(broker: KafkaServer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours, theirs = Authority(tmp_path), Authority(tmp_path / "other")
    async with door(Wanted(broker.port, theirs.server("127.0.0.1"))) as port:
        failed = await failure(f"127.0.0.1:{port}", tls=TlsSettings(ca_file=ours.file), timeout_seconds=5.0)
        assert failed.kind == "tls"
    async with door(Wanted(broker.port, ours.server("elsewhere.example"))) as port:
        failed = await failure(f"127.0.0.1:{port}", tls=TlsSettings(ca_file=ours.file), timeout_seconds=5.0)
        assert failed.kind == "tls"


def test_a_password_that_others_can_read_is_refused_by_name(tmp_path: Path) -> None:
    path = secret(tmp_path, "right")
    path.chmod(0o640)
    with pytest.raises(SettingsFileError, match=r"geyser\.kafka\.main\.sasl\.password_file: .* chmod 600"):
        cluster("127.0.0.1:1", sasl=SaslSettings("PLAIN", "u", path))
    with pytest.raises(SettingsFileError, match=r"geyser\.kafka\.main\.tls\.ca_file: .* cannot be read"):
        cluster("127.0.0.1:1", tls=TlsSettings(ca_file=tmp_path / "none"))


async def test_a_port_where_nobody_listens_is_unreachable(capfd: pytest.CaptureFixture[str]) -> None:
    failed = await failure("127.0.0.1:1")
    assert failed.kind == "unreachable"
    assert capfd.readouterr() == ("", "")


@asynccontextmanager
async def endless(size: int) -> AsyncIterator[int]:
    """Answer every request with so many bytes."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (length,) = struct.unpack(">i", await reader.readexactly(4))
            request = await reader.readexactly(length)
            writer.write(struct.pack(">i", size) + request[4:8])
            for _ in range(size // 65536):
                writer.write(bytes(65536))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client has seen enough.
        finally:
            writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_an_answer_of_100_megabytes_is_not_taken() -> None:
    async with endless(100_000_000) as port:
        before = resident()
        failed = await failure(f"127.0.0.1:{port}", timeout_seconds=2.0)
        assert failed.kind in ("answer", "unreachable")
        assert resident() - before < 20_000_000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_a_broker_that_goes_down_and_comes_up_again_in_a_rolling_restart() -> None:
    with mock_cluster(3) as mock:
        await asyncio.to_thread(mock.create, "t", 6)
        await asyncio.to_thread(write, mock.brokers, 60)
        watched = cluster(*mock.brokers)
        for broker in (1, 2, 3):
            look = await asyncio.to_thread(watched.look)
            assert sum(look.topics["t"].ends) == 60
            mock.down(broker)
            look = await asyncio.to_thread(watched.look)
            assert look.brokers in (2, 3)
            mock.up(broker)
            await settled(watched, 60)
        for broker in (1, 2, 3):
            mock.down(broker)
        failed = await failure(*mock.brokers)
        assert failed.kind in ("unreachable", "timeout")
        for broker in (1, 2, 3):
            mock.up(broker)
        await settled(watched, 60)


async def settled(watched: Cluster, written: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            look = await asyncio.to_thread(watched.look)
        except KafkaFailed:
            continue
        if sum(look.topics["t"].ends) == written:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"the cluster did not come back: {look}")


def write(brokers: list[str], count: int) -> None:
    producer = Producer({"bootstrap.servers": ",".join(brokers), "log_level": 0})
    for number in range(count):
        producer.produce("t", b"x", partition=number % 6)
    assert producer.flush(10) == 0


async def test_a_slow_cluster_costs_its_deadline_and_the_loop_nothing() -> None:
    with mock_cluster(1) as mock:
        await asyncio.to_thread(mock.create, "t", 1)
        settings = KafkaSettings(brokers=tuple(mock.brokers), timeout_seconds=1.0, period_seconds=1.0)
        probe, sink = KafkaProbe({"main": settings}), Kept()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(probe.run(sink))
            while sink.of("geyser_kafka_up", source="main")[-1:] != [1.0]:
                await asyncio.sleep(0.05)
            mock.slow(1, 5_000)
            longest, last = 0.0, time.monotonic()
            began = last
            while sink.of("geyser_kafka_up", source="main")[-1] == 1.0:
                await asyncio.sleep(0.01)
                longest, last = max(longest, time.monotonic() - last), time.monotonic()
            assert last - began < 8
            assert longest < 0.5
            # The client drops a connection whose answer is late, and then says that it has none.
            classes = ("timeout", "unreachable")
            assert any(sink.of("geyser_errors", source="main", **{"class": one}) for one in classes)
            mock.slow(1, 0)
            task.cancel()


async def test_a_probe_that_is_stopped_in_the_middle_of_a_look_leaves_no_thread() -> None:
    with mock_cluster(1) as mock:
        await asyncio.to_thread(mock.create, "t", 1)
        mock.slow(1, 20_000)
        settings = KafkaSettings(brokers=tuple(mock.brokers), timeout_seconds=10.0)
        probe = KafkaProbe({"stopped": settings})
        task = asyncio.create_task(probe.run(Kept()))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        deadline = time.monotonic() + 3
        while [one for one in threading.enumerate() if one.name.startswith("kafka-stopped")]:
            assert time.monotonic() < deadline, "the thread of the look goes on"
            await asyncio.sleep(0.05)
