"""The Kafka probe on a real broker: what it tells of groups that read, lag, stop, rebalance and go back."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from solward.hosts.v1 import link_pb2

from agent.geyser.kafka.sweep import PARTITIONS_TOLD
from agent.geyser.settings import KafkaSettings
from agent.permits import Refusal
from agent.probes.geyser_kafka import MOST_PARTITIONS, KafkaProbe
from tests.support.kafka import KafkaServer, kafka
from tests.support.watched import Watched, watched

PERIOD_S = 1.0


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaServer]:
    with kafka() as running:
        yield running


Watch = tuple[Watched, KafkaProbe]


@asynccontextmanager
async def watch(broker: KafkaServer, **settings: Any) -> AsyncIterator[Watch]:
    probe = KafkaProbe({"main": KafkaSettings(brokers=(broker.address,), period_seconds=PERIOD_S, **settings)})
    async with watched(probe, "main", "geyser_kafka_up") as told:
        yield told, probe


async def test_lag_is_what_was_written_and_not_committed(broker: KafkaServer) -> None:
    await asyncio.to_thread(broker.create, "lag.t", partitions=3)
    await asyncio.to_thread(broker.produce, "lag.t", {0: 100, 1: 50, 2: 10})
    await asyncio.to_thread(broker.commit, "lag", "lag.t", {0: 40, 1: 50})
    where = {"group": "lag", "topic": "lag.t"}
    async with watch(broker, groups=("lag*",), topics=("lag.*",), kinds={"lag.t": "account"}) as (told, _probe):
        assert told.last("geyser_kafka_up") == 1
        assert told.last("geyser_kafka_brokers") == 1
        assert told.last("geyser_kafka_lag_messages", **where) == 60
        assert told.last("geyser_kafka_lag_max_messages", **where) == 60
        assert told.last("geyser_kafka_group_up", group="lag") == 0
        # Nobody has the third partition, so that it is none of the group's.
        assert told.last("geyser_kafka_uncommitted_partitions", **where) == 0
        assert told.last("geyser_kafka_partition_lag_messages", partition="0", **where) == 60
        await asyncio.to_thread(broker.produce, "lag.t", {0: 500})
        await asyncio.to_thread(broker.commit, "lag", "lag.t", {0: 90})
        await told.look()
        assert told.last("geyser_kafka_lag_messages", **where) == 510
        rates = told.all("geyser_kafka_produce_rate", topic="lag.t")
        # Each is over the time between two looks, which a busy machine makes longer than a second.
        assert 200 < sum(rates) < 600
        assert told.all("geyser_events_rate", kind="account") == rates
        assert 20 < sum(told.all("geyser_kafka_consume_rate", **where)) < 60
        each = [told.last("geyser_kafka_partition_lag_messages", partition=one, **where) for one in ("0", "1")]
        assert each == [510, 0]
        assert told.last("geyser_kafka_lag_seconds", **where) > 0
        assert told.sink.events == []


def ask(group: str, topic: str, limit: int = 0, source: str = "main") -> link_pb2.PartitionLagsAsk:
    return link_pb2.PartitionLagsAsk(source=source, group=group, topic=topic, limit=limit)


async def refused(probe: KafkaProbe, asked: link_pb2.PartitionLagsAsk) -> str:
    with pytest.raises(Refusal) as caught:
        await probe.partition_lags(asked)
    assert caught.value.message
    return caught.value.reason


async def test_every_partition_of_a_large_cluster_is_told_to_who_asks(broker: KafkaServer) -> None:
    many = PARTITIONS_TOLD + 100
    await asyncio.to_thread(broker.create, "wide.t", partitions=many)
    await asyncio.to_thread(broker.produce, "wide.t", {3: 30, 5: 50, 7: 70})
    await asyncio.to_thread(broker.commit, "wide", "wide.t", dict.fromkeys(range(many), 0) | {5: 45})
    async with watch(broker, topics=("wide.*",), groups=("wide",)) as (told, probe):
        where = {"group": "wide", "topic": "wide.t"}
        assert told.last("geyser_kafka_lag_messages", **where) == 105
        # As series they are left out.
        assert told.all("geyser_kafka_partition_lag_messages", **where) == []
        found = await probe.partition_lags(ask("wide", "wide.t", limit=4))
        assert [(row.partition, row.lag_messages) for row in found.partitions] == [(7, 70), (3, 30), (5, 5), (0, 0)]
        assert (found.partitions[2].committed, found.partitions[2].end) == (45, 50)
        assert (found.left_out, found.lag_messages, found.source) == (many - 4, 105, "main")
        assert abs(found.time.ToSeconds() - time.time()) < 30
        # However many are asked for, an answer has an end, and what is not asked for is bounded as well.
        assert len((await probe.partition_lags(ask("wide", "wide.t", limit=10_000))).partitions) == MOST_PARTITIONS
        assert len((await probe.partition_lags(ask("wide", "wide.t"))).partitions) == MOST_PARTITIONS
        assert await refused(probe, ask("wide", "wide.t", source="other")) == "KAFKA_UNKNOWN"
        assert await refused(probe, ask("other", "wide.t")) == "GROUP_UNKNOWN"
        assert await refused(probe, ask("wide", "other.t")) == "GROUP_UNKNOWN"
        # It is the newest look that answers, and a cluster that is down is not asked.
        await asyncio.to_thread(broker.stop)
        try:
            again = await probe.partition_lags(ask("wide", "wide.t", limit=1))
            assert again.partitions[0].lag_messages == 70
        finally:
            await asyncio.to_thread(broker.start)


async def test_who_asks_does_not_wait_for_ever_for_a_look(
    broker: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr("agent.probes.geyser_kafka.LAGS_WITHIN_S", 0.2)
    async with watch(broker) as (_told, probe):
        probe._watches["main"]._thread.submit(time.sleep, 1.0)
        assert await refused(probe, ask("any", "any")) == "KAFKA_BUSY"


async def test_members_rebalance_stall_and_leave(broker: KafkaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.geyser.kafka.sweep.STALLED_S", 2.0)
    await asyncio.to_thread(broker.create, "work.t", partitions=2)
    await asyncio.to_thread(broker.produce, "work.t", {0: 10, 1: 10})
    where = {"group": "work", "topic": "work.t"}
    async with watch(broker, topics=("work.*",), groups=("work",)) as (told, _probe):
        member = broker.member("work", "work.t")
        consumer = await asyncio.to_thread(member.__enter__)
        await told.until(lambda: told.last("geyser_kafka_group_up", group="work") == 1)
        assert told.last("geyser_kafka_group_members", group="work") == 1
        await told.until(lambda: told.last("geyser_kafka_uncommitted_partitions", **where) == 2)
        assert told.last("geyser_kafka_lag_messages", **where) == 20
        await told.until(lambda: told.events("geyser.kafka_group", change="appeared", group="work"))
        await asyncio.to_thread(consumer.consume, 20, 5)
        await asyncio.to_thread(consumer.commit, asynchronous=False)
        await told.until(lambda: told.last("geyser_kafka_lag_messages", **where) == 0)
        assert told.last("geyser_kafka_uncommitted_partitions", **where) == 0
        for _ in range(6):
            await asyncio.to_thread(broker.produce, "work.t", {0: 5})
            await told.look()
        await told.until(lambda: told.last("geyser_kafka_stalled_partitions", **where) == 1)
        assert (told.last("geyser_kafka_lag_seconds", **where) or 0) > 2
        other = broker.member("work", "work.t")

        def join() -> None:
            # The first member has to take part in the rebalance.
            consumer.poll(0.5)

        joined = asyncio.create_task(asyncio.to_thread(other.__enter__))
        while not joined.done():
            await asyncio.to_thread(join)
        await told.until(lambda: told.last("geyser_kafka_group_members", group="work") == 2)
        await told.until(lambda: sum(told.all("geyser_kafka_rebalances", group="work")) >= 1)
        for one in (other, member):
            await asyncio.to_thread(one.__exit__, None, None, None)
        await told.until(lambda: told.last("geyser_kafka_group_up", group="work") == 0)
        await told.until(lambda: told.last("geyser_kafka_stalled_partitions", **where) == 0)
        await asyncio.to_thread(broker.forget, "work")
        await told.until(lambda: told.events("geyser.kafka_group", change="vanished", group="work"))


async def test_retention_a_reset_and_a_topic_made_anew(broker: KafkaServer) -> None:
    await asyncio.to_thread(broker.create, "back.t")
    await asyncio.to_thread(broker.produce, "back.t", {0: 100})
    await asyncio.to_thread(broker.commit, "back", "back.t", {0: 50})
    where = {"group": "back", "topic": "back.t"}
    async with watch(broker, topics=("back.*",), groups=("back",)) as (told, _probe):
        assert told.last("geyser_kafka_lost_messages", **where) == 0
        await asyncio.to_thread(broker.retain, "back.t", 0, 70)
        await told.until(lambda: told.last("geyser_kafka_lost_messages", **where) == 20)
        assert told.last("geyser_kafka_lag_messages", **where) == 30
        await asyncio.to_thread(broker.commit, "back", "back.t", {0: 10})
        await told.until(lambda: told.events("geyser.kafka_offsets", group="back", topic="back.t", most="40"))
        await asyncio.to_thread(broker.commit, "back", "back.t", {0: 500})
        await told.until(lambda: told.last("geyser_kafka_lag_messages", **where) == 0)
        await asyncio.to_thread(broker.delete, "back.t")
        await told.until(lambda: told.events("geyser.kafka_topic", change="vanished", topic="back.t"))
        seen = len(told.all("geyser_kafka_lag_messages", **where))
        await told.look()
        assert len(told.all("geyser_kafka_lag_messages", **where)) == seen
        await asyncio.to_thread(broker.create, "back.t")
        await told.until(lambda: told.events("geyser.kafka_topic", change="appeared", topic="back.t"))


async def test_a_topic_made_anew_between_two_looks_is_told(broker: KafkaServer) -> None:
    await asyncio.to_thread(broker.create, "anew.t")
    await asyncio.to_thread(broker.produce, "anew.t", {0: 100})
    async with watch(broker, topics=("anew.*",)) as (told, _probe):
        await told.look()

        def again() -> None:
            broker.delete("anew.t")
            broker.create("anew.t")
            broker.produce("anew.t", {0: 3})

        await asyncio.to_thread(again)
        await told.until(lambda: [one for one in told.sink.events if one.attributes["topic"] == "anew.t"])
        assert {one.attributes["change"] for one in told.sink.events} <= {"anew", "vanished", "appeared"}


async def test_a_broker_that_stops_is_down_and_nothing_else_is_told_until_it_is_back() -> None:
    with kafka() as broker:
        await asyncio.to_thread(broker.create, "t")
        await asyncio.to_thread(broker.produce, "t", {0: 10})
        await asyncio.to_thread(broker.commit, "g", "t", {0: 4})
        async with watch(broker, timeout_seconds=1.0) as (told, _probe):
            assert told.last("geyser_kafka_lag_messages", group="g", topic="t") == 6
            await asyncio.to_thread(broker.stop)
            await told.until(lambda: told.last("geyser_kafka_up") == 0)
            seen = {series: len(values) for series, values in told.sink.values.items()}
            await told.look()
            more = {series.name for series, values in told.sink.values.items() if len(values) > seen.get(series, 0)}
            assert more <= {"geyser_kafka_up", "geyser_errors"}
            assert told.errors("unreachable") >= 1
            await asyncio.to_thread(broker.start)
            await told.until(lambda: told.last("geyser_kafka_up") == 1, 40)
            await told.look()
            assert told.last("geyser_kafka_lag_messages", group="g", topic="t") == 6
            assert told.sink.events == []
