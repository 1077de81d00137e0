"""Pipelines are judged as they stand, and a flaw that lasts is told of the hop at fault alone."""

import pytest
from solward.geyser.v1 import geyser_pb2 as pb
from solward.hosts.v1 import link_pb2

from controlplane.geyser import pipelines as module
from controlplane.geyser.pipelines import Pipelines, sees
from controlplane.telemetry.ingest import Ingest
from tests.support.told import Told
from tests.unit.controlplane.geyser.test_settings import NODE, PLUGIN, TOPIC, pipeline
from tests.unit.controlplane.geyser.test_signs import OF_PLUGIN, run_node


class Stand:
    def __init__(self) -> None:
        self.ingest = Ingest(900)
        self.told = Told(self.ingest)
        self.found: list[tuple[str, link_pb2.Event]] = []
        wanted = {"slots": pipeline([NODE, PLUGIN, TOPIC])}
        self.pipelines = Pipelines(wanted, self.ingest, lambda host, event: self.found.append((host, event)))


@pytest.fixture
def stand() -> Stand:
    stand = Stand()
    run_node(stand.told, until=1)
    return stand


def test_a_pipeline_of_which_nothing_is_told_is_unknown(stand: Stand) -> None:
    found = stand.pipelines.look("slots")
    assert found.flow == pb.FLOW_UNKNOWN
    assert [hop.flow for hop in found.hops] == [pb.FLOW_OK, pb.FLOW_UNKNOWN, pb.FLOW_UNKNOWN]
    assert found.slow_hop == "plugin"
    assert not stand.found


def test_a_flaw_that_lasts_is_told_again_while_it_lasts(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.told.tell("sol-1", 0, {("geyser_plugin_loaded", OF_PLUGIN): 0.0, ("solana_rpc_slot", ()): 1150.0})
    at = module.now_ms()
    for seconds, times in ((0, 0), (29, 0), (31, 1), (40, 1), (62, 2)):
        monkeypatch.setattr(module, "now_ms", lambda seconds=seconds: at + seconds * 1000)
        found = stand.pipelines.look("slots")
        assert found.hops[1].flow == pb.FLOW_DOWN
        assert len(stand.found) == times
    host, event = stand.found[0]
    assert (host, event.kind) == ("hosts/sol-1", "geyser.down")
    assert event.message == "pipeline slots, hop plugin: the validator does not list it"


def test_a_watcher_sees_a_pipeline_whole_or_not_at_all(stand: Stand) -> None:
    found = stand.pipelines.look("slots")
    assert sees(found, {"hosts/sol-1", "hosts/k-1"}.__contains__)
    assert not sees(found, {"hosts/sol-1"}.__contains__)
