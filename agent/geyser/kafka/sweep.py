"""One cluster from look to look: what is told of it."""

from collections.abc import Iterator, Mapping
from time import time
from typing import Final, NamedTuple

from solward.hosts.v1 import link_pb2

from agent.geyser.kafka.client import Look, TopicLook
from agent.geyser.kafka.groups import Group, GroupLook
from agent.geyser.kafka.history import UNKNOWN, History
from agent.geyser.kafka.lag import STALLED_LOOKS, STALLED_S, Members, PartitionLag, Progress, Summed, lags, summed
from agent.probes.base import Series

# Where a cluster has more pairs of group and partition, single partitions are not told.
PARTITIONS_TOLD: Final = 1_000
# Pairs of group and topic.
PAIRS_TOLD: Final = 2_000
AREA: Final = "geyser"


class Told(NamedTuple):
    """What one look gives to tell."""

    samples: list[tuple[Series, float]]
    events: list[link_pb2.Event]
    left_out: int


class Partitions(NamedTuple):
    """A group's lag in a topic, the partition that is furthest behind first, and when it was looked at."""

    unix_ms: int
    rows: list[PartitionLag]


class _Topic:
    def __init__(self) -> None:
        self.history = History()
        self.begins: list[int] = []

    def take(self, look: TopicLook, now: float) -> tuple[int, bool]:
        """Take a look; give how many messages were written since the last one, and whether it was made anew."""
        before = [self.history.end(partition) for partition in range(self.history.partitions)]
        fewer = len(look.ends) < len(before)
        back = self.history.add(now, look.ends)
        self.begins = look.begins
        moved = zip(before, look.ends, strict=False)
        written = sum(max(0, end - last) for last, end in moved if last != UNKNOWN and end != UNKNOWN)
        return written, fewer or bool(back)


