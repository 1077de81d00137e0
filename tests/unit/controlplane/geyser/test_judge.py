"""How hops are judged: each flaw is named where it is, and what comes after a broken hop is starved, not blamed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solward.geyser.v1 import geyser_pb2 as pb

from controlplane.geyser.judge import judge, worst
from controlplane.geyser.signs import Signs
from tests.unit.controlplane.geyser.test_settings import HOPS, NODE, PLUGIN, pipeline

STREAM = {"name": "stream", "kind": "stream", "host": "sol-1", "source": "y"}
PIPELINE = pipeline(HOPS)
# Every hop as it is on a good day.
GOOD: dict[str, dict[str, float]] = {
    "node": {"rpc_slot": 1000.0, "validator_active": 1.0, "rpc_slot_lag": 1.0},
    "plugin": {"plugin_loaded": 1.0, "plugin_metrics_up": 1.0, "newest_slot": 1000.0, "events_rate": 900.0},
    "topic": {"kafka_up": 1.0, "kafka_produce_rate": 900.0},
    "reader": {
        "kafka_up": 1.0, "kafka_group_up": 1.0, "kafka_lag_messages": 90.0, "kafka_lag_seconds": 0.1,
        "kafka_consume_rate": 900.0, "kafka_stalled_partitions": 0.0, "kafka_lost_messages": 0.0,
    },
    "rows": {"sink_up": 1.0, "sink_write_rate": 900.0, "sink_newest_slot": 998.0},
}  # fmt: skip
BEHIND = {"plugin": 0.0, "rows": 2.0}


def signs(**changed: dict[str, float]) -> dict[str, Signs]:
    return {
        name: Signs(True, GOOD[name] | changed.get(name, {}), {}, BEHIND.get(name), 0.4, True) for name in GOOD
    }  # fmt: skip


def flows(found: dict[str, Signs]) -> tuple[dict[str, str], str, str]:
    hops, at_fault, why = judge(PIPELINE, found)
    return {name: pb.Flow.Name(one.flow).removeprefix("FLOW_") for name, one in hops.items()}, at_fault, why


def test_a_good_day_names_the_hop_that_adds_the_most() -> None:
    found, at_fault, why = flows(signs())
    assert set(found.values()) == {"OK"}
    assert (at_fault, why) == ("rows", "everything flows; sink rows adds the most, 0.7 s of 0.8 s")


@pytest.mark.parametrize(
    ("hop", "figures", "flow", "why"),
    [
        ("node", {"validator_active": 0.0}, "DOWN", "its unit is not active"),
        ("plugin", {"plugin_loaded": 0.0}, "DOWN", "the validator does not list it"),
        ("plugin", {"plugin_metrics_up": 0.0}, "DOWN", "its metrics page does not answer"),
        ("topic", {"kafka_up": 0.0}, "DOWN", "the cluster does not answer"),
        ("topic", {"kafka_produce_rate": 0.0}, "STALLED", "nothing is written to it"),
        ("reader", {"kafka_group_up": 0.0}, "DOWN", "the group has no members, and 90 messages wait"),
        ("reader", {"kafka_stalled_partitions": 3.0}, "STALLED", "3 partitions get messages and commit none"),
        ("reader", {"kafka_lost_messages": 7.0}, "LOSING", "retention took 7 messages before they were read"),
        ("reader", {"kafka_lag_seconds": 42.0}, "SLOW", "adds 42.0 s, and 10.0 s are allowed"),
        ("rows", {"sink_up": 0.0}, "DOWN", "it does not answer"),
    ],
)  # fmt: skip
def test_each_flaw_is_named_where_it_is(hop: str, figures: dict[str, float], flow: str, why: str) -> None:
    found, at_fault, words = flows(signs(**{hop: figures}))
    assert found[hop] == flow
    assert at_fault == hop
    assert why in words


def test_what_comes_after_a_broken_hop_is_starved_and_not_blamed() -> None:
    found, at_fault, _ = flows(signs(plugin={"plugin_loaded": 0.0}, topic={"kafka_produce_rate": 0.0}))
    assert at_fault == "plugin"
    assert found == {"node": "OK", "plugin": "DOWN", "topic": "STARVED", "reader": "STARVED", "rows": "STARVED"}


def test_a_sink_that_is_down_is_the_reason_why_its_reader_stands_still() -> None:
    found, at_fault, _ = flows(signs(reader={"kafka_stalled_partitions": 8.0}, rows={"sink_up": 0.0}))
    assert (found["reader"], found["rows"], at_fault) == ("STALLED", "DOWN", "rows")
    # Also of one that gave up.
    found, at_fault, _ = flows(signs(reader={"kafka_group_up": 0.0}, rows={"sink_up": 0.0}))
    assert (found["reader"], found["rows"], at_fault) == ("DOWN", "DOWN", "rows")


def test_a_cluster_that_does_not_answer_says_nothing_of_its_groups() -> None:
    found, at_fault, _ = flows(signs(topic={"kafka_up": 0.0}, reader={"kafka_up": 0.0}))
    assert (found["topic"], found["reader"], at_fault) == ("DOWN", "UNKNOWN", "topic")


def test_a_sink_that_writes_nothing_names_the_locks() -> None:
    locked = signs(rows={"sink_write_rate": 0.0, "sink_lock_waits": 12.0})
    locked["rows"] = Signs(True, locked["rows"].now, {}, 100.0, 0.4, True)
    found, at_fault, why = flows(locked)
    assert (found["rows"], at_fault) == ("STALLED", "rows")
    assert "12 sessions wait for a lock" in why


def still(reader: dict[str, float], **locks: float) -> dict[str, Signs]:
    """Give a day on which no rows are written, and none are committed."""
    reader = {"kafka_consume_rate": 0.0, "kafka_lag_seconds": 11.0, **reader}
    found = signs(reader=reader, rows={"sink_write_rate": 0.0, **locks})
    found["rows"] = Signs(True, found["rows"].now, {}, 30.0, 0.4, True)
    return found


def test_a_reader_that_hangs_is_named_before_its_sink_is_and_before_it_has_stalled() -> None:
    # A sink stands still at 10 s, a partition at 15 s: in between it is the reader already.
    found, at_fault, why = flows(still({"kafka_stalled_partitions": 0.0}))
    assert (found["reader"], found["rows"], at_fault) == ("STALLED", "STARVED", "reader")
    assert "90 messages wait, and none is committed" in why
    # While it rebalances it is named as well, and is not to be restarted for it.
    found, at_fault, why = flows(still({"kafka_stalled_partitions": 0.0, "kafka_group_up": 0.5}))
    assert (found["reader"], found["rows"], at_fault) == ("SLOW", "STARVED", "reader")
    assert "amid a rebalance, and 90 messages wait" in why
    found, at_fault, _ = flows(still({"kafka_stalled_partitions": 8.0}))
    assert (found["reader"], found["rows"], at_fault) == ("STALLED", "STARVED", "reader")


@pytest.mark.parametrize("stalled", [0.0, 8.0])
def test_a_sink_whose_locks_its_reader_waits_for_is_named(stalled: float) -> None:
    found, at_fault, why = flows(still({"kafka_stalled_partitions": stalled}, sink_lock_waits=12.0))
    assert (found["rows"], at_fault) == ("STALLED", "rows")
    assert "12 sessions wait for a lock" in why


def test_losses_are_told_although_all_else_is_well() -> None:
    found = signs()
    found["plugin"] = Signs(True, found["plugin"].now, {"plugin_dropped": 5.0}, 0.0, 0.4, True)
    kinds, at_fault, why = flows(found)
    assert (kinds["plugin"], at_fault) == ("LOSING", "plugin")
    assert "5 events were dropped or failed" in why


def test_an_agent_that_tells_nothing_leaves_its_hop_unknown() -> None:
    found = signs() | {"topic": Signs(heard=False)}
    kinds, at_fault, _ = flows(found)
    assert (kinds["topic"], at_fault) == ("UNKNOWN", "topic")


def test_a_node_that_stands_still_starves_all_that_comes_after() -> None:
    still = {name: Signs(True, one.now, one.sums, one.behind_slots, 0.4, False) for name, one in signs().items()}
    kinds, at_fault, _ = flows(still)
    assert (kinds["node"], at_fault) == ("STALLED", "node")
    assert {kinds[name] for name in ("plugin", "topic", "reader", "rows")} == {"STARVED"}


@pytest.mark.parametrize(
    ("figures", "sums", "flow"),
    [
        ({"stream_up": 1.0, "stream_silent_seconds": 0.4, "slot_delay_seconds": 0.01}, {}, pb.FLOW_OK),
        ({"stream_up": 1.0, "stream_silent_seconds": 11.0}, {}, pb.FLOW_STALLED),
        ({"stream_up": 0.0}, {}, pb.FLOW_DOWN),
        ({"stream_up": 1.0, "slot_delay_seconds": 5.0}, {}, pb.FLOW_SLOW),
        ({"stream_up": 1.0}, {"missed_slots": 2.0}, pb.FLOW_LOSING),
        ({}, {}, pb.FLOW_UNKNOWN),
    ],
)
def test_a_stream(figures: dict[str, float], sums: dict[str, float], flow: pb.Flow) -> None:
    line = pipeline([NODE, PLUGIN, STREAM])
    known = {name: signs()[name] for name in ("node", "plugin")}
    hops, _, _ = judge(line, known | {"stream": Signs(True, figures, sums, None, 0.4, True)})
    assert hops["stream"].flow == flow


FIGURE = st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1e9, allow_nan=False))


@st.composite
def anything(draw: st.DrawFn) -> dict[str, Signs]:
    return {
        name: Signs(
            draw(st.booleans()), draw(st.dictionaries(st.sampled_from(sorted(GOOD[name])), FIGURE)), {},
            draw(st.none() | st.floats(0, 1e6)), draw(st.floats(0.1, 2.0)), draw(st.none() | st.booleans()),
        )
        for name in GOOD
    }  # fmt: skip


@given(anything())
def test_whatever_is_told_one_hop_is_named_and_it_is_one_of_the_worst(found: dict[str, Signs]) -> None:
    hops, at_fault, why = judge(PIPELINE, found)
    assert set(hops) == set(GOOD)
    assert why
    whole = worst(hops)
    if whole not in (pb.FLOW_OK, pb.FLOW_STARVED):
        assert hops[at_fault].flow == whole
    assert all(one.own_s is None or one.own_s >= 0 for one in hops.values())
    # Nobody is starved unless somebody before it gives nothing.
    dry = (pb.FLOW_DOWN, pb.FLOW_STALLED, pb.FLOW_STARVED)
    before = PIPELINE.before()
    starving = [hops[before[name]] for name, one in hops.items() if one.flow == pb.FLOW_STARVED]
    assert all(one.flow in (*dry, pb.FLOW_SLOW) for one in starving)
