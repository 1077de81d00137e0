"""Readiness: a started node is ready by its own word and the cluster's, as the same identity, in the same process."""

from dataclasses import replace

import pytest
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from controlplane.operations.gates import Outside, Scene
from controlplane.operations.readiness import WAIT, ready
from tests.unit.controlplane.operations.test_gates import OUTSIDE, SCENE, node

AFTER = link_pb2.UnitState(main_pid=7)


@pytest.mark.parametrize(
    ("scene", "verdict", "says"),
    [
        (SCENE, pb.VERDICT_PASS, "healthy"),
        (replace(SCENE, node=node(start_progress="ProcessingLedger 1/90")), WAIT, "ProcessingLedger 1/90"),
        (replace(SCENE, node=node(health="Node is behind by 400 slots")), WAIT, "behind by 400"),
        (replace(SCENE, outside=replace(OUTSIDE, slot=2_000_000)), WAIT, "behind the cluster"),
        (replace(SCENE, node=node(identity="other")), pb.VERDICT_FAIL, "IDENTITY_CHANGED"),
        (replace(SCENE, node=node(pid=8)), WAIT, "process 8"),
        (replace(SCENE, node=node(pid=7)), pb.VERDICT_PASS, "healthy"),
        (replace(SCENE, outside=Outside(trouble="none is set")), pb.VERDICT_INCONCLUSIVE, "own word"),
    ],
)
def test_started_node_is_judged(scene: Scene, verdict: pb.Verdict, says: str) -> None:
    found = ready(scene, "me", AFTER)
    assert (found.verdict, says in found.message) == (verdict, True), found
