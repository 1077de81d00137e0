"""A Geyser pipeline of real programs: a node, a Kafka broker, a consumer that is a unit, and a PostgreSQL table."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from confluent_kafka import Producer

from tests.support.cluster import HostProcess
from tests.support.kafka import KafkaServer, kafka
from tests.support.postgres import PostgresServer, postgres

HOST, UNIT = "sol-1", "indexer.service"
TOPIC, GROUP = "solana.slots", "indexer"
HOPS = [
    {"name": "node", "kind": "node", "host": HOST},
    {"name": "topic", "kind": "topic", "host": HOST, "source": "main", "topic": TOPIC},
    {"name": "indexer", "kind": "consumer", "host": HOST, "source": "main", "topic": TOPIC, "group": GROUP,
     "unit": UNIT},
    {"name": "rows", "kind": "sink", "host": HOST, "source": "db", "table": "slot"},
]  # fmt: skip
RECOVERY = {
    "cures": [{"hop": "indexer", "flaws": ["stalled", "down"], "for_seconds": 5, "steps": ["restart_unit"]}],
    "settle_seconds": 30, "back_off_seconds": 30,
}  # fmt: skip
# As controlplane.yaml has it under geyser.
SETTINGS = {"pipelines": {"slots": {"hops": HOPS, "recovery": RECOVERY}}}


class Stores(NamedTuple):
    """The broker with its topic, and the database with its table, whose URL is in a file."""

    broker: KafkaServer
    database: PostgresServer
    secret: Path

    def looked_at(self) -> dict[str, Any]:
        """Give what agent.yaml has under geyser."""
        return {
            "kafka": {"main": {"brokers": [self.broker.address], "period_seconds": 1, "kinds": {TOPIC: "slot"}}},
            "sinks": {
                "db": {
                    "postgresql": {
                        "url_file": str(self.secret),
                        "period_seconds": 1,
                        "budget": {"queries_per_minute": 600},
                    }
                }
            },
        }

    def consumer(self, folder: Path) -> list[str]:
        """Give what the unit starts: while FOLDER/hang exists it reads nothing."""
        url = self.secret.read_text()
        return [sys.executable, "-m", "tests.peers.indexer", self.broker.address, TOPIC, GROUP, url, str(folder)]


@contextmanager
def stores(folder: Path) -> Iterator[Stores]:
    """Run a broker and a database; the URL's file is put into the folder."""
    with kafka() as broker, postgres() as database:
        broker.create(TOPIC, partitions=2)
        database.sql("CREATE TABLE slot (slot bigint PRIMARY KEY, updated_on timestamp NOT NULL)")
        secret = folder / "db.url"
        secret.touch(0o600)
        secret.write_text(database.url().replace("+asyncpg", ""))
        yield Stores(broker, database, secret)


async def feed(host: HostProcess, broker: KafkaServer) -> None:
    """Write each slot of the node to the topic, as a plugin does."""
    producer, newest = Producer({"bootstrap.servers": broker.address, "log_level": 0}), 0
    async with aiohttp.ClientSession() as http:
        while True:
            asked = {"jsonrpc": "2.0", "id": 1, "method": "getSlot", "params": [{"commitment": "processed"}]}
            async with http.post(f"http://127.0.0.1:{host.rpc_port}", json=asked) as answer:
                slot = (await answer.json())["result"]
            for one in range(newest + 1 if newest else slot, slot + 1):
                producer.produce(TOPIC, str(one).encode(), partition=one % 2)
            newest = slot
            await asyncio.to_thread(producer.flush, 5)
            await asyncio.sleep(0.2)
