"""Reports on connections: pools, subscriptions, and when nothing can be said of a node's lag."""

from typing import Any

import pytest
from solward.hosts.v1 import link_pb2
from solward.rpc.v1 import rpc_pb2 as pb

from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.rpc_connections import connections

COUNTED = ("_opened", "_dropped", "_errors", "ws_slots", "_missed_slots")


def told(*seconds: dict[str, float], host: str = "sol-1", ingest: Ingest | None = None) -> Ingest:
    """One dictionary a second: values by series, written as name{label=value,...}."""
    ingest = ingest or Ingest(120)
    ingest.open(host, link_pb2.Hello(spool_id="a" * 32))
    names = sorted({name for second in seconds for name in second})
    definitions = [_definition(place, text) for place, text in enumerate(names)]
    for number, second in enumerate(seconds, 1):
        ids = [names.index(name) for name in second]
        batch = link_pb2.SampleBatch(
            sequence=number, unix_ms=number * 1000, definitions=definitions, series=ids, values=second.values()
        )
        ingest.samples(host, batch)
    return ingest


def _definition(place: int, text: str) -> link_pb2.SeriesDefinition:
    name, _, inside = text.rstrip("}").partition("{")
    labels = dict(pair.split("=") for pair in inside.split(",") if pair)
    return link_pb2.SeriesDefinition(id=place, name=name, labels=labels, counts=name.endswith(COUNTED))


def node(*seconds: dict[str, float], window_s: int = 0) -> pb.NodeConnections:
    (found,) = connections(told(*seconds), "", window_s).nodes
    assert found.host == "hosts/sol-1"
    return found


def test_the_pool_is_what_the_newest_second_and_the_window_tell() -> None:
    first = {"solana_rpc_connections_opened": 3.0, "solana_rpc_connections{state=idle}": 1.0}
    second = {
        "solana_rpc_connections_opened": 1.0, "solana_rpc_connections_dropped": 2.0,
        "solana_rpc_connections{state=idle}": 4.0, "solana_rpc_connections{state=busy}": 2.0,
        "solana_rpc_connect_seconds": 0.002, "solana_rpc_connect_errors{class=timeout}": 1.0,
    }  # fmt: skip
    pool = node(first, second).pool
    assert (pool.idle, pool.busy, pool.opened, pool.dropped) == (4, 2, 4, 2)
    assert pool.connect_p50_ms == pytest.approx(2, rel=1e-4)
    assert dict(pool.errors) == {"timeout": 1}
    assert node(first, second, window_s=1).pool.opened == 1


def test_what_is_not_there_is_not_set() -> None:
    found = node({"solana_rpc_connect_seconds": 0.001})
    assert not found.HasField("subscription")
    assert not found.HasField("reference")
    assert list(found.not_offered) == []


def test_a_subscription_is_told_with_its_gaps_and_what_was_missed() -> None:
    up = {"solana_ws_up": 1.0, "solana_ws_slots": 2.0, "solana_ws_gap_seconds": 0.4, "solana_ws_delay_seconds": 0.01}
    late = up | {"solana_ws_gap_seconds": 2.0, "solana_ws_missed_slots": 1.0}
    down = {"solana_ws_up": 0.0, "solana_ws_errors{class=silent}": 1.0}
    seen = node(up, up, late).subscription
    assert (seen.up, seen.slots, seen.missed) == (True, 6, 1)
    assert (seen.gap_p50_ms, seen.gap_max_ms) == pytest.approx((400, 2000), rel=1e-4)
    assert seen.delay_p99_ms == pytest.approx(10, rel=1e-4)
    ended = node(up, down).subscription
    assert (ended.up, dict(ended.errors)) == (False, {"silent": 1})


def test_nothing_is_said_of_a_node_while_its_monitor_is_unreliable() -> None:
    good: dict[str, Any] = {
        "solana_rpc_monitor_reliable": 1.0, "solana_rpc_slot": 412_000_000.0,
        "solana_rpc_reference_slot": 412_000_012.0, "solana_rpc_slot_lag": 12.0,
    }  # fmt: skip
    seen = node(good).reference
    assert (seen.reliable, seen.slot, seen.reference_slot, seen.lag_slots) == (True, 412_000_000, 412_000_012, 12)
    failed = {"solana_rpc_monitor_reliable": 0.0, "solana_rpc_reference_errors{reference=2,class=timeout}": 1.0}
    seen = node(good, failed).reference
    assert (seen.reliable, seen.reference_slot, seen.lag_slots) == (False, 0, 0)
    assert dict(seen.errors) == {"2:timeout": 1}


def test_methods_that_are_not_offered_are_named_while_they_are() -> None:
    told_of = {"solana_rpc_not_offered{method=getBlock}": 1.0}
    other = {"solana_rpc_connect_seconds": 0.001}
    assert list(node(told_of, other).not_offered) == ["getBlock"]
    assert list(node(told_of, other, other, window_s=2).not_offered) == []


def test_hosts_are_listed_by_name_and_one_can_be_chosen() -> None:
    ingest = told({"solana_rpc_connect_seconds": 0.001}, host="sol-2")
    told({"solana_rpc_connect_seconds": 0.001}, host="sol-1", ingest=ingest)
    assert [one.host for one in connections(ingest, "", 0).nodes] == ["hosts/sol-1", "hosts/sol-2"]
    assert [one.host for one in connections(ingest, "sol-2", 0).nodes] == ["hosts/sol-2"]
    assert list(connections(ingest, "sol-9", 0).nodes) == []


def test_figures_that_no_agent_should_send_are_no_failure() -> None:
    found = node({"solana_rpc_connections_opened": 1e15, "solana_ws_up": 7.0, "solana_ws_slots": 1e15})
    assert found.pool.opened >= 10**14
    assert not found.subscription.up
