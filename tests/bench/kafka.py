"""The Kafka probe at 1,000 partitions and 50 groups: how long a look takes, and what an agent weighs with it."""

import asyncio
import tempfile
from pathlib import Path
from threading import Event
from time import monotonic, perf_counter, process_time

import confluent_kafka
import psutil
import yaml

from agent.geyser.kafka.client import Cluster
from agent.geyser.kafka.sweep import Sweep
from agent.geyser.settings import KafkaSettings
from tests.bench.agent import own_environment
from tests.bench.rows import Row, quantile, row
from tests.bench.setup import HIGH_LIMITS
from tests.support.cluster import cluster
from tests.support.kafka import KafkaServer, kafka

TOPICS, PARTITIONS, GROUPS = 10, 100, 50
LOOKS = 20
SECONDS = 60


async def run() -> list[Row]:
    """Measure a look, and then a real agent that looks every 5 s."""
    with kafka() as broker:
        await asyncio.to_thread(_fill, broker)
        took, cpu = await asyncio.to_thread(_looks, broker)
        without, rss = await _agent(broker)
    version = f"confluent-kafka {confluent_kafka.__version__}, librdkafka {confluent_kafka.libversion()[0]}, noida-db"
    what = f"{TOPICS * PARTITIONS:,} partitions × {GROUPS} groups, all of them committed and behind"
    return [
        row("kafka_sweep_s", quantile(took, 0.5), "s", "<= 1",
            f"median of {LOOKS} looks, {max(took):.2f} at the most, {cpu:.2f} s of CPU each: {what}; {version}"),
        row("agent_rss_kafka_mb", rss, "MiB", "<= 128",
            f"after {SECONDS} s of looks every 5 s: {what}; the same agent without them weighs {without:.0f} MiB"),
    ]  # fmt: skip


def _fill(broker: KafkaServer) -> None:
    topics = [f"topic-{number}" for number in range(TOPICS)]
    broker.create(*topics, partitions=PARTITIONS)
    for topic in topics:
        broker.produce(topic, dict.fromkeys(range(PARTITIONS), 20))
        for group in range(GROUPS):
            broker.commit(f"group-{group}", topic, dict.fromkeys(range(PARTITIONS), 10))


def _looks(broker: KafkaServer) -> tuple[list[float], float]:
    watched = Cluster("bench", KafkaSettings(brokers=(broker.address,)), Event())
    sweep, took, begun_cpu = Sweep("bench", {}, 5.0), [], process_time()
    for _ in range(LOOKS):
        begun = perf_counter()
        told = sweep.take(watched.look(), monotonic())
        took.append(perf_counter() - begun)
        assert len(told.samples) > TOPICS * GROUPS
    return took, (process_time() - begun_cpu) / LOOKS


async def _agent(broker: KafkaServer) -> tuple[float, float]:
    """Give the memory of an agent, without and with the probe, in MiB."""
    program = await asyncio.to_thread(own_environment)
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder), rate_limits=HIGH_LIMITS, log_level="warning") as plane:
            plane.agent_program = (str(program), "-m", "agent")
            await plane.sign_in()
            host = await plane.prepare_host("sol-1")
            await plane.enroll(host)
            found = []
            for geyser in (None, {"kafka": {"bench": {"brokers": [broker.address], "period_seconds": 5}}}):
                settings = yaml.safe_load(host.config.read_text()) | ({"geyser": geyser} if geyser else {})
                host.config.write_text(yaml.safe_dump(settings))
                await plane.start_agent(host)
                await asyncio.sleep(SECONDS)
                assert host.agent
                found.append(psutil.Process(host.agent.pid).memory_info().rss / 2**20)
                await plane.stop_agent(host)
    return found[0], found[1]
