"""One cluster, asked through librdkafka's admin client; every call here blocks, and belongs in a thread of its own."""

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from threading import Event
from time import monotonic
from typing import Any, Final, TypeVar, cast

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from agent.geyser.kafka.failures import ANSWER, GONE, TELLING, TIMEOUT, UNREACHABLE, KafkaFailed, kind_of
from agent.geyser.kafka.groups import GroupLook, State
from agent.geyser.kafka.history import UNKNOWN
from agent.geyser.settings import KafkaSettings, SaslSettings, TlsSettings
from agent.secret_file import read_line, readable

Value = TypeVar("Value")

# Of what a cluster has, that much is looked at; the rest is left out, and said to be.
MOST_GROUPS: Final = 500
MOST_PARTITIONS: Final = 20_000
# An answer of a look is a few megabytes at the most.
_LONGEST_ANSWER: Final = 32 * 1024 * 1024
_SLICE_S: Final = 0.25
# Topics of Kafka's own.
_OWN: Final = "__"
_FIRST, _LAST = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]

_STATES: Final[dict[ConsumerGroupState, State]] = {
    ConsumerGroupState.STABLE: "stable",
    ConsumerGroupState.PREPARING_REBALANCING: "rebalancing",
    ConsumerGroupState.COMPLETING_REBALANCING: "rebalancing",
    ConsumerGroupState.EMPTY: "empty",
    ConsumerGroupState.DEAD: "dead",
}


@dataclass
class TopicLook:
    """The beginnings and ends of a topic's partitions; UNKNOWN where a leader did not answer."""

    begins: list[int]
    ends: list[int]


@dataclass
class Look:
    """What one look at a cluster brought.

    Attributes:
        groups_whole: every broker listed its groups, so that one that is not here is gone.
        errors: what failed within it, by class.
        left_out: groups and partitions beyond what is looked at.
    """

    brokers: int
    groups: dict[str, GroupLook] = field(default_factory=dict)
    groups_whole: bool = True
    topics: dict[str, TopicLook] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    left_out: int = 0


def configuration(name: str, wanted: KafkaSettings) -> dict[str, str | int | float | bool]:
    """Give librdkafka's configuration; raises SettingsFileError where a file that the settings name will not do."""
    field_name = f"geyser.kafka.{name}"
    protocol = ("SASL_" if wanted.sasl else "") + ("SSL" if wanted.tls else "PLAINTEXT")
    timeout_ms = int(wanted.timeout_seconds * 1000)
    return {
        "bootstrap.servers": ",".join(wanted.brokers),
        "client.id": "solward-agent",
        "security.protocol": protocol,
        # What it would write to standard error comes to the error callback as well.
        "log_level": 0,
        "enable.metrics.push": False,
        "socket.timeout.ms": max(1000, timeout_ms),
        "socket.keepalive.enable": True,
        "socket.connection.setup.timeout.ms": max(1000, timeout_ms),
        "reconnect.backoff.max.ms": 10_000,
        "receive.message.max.bytes": _LONGEST_ANSWER,
        **(_tls(field_name, wanted.tls) if wanted.tls else {}),
        **(_sasl(field_name, wanted.sasl) if wanted.sasl else {}),
    }


def _tls(field_name: str, tls: TlsSettings) -> dict[str, str]:
    files = {
        "ssl.ca.location": readable(tls.ca_file, f"{field_name}.tls.ca_file"),
        "ssl.certificate.location": readable(tls.cert_file, f"{field_name}.tls.cert_file"),
        "ssl.key.location": readable(tls.key_file, f"{field_name}.tls.key_file"),
    }
    return {key: value for key, value in files.items() if value is not None}


def _sasl(field_name: str, sasl: SaslSettings) -> dict[str, str]:
    password = read_line(sasl.password_file, f"{field_name}.sasl.password_file")
    return {"sasl.mechanism": sasl.mechanism, "sasl.username": sasl.user, "sasl.password": password}


