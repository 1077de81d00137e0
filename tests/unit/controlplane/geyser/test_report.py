"""Reports of groups and sources: what does not fit is left out, and nobody waits for one agent."""

import time

import pytest

from controlplane.geyser.report import consumer_groups, sources
from controlplane.telemetry.ingest import Ingest
from tests.support.told import Told

OWN = (("group", "indexer"), ("source", "main"), ("topic", "slots"))
OF_GROUP = OWN[:2]


@pytest.fixture
def ingest() -> Ingest:
    return Ingest(60)


@pytest.fixture
def told(ingest: Ingest) -> Told:
    return Told(ingest)


def test_a_group_is_told_with_its_own_figures(told: Told, ingest: Ingest) -> None:
    other = (("group", "other"), ("source", "main"), ("topic", "slots"))
    told.tell("sol-1", 0, {
        ("geyser_kafka_lag_messages", OWN): 7.0, ("geyser_kafka_lag_messages", other): 9.0,
        ("geyser_kafka_group_up", OF_GROUP): 1.0, ("geyser_kafka_group_members", OF_GROUP): 3.0,
        ("geyser_kafka_produce_rate", (("source", "main"), ("topic", "slots"))): 2.5,
    })  # fmt: skip
    first, second = consumer_groups(ingest, ["sol-1"], "")
    assert (first.group, second.group, second.members, second.state) == ("other", "indexer", 3, "stable")
    assert (second.lag_messages, second.produce_rate) == (7.0, 2.5)


def test_what_does_not_fit_is_left_out_and_breaks_nothing(told: Told, ingest: Ingest) -> None:
    told.tell("sol-1", 0, {
        ("geyser_kafka_lag_messages", OWN): 7.0, ("geyser_kafka_group_members", OF_GROUP): 1e12,
        ("geyser_kafka_stalled_partitions", OWN): -4.0,
        ("geyser_kafka_lag_messages", (("source", "main"), ("topic", "slots"))): 1.0,
        ("geyser_newest_slot", (("source", "main"),)): 1e30,
    })  # fmt: skip
    (found,) = consumer_groups(ingest, ["sol-1"], "")
    assert (found.members, found.stalled_partitions) == (2**31 - 1, 0)
    assert sources(ingest, ["sol-1"])[0].source == "main"


def test_thousands_of_series_of_one_host_keep_nobody_waiting(told: Told, ingest: Ingest) -> None:
    rows = {
        ("geyser_kafka_lag_messages", (("group", f"g{n}"), ("source", f"s{n % 500}"), ("topic", "t"))): 1.0
        for n in range(4_000)
    }
    told.tell("sol-1", 0, rows)
    began = time.process_time()
    assert len(consumer_groups(ingest, ["sol-1"], "")) == 4_000
    assert len(sources(ingest, ["sol-1"])) == 500
    assert time.process_time() - began < 3.0
