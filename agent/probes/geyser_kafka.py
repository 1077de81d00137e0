"""Tell how far consumer groups of Kafka clusters are behind: docs/geyser.md names the series and the events.

Each cluster is looked at once a period, in a thread of its own, since its client blocks. A cluster that cannot be asked
is told as down, with the class of the failure, and left alone for a while after it failed several times in a row.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic

import structlog
from solward.geyser.v1 import geyser_pb2
from solward.hosts.v1 import link_pb2

from agent.geyser.kafka.client import Cluster
from agent.geyser.kafka.failures import KafkaFailed
from agent.geyser.kafka.history import UNKNOWN
from agent.geyser.kafka.lag import PartitionLag
from agent.geyser.kafka.sweep import Sweep, Told
from agent.geyser.settings import KafkaSettings
from agent.permits import Refusal
from agent.probes.base import Series, Sink
from common.breaker import Breaker, BreakerOpen

log = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 60.0
# How long who asks for partitions waits for a look that is under way.
LAGS_WITHIN_S = 10.0
# What a signed receipt has room for.
MOST_PARTITIONS = 500


class KafkaProbe:
    """Looks at clusters.

    Args:
        clusters: by name, which their series bear as `source`.

    Raises:
        SettingsFileError: where a file that the settings name will not do.
    """

    name = "geyser_kafka"

    def __init__(self, clusters: Mapping[str, KafkaSettings]) -> None:
        self._watches = {name: _Watch(name, wanted) for name, wanted in clusters.items()}

    async def partition_lags(self, asked: link_pb2.PartitionLagsAsk) -> geyser_pb2.PartitionLags:
        """Tell a group's lag in each partition of a topic, by the newest look at the cluster.

        Raises: Refusal KAFKA_UNKNOWN, GROUP_UNKNOWN, KAFKA_BUSY.
        """
        watch = self._watches.get(asked.source)
        if watch is None:
            known = ", ".join(self._watches)
            raise Refusal("KAFKA_UNKNOWN", f"geyser.kafka in agent.yaml knows {known}, and not {asked.source!r}")
        return await watch.partition_lags(asked)

    async def run(self, sink: Sink) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, watch in self._watches.items():
                group.create_task(watch.run(sink), name=f"kafka {name}")


class _Watch:
    """One cluster and its thread."""

    def __init__(self, name: str, wanted: KafkaSettings) -> None:
        self._name = name
        self._period_s = wanted.period_seconds
        self._stop = Event()
        self._cluster = Cluster(name, wanted, self._stop)
        self._sweep = Sweep(name, wanted.kinds, wanted.period_seconds)
        self._breaker = Breaker(f"kafka {name}", failures=3, first_s=wanted.period_seconds, longest_s=LONGEST_PAUSE_S)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{name}")
        self._said_left_out = False
        self._down = False

    async def run(self, sink: Sink) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                await self._turn(sink)
                due = max(due + self._period_s, loop.time())
                await asyncio.sleep(due - loop.time())
        finally:
            self._stop.set()
            self._thread.submit(self._cluster.close)
            self._thread.shutdown(wait=False)
            self._breaker.close()

    async def _turn(self, sink: Sink) -> None:
        up = Series.of("geyser_kafka_up", source=self._name)
        try:
            self._breaker.before()
            begun = monotonic()
            told, errors = await asyncio.get_running_loop().run_in_executor(self._thread, self._look)
        except BreakerOpen:
            sink.sample(up, 0.0)
            return
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # What the client made of an answer that nobody thought of.
            log.exception("a look at a Kafka cluster failed", source=self._name)
            self._failed(KafkaFailed("other", type(error).__name__))
            sink.sample(up, 0.0)
            self._tell_errors(sink, {"other": 1})
            return
        except KafkaFailed as failed:
            self._failed(failed)
            sink.sample(up, 0.0)
            self._tell_errors(sink, {failed.kind: 1})
            return
        self._succeeded(told.left_out)
        sink.sample(up, 1.0)
        sink.sample(Series.of("geyser_kafka_sweep_seconds", source=self._name), monotonic() - begun)
        self._tell_errors(sink, errors)
        for series, value in told.samples:
            sink.sample(series, value)
        for event in told.events:
            sink.event(event)

    async def partition_lags(self, asked: link_pb2.PartitionLagsAsk) -> geyser_pb2.PartitionLags:
        # In the thread of the looks, since what is read is what a look changes.
        reading = asyncio.get_running_loop().run_in_executor(
            self._thread, self._sweep.partitions, asked.group, asked.topic
        )
        try:
            async with asyncio.timeout(LAGS_WITHIN_S):
                found = await reading
        except TimeoutError:
            raise Refusal("KAFKA_BUSY", f"a look at {self._name} takes long just now: ask again") from None
        if found is None:
            raise Refusal(
                "GROUP_UNKNOWN",
                f"the newest look at {self._name} saw no {asked.group!r} in topic {asked.topic!r}",
            )
        limit = min(asked.limit or MOST_PARTITIONS, MOST_PARTITIONS)
        answer = geyser_pb2.PartitionLags(
            partitions=map(_to_wire, found.rows[:limit]), left_out=max(0, len(found.rows) - limit),
            lag_messages=sum(row.lag for row in found.rows), source=self._name,
        )  # fmt: skip
        answer.time.FromMilliseconds(found.unix_ms)
        return answer

    def _look(self) -> tuple[Told, Mapping[str, int]]:
        look = self._cluster.look()
        return self._sweep.take(look, monotonic()), look.errors

    def _tell_errors(self, sink: Sink, errors: Mapping[str, int]) -> None:
        for kind, times in errors.items():
            sink.sample(Series.counting("geyser_errors", source=self._name, **{"class": kind}), float(times))

    def _failed(self, failed: KafkaFailed) -> None:
        self._breaker.failed()
        if not self._down:
            log.warning("kafka cannot be asked", source=self._name, reason=failed.kind, why=failed.message)
        self._down = True

    def _succeeded(self, left_out: int) -> None:
        self._breaker.succeeded()
        if self._down:
            log.info("kafka answers again", source=self._name)
        self._down = False
        if left_out and not self._said_left_out:
            log.warning(
                "kafka has more than is looked at; name those that matter in groups and topics of geyser.kafka",
                source=self._name, left_out=left_out,
            )  # fmt: skip
        self._said_left_out = bool(left_out)


def _to_wire(row: PartitionLag) -> geyser_pb2.PartitionLag:
    return geyser_pb2.PartitionLag(
        partition=row.partition, lag_messages=row.lag, lag_seconds=row.lag_s, end=row.end, lost_messages=row.lost,
        committed=None if row.committed == UNKNOWN else row.committed, flags=row.flag_names,
    )  # fmt: skip
