"""What is known of a hop: the newest figures, never stale ones, and slots compared at the moment they were told."""

import pytest

from controlplane.geyser.report import consumer_groups, sources
from controlplane.geyser.settings import HopSettings
from controlplane.geyser.signs import NodeSlots, read
from controlplane.telemetry.ingest import Ingest
from tests.support.told import Told
from tests.unit.controlplane.geyser.test_settings import NODE, PLUGIN, READER, SINK

SLOT = ("solana_rpc_slot", ())
OF_PLUGIN = (("source", "yellowstone"),)
OF_TABLE = (("source", "pg"), ("table", "slot"))
COUNTED = frozenset({"geyser_plugin_dropped", "geyser_errors"})


@pytest.fixture
def ingest() -> Ingest:
    return Ingest(900)


def hop(settings: dict[str, str]) -> HopSettings:
    return HopSettings.model_validate(settings)


def run_node(told: Told, until: int = 0, start: int = 60, slots_a_second: float = 2.5) -> None:
    for ago in range(start, until - 1, -1):
        told.tell("sol-1", ago, {SLOT: 1000.0 + slots_a_second * (start - ago)})


def test_a_node_that_goes_on_is_timed(ingest: Ingest) -> None:
    run_node(Told(ingest))
    node = NodeSlots(ingest, "sol-1")
    assert node.moves
    assert node.slot_s == pytest.approx(0.4, rel=0.05)


def test_a_node_that_stands_still_is_seen_to(ingest: Ingest) -> None:
    run_node(Told(ingest), slots_a_second=0)
    assert NodeSlots(ingest, "sol-1").moves is False


def test_of_a_node_that_told_nothing_nothing_is_known(ingest: Ingest) -> None:
    node = NodeSlots(ingest, "sol-1")
    assert node.moves is None
    assert node.behind(1.0, 1.0) is None
    assert not read(ingest, hop(NODE), node).heard


def test_a_table_is_compared_with_the_node_at_the_moment_it_was_looked_at(ingest: Ingest) -> None:
    told = Told(ingest)
    run_node(told)
    # Looked at ten seconds ago, when the node was at 1125: five slots behind, and not thirty.
    told.tell("db-1", 10, {("geyser_sink_newest_slot", OF_TABLE): 1120.0})
    told.tell("db-1", 0, {("geyser_sink_up", (("source", "pg"),)): 1.0})
    signs = read(ingest, hop(SINK), NodeSlots(ingest, "sol-1"))
    assert signs.behind_slots == pytest.approx(5.0, abs=2.6)
    assert signs.get("sink_up") == 1.0


def test_what_is_old_is_not_told_as_if_it_were_now(ingest: Ingest) -> None:
    told = Told(ingest)
    told.tell("sol-1", 58, {("geyser_plugin_loaded", OF_PLUGIN): 1.0})
    told.tell("sol-1", 0, {SLOT: 1.0})
    assert read(ingest, hop(PLUGIN), NodeSlots(ingest, "sol-1")).get("plugin_loaded") is None


def test_counts_are_added_up_over_a_minute(ingest: Ingest) -> None:
    told = Told(ingest)
    for ago in (50, 30, 0):
        figures = {("geyser_plugin_dropped", (("kind", "slot"), *OF_PLUGIN)): 2.0, SLOT: 1.0}
        told.tell("sol-1", ago, figures, COUNTED)
    assert read(ingest, hop(PLUGIN), NodeSlots(ingest, "sol-1")).lost("plugin_dropped") == 6.0


def test_another_group_of_the_same_topic_is_not_mixed_in(ingest: Ingest) -> None:
    told = Told(ingest)
    mine = (("group", "g"), ("source", "main"), ("topic", "solana.slots"))
    other = (("group", "h"), ("source", "main"), ("topic", "solana.slots"))
    told.tell("k-1", 0, {("geyser_kafka_lag_messages", mine): 5.0, ("geyser_kafka_lag_messages", other): 9e6})
    signs = read(ingest, hop(READER), NodeSlots(ingest, "sol-1"))
    assert signs.get("kafka_lag_messages") == 5.0
    rows = consumer_groups(ingest, ["k-1"], "")
    assert [(row.group, row.lag_messages) for row in rows] == [("h", 9e6), ("g", 5.0)]
    assert [row.group for row in consumer_groups(ingest, ["k-1", "none"], "g")] == ["g"]


def test_sources_tell_whether_they_answer_and_what_fails(ingest: Ingest) -> None:
    told = Told(ingest)
    figures = {
        ("geyser_plugin_loaded", OF_PLUGIN): 1.0, ("geyser_plugin_metrics_up", OF_PLUGIN): 0.0,
        ("geyser_newest_slot", OF_PLUGIN): 77.0, ("geyser_events_rate", (("kind", "slot"), *OF_PLUGIN)): 2.5,
        ("geyser_errors", (("class", "timeout"), *OF_PLUGIN)): 3.0, ("geyser_sink_up", (("source", "pg"),)): 1.0,
        ("geyser_sink_parts", OF_TABLE): 40.0,
    }  # fmt: skip
    told.tell("sol-1", 0, figures, COUNTED)
    pg, plugin = sources(ingest, ["sol-1"])
    assert (pg.source, pg.kind, pg.up, dict(pg.figures)) == ("pg", "sink", True, {"sink_parts{table=slot}": 40.0})
    # Loaded, but its page does not answer: not up.
    assert (plugin.kind, plugin.up, plugin.newest_slot) == ("plugin", False, 77)
    assert (dict(plugin.rates), dict(plugin.errors)) == ({"slot": 2.5}, {"timeout": 3.0})
