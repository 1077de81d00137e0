"""A real broker that speaks Kafka, noida-db: one process on loopback, whose topics and offsets survive a stop.

Its gaps: a consumer that is killed is never missed, so consumers here are always closed; a fetch brings a whole
backlog.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.support.ports import free_ports

READY_S = 20.0


class KafkaServer:
    """One broker; every method waits until it is so, so that a loop calls them in a thread."""

    def __init__(self, folder: Path) -> None:
        self.port = free_ports(1)[0]
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        self._configuration = {"bootstrap.servers": self.address, "log_level": 0}

    def start(self) -> None:
        """Start, and wait until it answers."""
        spec = find_spec("noida_db")
        if spec is None or spec.origin is None:
            raise RuntimeError("noida-db is not installed: pip install -r requirements/dev.txt")
        program = Path(spec.origin).parent / "noida-db"
        argv = [program, "start", "--only", "kafka", "--kafka-port", str(self.port), "--data-dir", self._folder]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.admin = AdminClient(self._configuration)
        deadline = time.monotonic() + READY_S
        while True:
            try:
                self.admin.list_topics(timeout=1)
                return
            except KafkaException:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the broker is not ready:\n{(self._folder / 'log').read_text()}") from None

    def stop(self) -> None:
        """Stop, in good order: what it holds is there after a start."""
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(READY_S)
            finally:
                self._server.kill()
                self._server.wait()
                self._server = None

    def create(self, *topics: str, partitions: int = 1) -> None:
        """Make topics."""
        for future in self.admin.create_topics([NewTopic(name, partitions, 1) for name in topics]).values():
            future.result(10)

    def delete(self, *topics: str) -> None:
        """Remove topics."""
        for future in self.admin.delete_topics(list(topics)).values():
            future.result(10)

    def produce(self, topic: str, counts: Mapping[int, int]) -> None:
        """Write messages, so many to each partition."""
        producer = Producer(self._configuration)
        for partition, count in counts.items():
            for _ in range(count):
                producer.produce(topic, b"x", partition=partition)
                producer.poll(0)
        assert producer.flush(10) == 0

    def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Commit for a group that has no members."""
        wanted = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        for future in self.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)]).values():
            for told in future.result(10).topic_partitions:
                assert told.error is None, told.error

    def retain(self, topic: str, partition: int, begin: int) -> None:
        """Remove messages as retention does: those before an offset."""
        for future in self.admin.delete_records([TopicPartition(topic, partition, begin)]).values():
            future.result(10)

    def forget(self, group: str) -> None:
        """Delete a group."""
        for future in self.admin.delete_consumer_groups([group]).values():
            future.result(10)

    @contextmanager
    def member(self, group: str, *topics: str) -> Iterator[Consumer]:
        """Join a group for the length of a block; commits are the block's own."""
        consumer = Consumer(
            self._configuration | {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        )
        try:
            consumer.subscribe(list(topics))
            deadline = time.monotonic() + READY_S
            while not consumer.assignment():
                consumer.poll(0.1)
                assert time.monotonic() < deadline, "the group gave no partitions out"
            yield consumer
        finally:
            consumer.close()


@contextmanager
def kafka() -> Iterator[KafkaServer]:
    """Run a broker for the length of a block; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="solward-kafka-"))
    server = KafkaServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