class Sweep:
    """What is known of a cluster, and what a look adds to it.

    Args:
        source: its name.
        kinds: what a topic carries.
        period_s: seconds between two looks.
    """

    def __init__(self, source: str, kinds: Mapping[str, str], period_s: float) -> None:
        self._source = source
        self._kinds = kinds
        self._stalled_after_s = max(STALLED_S, STALLED_LOOKS * period_s)
        self._groups: dict[str, Group] = {}
        self._topics: dict[str, _Topic] = {}
        self._progress: dict[tuple[str, str], Progress] = {}
        self._at: float | None = None
        self._unix_ms = 0
        self._samples: list[tuple[Series, float]] = []
        self._events: list[link_pb2.Event] = []

    def take(self, look: Look, now: float) -> Told:
        """Take the next look, at a time of a clock that only goes on, in seconds."""
        self._samples, self._events = [], []
        elapsed_s = None if self._at is None else now - self._at
        self._take_topics(look, now, elapsed_s)
        left_out = look.left_out + self._take_groups(look, now, elapsed_s)
        self._at, self._unix_ms = now, int(time() * 1000)
        self._tell("geyser_kafka_brokers", look.brokers)
        return Told(self._samples, self._events, left_out)

    def partitions(self, group: str, topic: str) -> Partitions | None:
        """Give a group's lag in every partition of a topic by the newest look; None where the look saw no such pair."""
        progress = self._progress.get((group, topic))
        if progress is None or self._at is None or group not in self._groups or topic not in self._topics:
            return None
        rows = self._lags(group, topic, progress, self._at)
        return Partitions(self._unix_ms, sorted(rows, key=lambda row: (-row.lag, row.partition)))

    def _take_topics(self, look: Look, now: float, elapsed_s: float | None) -> None:
        rates: dict[str, float] = {}
        for name in self._topics.keys() - look.topics.keys():
            del self._topics[name]
            self._forget(topic=name)
            self._event("topic", f"topic {name} is gone", change="vanished", topic=name)
        for name, seen in look.topics.items():
            if name not in self._topics and elapsed_s is not None:
                self._event("topic", f"topic {name} is new", change="appeared", topic=name)
            topic = self._topics.setdefault(name, _Topic())
            written, anew = topic.take(seen, now)
            if anew:
                self._forget(topic=name)
                message = f"topic {name} was made anew, or lost its newest messages: its end went back"
                self._event("topic", message, link_pb2.SEVERITY_WARNING, change="anew", topic=name)
            if elapsed_s and not anew:
                self._tell("geyser_kafka_produce_rate", written / elapsed_s, topic=name)
                if name in self._kinds:
                    rates[self._kinds[name]] = rates.get(self._kinds[name], 0.0) + written / elapsed_s
        for kind, rate in rates.items():
            self._tell("geyser_events_rate", rate, kind=kind)

    def _take_groups(self, look: Look, now: float, elapsed_s: float | None) -> int:
        self._come_and_go(look, new_ones_told=elapsed_s is not None)
        partitions = sum(len(found) for seen in look.groups.values() for found in (seen.committed or {}).values())
        told: set[tuple[str, str]] = set()
        for name, seen in sorted(look.groups.items()):
            if name not in self._groups:
                continue
            self._take_group(name, seen)
            for topic in self._topics_of(name, seen):
                summed_up = self._take_pair(name, topic, seen, now, elapsed_s, each=partitions <= PARTITIONS_TOLD)
                told.add((name, topic))
                if len(told) <= PAIRS_TOLD:
                    self._tell_pair(name, topic, *summed_up)
        for name, topic in self._progress.keys() - told:
            seen_now = look.groups.get(name)
            if seen_now and seen_now.committed is not None:
                # The group has nothing to do with the topic any more.
                del self._progress[name, topic]
        return max(0, len(told) - PAIRS_TOLD)

    def _come_and_go(self, look: Look, *, new_ones_told: bool) -> None:
        here = {name for name, seen in look.groups.items() if seen.state != "dead" or seen.committed}
        # A group that was never told of and of which nothing is known may be one that the settings name, no more.
        here -= {
            name
            for name in here - self._groups.keys()
            if look.groups[name].state == "unknown" and not look.groups[name].committed
        }
        for name in (self._groups.keys() - here) if look.groups_whole else ():
            del self._groups[name]
            self._forget(group=name)
            self._event("group", f"group {name} is gone", link_pb2.SEVERITY_WARNING, change="vanished", group=name)
        for name in sorted(here - self._groups.keys()):
            self._groups[name] = Group()
            if new_ones_told:
                self._event("group", f"group {name} is new", change="appeared", group=name)

    def _take_group(self, name: str, seen: GroupLook) -> None:
        began = self._groups[name].take(seen)
        if seen.state == "unknown":
            return
        if seen.up is not None:
            self._tell("geyser_kafka_group_up", seen.up, group=name)
        self._tell("geyser_kafka_group_members", len(seen.members), group=name)
        if began:
            self._samples.append(
                (Series.counting("geyser_kafka_rebalances", source=self._source, group=name), float(began))
            )

    def _topics_of(self, name: str, seen: GroupLook) -> Iterator[str]:
        if seen.committed is not None:
            yield from sorted((seen.committed.keys() | self._groups[name].assigned.keys()) & self._topics.keys())

    def _take_pair(
        self, name: str, topic: str, seen: GroupLook, now: float, elapsed_s: float | None, *, each: bool
    ) -> tuple[Summed, float | None]:
        known = (name, topic) in self._progress
        progress = self._progress.setdefault((name, topic), Progress())
        moved = progress.take((seen.committed or {}).get(topic, {}), self._topics[topic].history.end, now)
        if moved.back:
            furthest = max(before - after for before, after in moved.back.values())
            self._event(
                "offsets", f"group {name} went back in topic {topic}, by {furthest} messages at the most",
                link_pb2.SEVERITY_WARNING, group=name, topic=topic, partitions=str(len(moved.back)), most=str(furthest),
            )  # fmt: skip
        rows = self._lags(name, topic, progress, now)
        if each:
            for row in rows:
                labels = {"group": name, "topic": topic, "partition": str(row.partition)}
                self._tell("geyser_kafka_partition_lag_messages", row.lag, **labels)
        return summed(rows), moved.consumed / elapsed_s if known and elapsed_s else None

    def _lags(self, name: str, topic: str, progress: Progress, now: float) -> list[PartitionLag]:
        group, known = self._groups[name], self._topics[topic]
        members = Members(group.assigned.get(topic, ()), self._stalled_after_s if group.works else None)
        return lags(progress, known.history, known.begins, members, now)

    def _tell_pair(self, name: str, topic: str, found: Summed, rate: float | None) -> None:
        labels = {"group": name, "topic": topic}
        self._tell("geyser_kafka_lag_messages", found.lag, **labels)
        self._tell("geyser_kafka_lag_max_messages", found.lag_max, **labels)
        self._tell("geyser_kafka_lag_seconds", found.lag_s, **labels)
        self._tell("geyser_kafka_stalled_partitions", found.stalled, **labels)
        self._tell("geyser_kafka_uncommitted_partitions", found.uncommitted, **labels)
        self._tell("geyser_kafka_lost_messages", found.lost, **labels)
        if rate is not None:
            self._tell("geyser_kafka_consume_rate", rate, **labels)

    def _forget(self, *, topic: str = "", group: str = "") -> None:
        for key in [key for key in self._progress if topic == key[1] or group == key[0]]:
            del self._progress[key]

    def _tell(self, name: str, value: float, **labels: str) -> None:
        self._samples.append((Series.of(name, source=self._source, **labels), float(value)))

    def _event(
        self, kind: str, message: str, severity: link_pb2.Severity = link_pb2.SEVERITY_INFO, **attributes: str
    ) -> None:
        event = link_pb2.Event(kind=f"geyser.kafka_{kind}", message=f"{self._source}: {message}", severity=severity)
        event.unix_ms, event.area, event.times = int(time() * 1000), AREA, 1
        event.attributes.update({"source": self._source, **attributes})
        self._events.append(event)
