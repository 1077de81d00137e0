"""librdkafka's mock cluster: several brokers in this process, which can be down or slow.

It lists no groups; what it is for is brokers that fail. Reference: rdkafka_mock.h of librdkafka.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka


class MockCluster:
    """A cluster; brokers count from 1."""

    def __init__(self, library: Any, cluster: int) -> None:
        self._library = library
        self._cluster = cluster
        addresses: bytes = library.rd_kafka_mock_cluster_bootstraps(cluster)
        self.brokers = addresses.decode().split(",")

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic, with a copy on each of up to three brokers."""
        copies = min(3, len(self.brokers))
        self._done(self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, copies))

    def down(self, broker: int) -> None:
        """Take a broker down: its connections end, and it takes no others."""
        self._done(self._library.rd_kafka_mock_broker_set_down(self._cluster, broker))

    def up(self, broker: int) -> None:
        """Bring a broker up again."""
        self._done(self._library.rd_kafka_mock_broker_set_up(self._cluster, broker))

    def slow(self, broker: int, ms: int) -> None:
        """Let every answer of a broker come so late."""
        self._done(self._library.rd_kafka_mock_broker_set_rtt(self._cluster, broker, ms))

    def _done(self, code: int) -> None:
        assert code == 0, f"the mock cluster answered {code}"


@contextmanager
def mock_cluster(brokers: int) -> Iterator[MockCluster]:
    """Run a cluster for the length of a block."""
    library = _library()
    error = ctypes.create_string_buffer(256)
    configuration = library.rd_kafka_conf_new()
    # Its producer, which nobody uses, has nothing to say either.
    library.rd_kafka_conf_set(configuration, b"log_level", b"0", error, 256)
    client = library.rd_kafka_new(0, configuration, error, 256)
    if not client:
        raise RuntimeError(f"no mock cluster: {error.value.decode()}")
    cluster = library.rd_kafka_mock_cluster_new(client, brokers)
    try:
        yield MockCluster(library, cluster)
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(client)


def _library() -> Any:
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    library = ctypes.CDLL(str(next(folder.glob("librdkafka-*"))))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_rtt", number, [pointer, ctypes.c_int32, number]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
