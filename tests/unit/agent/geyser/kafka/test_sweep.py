"""What looks at a cluster add up to: series, and events of what came, went and went back."""

from collections.abc import Mapping

import pytest

from agent.geyser.kafka import sweep as module
from agent.geyser.kafka.client import Look, TopicLook
from agent.geyser.kafka.groups import GroupLook, State
from agent.geyser.kafka.sweep import Sweep, Told
from agent.probes.base import Series


def look(
    ends: Mapping[str, list[int]], committed: Mapping[str, Mapping[int, int]] | None, state: State = "stable",
    *, group: str = "g",
) -> Look:  # fmt: skip
    topics = {name: TopicLook([0] * len(one), one) for name, one in ends.items()}
    members = frozenset({"m"}) if state == "stable" else frozenset[str]()
    groups = {group: GroupLook(state, members, {}, committed)} if group else {}
    return Look(3, groups, topics=topics)


def value(told: Told, name: str, **labels: str) -> float | None:
    wanted = (Series.of(name, source="main", **labels), Series.counting(name, source="main", **labels))
    found = [one for series, one in told.samples if series in wanted]
    assert len(found) < 2
    return found[0] if found else None


def events(told: Told) -> list[tuple[str, str]]:
    return [(event.kind, event.attributes.get("change", "")) for event in told.events]


@pytest.fixture
def sweep() -> Sweep:
    return Sweep("main", {"t": "slot"}, 5)


def test_the_first_look_tells_states_and_no_rates_and_no_events(sweep: Sweep) -> None:
    told = sweep.take(look({"t": [10, 20]}, {"t": {0: 4, 1: 20}}), 0)
    where = {"group": "g", "topic": "t"}
    assert value(told, "geyser_kafka_lag_messages", **where) == 6
    assert value(told, "geyser_kafka_lag_max_messages", **where) == 6
    assert value(told, "geyser_kafka_group_up", group="g") == 1
    assert value(told, "geyser_kafka_brokers") == 3
    assert value(told, "geyser_kafka_partition_lag_messages", partition="0", **where) == 6
    assert value(told, "geyser_kafka_consume_rate", **where) is None
    assert value(told, "geyser_kafka_produce_rate", topic="t") is None
    assert told.events == []


def test_the_second_look_tells_rates(sweep: Sweep) -> None:
    sweep.take(look({"t": [10]}, {"t": {0: 4}}), 0)
    told = sweep.take(look({"t": [60]}, {"t": {0: 24}}), 5)
    assert value(told, "geyser_kafka_produce_rate", topic="t") == 10
    assert value(told, "geyser_events_rate", kind="slot") == 10
    assert value(told, "geyser_kafka_consume_rate", group="g", topic="t") == 4
    assert value(told, "geyser_kafka_lag_seconds", group="g", topic="t") == pytest.approx(5 - 14 / 50 * 5)


def test_groups_and_topics_come_and_go(sweep: Sweep) -> None:
    sweep.take(look({"t": [1]}, {"t": {0: 1}}), 0)
    told = sweep.take(look({"t": [1], "u": [1]}, {"t": {0: 1}}, group="h"), 5)
    assert sorted(events(told)) == [
        ("geyser.kafka_group", "appeared"), ("geyser.kafka_group", "vanished"), ("geyser.kafka_topic", "appeared"),
    ]  # fmt: skip
    told = sweep.take(look({"u": [1]}, {}, group="h"), 10)
    assert events(told) == [("geyser.kafka_topic", "vanished")]
    assert value(told, "geyser_kafka_lag_messages", group="h", topic="t") is None


def test_a_group_is_not_gone_while_a_broker_lists_none(sweep: Sweep) -> None:
    sweep.take(look({"t": [1]}, {"t": {0: 1}}), 0)
    partial = look({"t": [1]}, None, group="")
    partial.groups_whole = False
    assert events(sweep.take(partial, 5)) == []
    assert events(sweep.take(look({"t": [1]}, {"t": {0: 1}}), 10)) == []


def test_a_topic_made_anew_is_told_once_and_its_commits_do_not_go_back(sweep: Sweep) -> None:
    sweep.take(look({"t": [100]}, {"t": {0: 90}}), 0)
    told = sweep.take(look({"t": [5]}, {"t": {0: 90}}), 5)
    assert events(told) == [("geyser.kafka_topic", "anew")]
    assert value(told, "geyser_kafka_lag_messages", group="g", topic="t") == 0
    assert value(told, "geyser_kafka_produce_rate", topic="t") is None
    told = sweep.take(look({"t": [9]}, {"t": {0: 2}}), 10)
    assert [event.kind for event in told.events] == ["geyser.kafka_offsets"]
    assert value(told, "geyser_kafka_lag_messages", group="g", topic="t") == 7


def test_offsets_that_go_back_are_told_with_how_far(sweep: Sweep) -> None:
    sweep.take(look({"t": [100, 100]}, {"t": {0: 90, 1: 50}}), 0)
    (event,) = sweep.take(look({"t": [100, 100]}, {"t": {0: 10, 1: 49}}), 5).events
    assert event.kind == "geyser.kafka_offsets"
    assert dict(event.attributes) == {"source": "main", "group": "g", "topic": "t", "partitions": "2", "most": "80"}


def test_a_group_whose_offsets_were_not_told_is_not_told(sweep: Sweep) -> None:
    sweep.take(look({"t": [1]}, {"t": {0: 1}}), 0)
    told = sweep.take(look({"t": [1]}, None), 5)
    assert value(told, "geyser_kafka_lag_messages", group="g", topic="t") is None
    assert value(told, "geyser_kafka_group_up", group="g") == 1


def test_a_group_that_the_settings_name_and_nobody_knows_is_none(sweep: Sweep) -> None:
    told = sweep.take(look({"t": [1]}, {}, "dead"), 0)
    assert value(told, "geyser_kafka_group_up", group="g") is None


def test_single_partitions_are_told_of_small_clusters_alone(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARTITIONS_TOLD", 1)
    told = sweep.take(look({"t": [10, 20]}, {"t": {0: 4, 1: 20}}), 0)
    assert value(told, "geyser_kafka_partition_lag_messages", group="g", topic="t", partition="0") is None
    assert value(told, "geyser_kafka_lag_messages", group="g", topic="t") == 6


def test_pairs_beyond_what_is_told_are_left_out_and_counted(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS_TOLD", 1)
    told = sweep.take(look({"t": [1], "u": [1]}, {"t": {0: 1}, "u": {0: 1}}), 0)
    assert told.left_out == 1
    assert value(told, "geyser_kafka_lag_messages", group="g", topic="u") is None