class Cluster:
    """One cluster; its client is made by the first look, and kept.

    Args:
        stop: set from elsewhere, ends a look that is under way within a quarter of a second.
    """

    def __init__(self, name: str, wanted: KafkaSettings, stop: Event) -> None:
        self._wanted = wanted
        self._configuration = configuration(name, wanted)
        self._stop = stop
        self._client: AdminClient | None = None
        self._said: list[KafkaError] = []
        self._until = 0.0

    def look(self) -> Look:
        """Look at the cluster: commits first, and then the ends, so that nobody is seen ahead of an end.

        Raises: KafkaFailed where no broker answers.
        """
        self._said.clear()
        client = self._client or self._connect()
        topics, brokers = self._metadata(client)
        look = Look(brokers)
        self._look_at_groups(client, look)
        self._look_at_topics(client, topics, look)
        client.poll(0)
        return look

    def close(self) -> None:
        """Let the connections go."""
        self._client = None

    def _connect(self) -> AdminClient:
        try:
            made = AdminClient({**self._configuration, "error_cb": cast("Any", self._said.append)})
        except KafkaException as error:
            failed: KafkaError = error.args[0]
            raise KafkaFailed(kind_of(failed), failed.str()) from None
        self._client = made
        return made

    def _metadata(self, client: AdminClient) -> tuple[dict[str, int], int]:
        """Give the partitions of each topic that is looked at, and how many brokers there are."""
        deadline = monotonic() + self._wanted.timeout_seconds
        while True:
            try:
                known = client.list_topics(timeout=_SLICE_S if self._said else min(1.0, self._wanted.timeout_seconds))
                break
            except KafkaException as error:
                client.poll(0)
                failed: KafkaError = error.args[0]
                telling = [said for said in self._said if kind_of(said) in TELLING]
                if telling or self._stop.is_set() or monotonic() > deadline:
                    raise self._failure(failed) from None
        mine = {name: len(topic.partitions) for name, topic in known.topics.items() if self._watched(name)}
        return mine, len(known.brokers)

    def _failure(self, failed: KafkaError) -> KafkaFailed:
        order = (*TELLING, ANSWER, TIMEOUT, UNREACHABLE)
        said = sorted((one for one in self._said if kind_of(one) in order), key=lambda one: order.index(kind_of(one)))
        reason = said[0] if said else failed
        return KafkaFailed(kind_of(reason), reason.str())

    def _watched(self, topic: str) -> bool:
        if self._wanted.topics:
            return _matches(topic, self._wanted.topics)
        return not topic.startswith(_OWN)

    def _look_at_groups(self, client: AdminClient, look: Look) -> None:
        timeout_s = self._wanted.timeout_seconds
        listed = self._wait({"": client.list_consumer_groups(request_timeout=timeout_s)}, look).get("")
        # A cluster that lists nothing to us may still tell of groups that the settings name.
        named = {name for name in self._wanted.groups if not set("*?[") & set(name)}
        look.groups_whole = listed is not None and not listed.errors
        if listed is not None:
            look.errors.update(kind_of(error) for error in listed.errors)
            ids = {one.group_id for one in listed.valid}
            named |= {name for name in ids if name and _matches(name, self._wanted.groups)}
        names = sorted(named)[:MOST_GROUPS]
        look.left_out += len(named) - len(names)
        if not names:
            return
        asked = {
            name: client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)], request_timeout=timeout_s)[
                name
            ]
            for name in names
        }
        told = self._wait(client.describe_consumer_groups(names, request_timeout=timeout_s), look)
        offsets = self._wait(asked, look)
        asked.clear()
        for name in names:
            # Each answer goes as it is read: there may be tens of thousands of offsets.
            look.groups[name] = self._group(told.get(name), offsets.pop(name, None))

    def _group(self, told: Any, offsets: ConsumerGroupTopicPartitions | None) -> GroupLook:
        committed: dict[str, dict[int, int]] | None = None
        if offsets is not None:
            committed = {}
            for one in offsets.topic_partitions or ():
                if one.offset >= 0 and not one.error:
                    committed.setdefault(one.topic, {})[one.partition] = one.offset
            committed = {topic: found for topic, found in committed.items() if self._watched(topic)}
        if told is None:
            return GroupLook("unknown", committed=committed)
        assigned: dict[str, set[int]] = {}
        for member in told.members:
            for one in member.assignment.topic_partitions if member.assignment else ():
                if self._watched(one.topic):
                    assigned.setdefault(one.topic, set()).add(one.partition)
        members = frozenset(member.member_id for member in told.members)
        return GroupLook(_STATES.get(told.state, "unknown"), members, assigned, committed)

    def _look_at_topics(self, client: AdminClient, topics: Mapping[str, int], look: Look) -> None:
        level = IsolationLevel.READ_COMMITTED if self._wanted.read_committed else IsolationLevel.READ_UNCOMMITTED
        asked: list[TopicPartition] = []
        for name in sorted(topics):
            if len(asked) + topics[name] > MOST_PARTITIONS:
                look.left_out += topics[name]
                continue
            asked += [TopicPartition(name, partition) for partition in range(topics[name])]
            look.topics[name] = TopicLook([UNKNOWN] * topics[name], [UNKNOWN] * topics[name])
        if not asked:
            return
        timeout_s = self._wanted.timeout_seconds
        begins = client.list_offsets(dict.fromkeys(asked, _FIRST), request_timeout=timeout_s)
        ends = client.list_offsets(dict.fromkeys(asked, _LAST), isolation_level=level, request_timeout=timeout_s)
        for one, found in self._wait(begins, look).items():
            look.topics[one.topic].begins[one.partition] = found.offset
        for one, found in self._wait(ends, look).items():
            look.topics[one.topic].ends[one.partition] = found.offset

    def _wait(self, futures: Mapping[Any, "Future[Value]"], look: Look) -> dict[Any, Value]:
        """Wait for answers; those that failed are counted by class, each class once for one question."""
        # The client's own deadline ends every one of them; this is for the case that it does not.
        deadline = monotonic() + self._wanted.timeout_seconds + 1.0
        found: dict[Any, Value] = {}
        failed: set[str] = set()
        for key, future in futures.items():
            try:
                found[key] = self._result(future, deadline)
            except KafkaException as error:
                failed.add(kind_of(error.args[0]))
            except TimeoutError:
                failed.add(TIMEOUT)
        look.errors.update(failed - {GONE})
        return found

    def _result(self, future: "Future[Value]", deadline: float) -> Value:
        while True:
            left_s = 0.0 if self._stop.is_set() else deadline - monotonic()
            try:
                return future.result(max(0.0, min(_SLICE_S, left_s)))
            except TimeoutError:
                if left_s <= 0:
                    raise


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
