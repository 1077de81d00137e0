"""Gates: each fails for its own reason, is inconclusive where nobody knows, and passes only on figures."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from controlplane.operations.gates import (
    GATES,
    Gate,
    Outside,
    Peer,
    Scene,
    before_slot,
    judge,
    title,
    together,
)
from controlplane.settings import GateLimits

PASS, FAIL, INCONCLUSIVE = pb.VERDICT_PASS, pb.VERDICT_FAIL, pb.VERDICT_INCONCLUSIVE
GB = 10**9


def node(**fields: object) -> link_pb2.NodeReport:
    good: dict[str, object] = {
        "version": "4.2.1", "identity": "me", "vote_account": "vote", "vote_account_node": "me", "health": "ok",
        "start_progress": "Running", "slot": 1_000_000, "epoch": 2, "slot_index": 136_000, "slots_in_epoch": 432_000,
        "next_leader_slot": 1_010_000, "slot_ms": 400.0, "full_snapshot_slot": 999_000, "makes_snapshots": True,
        "disks": [link_pb2.Disk(path="/ledger", free_bytes=500 * GB, total_bytes=1000 * GB)],
        "tower": link_pb2.Tower(path="/ledger/tower.bin", age_ms=300, signed=True),
    }  # fmt: skip
    return link_pb2.NodeReport(**(good | fields))  # type: ignore[arg-type]


OUTSIDE = Outside(slot=1_000_010, slot_ms=400.0, delinquent_percent=1.0)
SCENE = Scene(node(), OUTSIDE, (), GateLimits())


def trouble(source: str) -> link_pb2.NodeReport:
    return node(troubles=[link_pb2.Trouble(source=source, reason="RPC_TIMEOUT", message="no answer")])


def verdict(name: str, scene: Scene) -> Gate:
    return judge(scene, [name])[0]


def test_every_gate_passes_for_a_node_that_is_well() -> None:
    gates = judge(SCENE)
    assert {gate.id: gate.verdict for gate in gates} == dict.fromkeys(GATES, PASS)
    assert all(gate.message and gate.title == title(gate.id) for gate in gates)
    assert together(gates) == PASS


@pytest.mark.parametrize(
    ("gate", "scene", "wanted", "says"),
    [
        ("health", replace(SCENE, node=node(health="Node is behind by 400 slots")), FAIL, "the node says"),
        ("health", replace(SCENE, outside=replace(OUTSIDE, slot=1_000_051)), FAIL, "51 slots behind"),
        ("health", replace(SCENE, outside=Outside(trouble="none is set")), INCONCLUSIVE, "own word"),
        ("health", replace(SCENE, node=trouble("rpc getHealth")), INCONCLUSIVE, "no answer"),
        ("leader", replace(SCENE, node=node(next_leader_slot=1_001_499)), FAIL, "leads in 10.0 minutes"),
        ("leader", replace(SCENE, node=node(next_leader_slot=0)), PASS, "no more slots"),
        ("leader", replace(SCENE, node=trouble("rpc getLeaderSchedule")), INCONCLUSIVE, "no answer"),
        ("epoch", replace(SCENE, node=node(slot_index=430_600)), FAIL, "epoch 2 ends"),
        ("epoch", replace(SCENE, node=node(slots_in_epoch=0)), INCONCLUSIVE, "not known"),
        ("stake", replace(SCENE, outside=replace(OUTSIDE, delinquent_percent=5.0)), FAIL, "5.00 %"),
        ("stake", replace(SCENE, outside=Outside(trouble="none is set")), INCONCLUSIVE, "none is set"),
        ("snapshot", replace(SCENE, node=node(full_snapshot_slot=997_499)), FAIL, "2501 slots old"),
        ("snapshot", replace(SCENE, node=node(full_snapshot_slot=1, fastboot=True)), PASS, "fastboot"),
        ("snapshot", replace(SCENE, node=node(full_snapshot_slot=0)), INCONCLUSIVE, "no snapshot"),
        ("peers", replace(SCENE, peers=(Peer("sol-2", True), Peer("sol-3", False))), FAIL, "not up: sol-3"),
        ("peers", replace(SCENE, peers=(Peer("sol-2", True, "operations/1"),)), FAIL, "sol-2 (operations/1)"),
        ("peers", replace(SCENE, peers=(Peer("sol-2", True),)), PASS, "up: sol-2"),
        ("disk", replace(SCENE, node=node(disks=[link_pb2.Disk(path="/a", free_bytes=GB)])), FAIL, "/a"),
        ("disk", replace(SCENE, node=trouble("disk")), INCONCLUSIVE, "no answer"),
        ("tower", replace(SCENE, node=node(tower=link_pb2.Tower())), FAIL, "no tower"),
        ("tower", replace(SCENE, node=node(tower=link_pb2.Tower(), vote_account="")), PASS, "does not vote"),
        ("tower", replace(SCENE, node=node(tower=link_pb2.Tower(), vote_account_node="you")), PASS, "does not vote"),
        ("tower", replace(SCENE, node=node(tower=link_pb2.Tower(path="/t"))), FAIL, "not signed"),
        ("exit", replace(SCENE, node=trouble("admin startProgress")), FAIL, "cannot be asked"),
        ("sole-voter", replace(SCENE, node=node(vote_account="")), FAIL, "no vote_account"),
        ("sole-voter", replace(SCENE, peers=(Peer("sol-2", True),)), INCONCLUSIVE, "not known of sol-2"),
        ("sole-voter", replace(SCENE, peers=(Peer("sol-2", True, node=node()),)), FAIL, "already: sol-2"),
        ("identity", replace(SCENE, node=node(vote_account="")), PASS, "votes for none"),
        ("identity", replace(SCENE, peers=(Peer("sol-2", True),)), INCONCLUSIVE, "not known of sol-2"),
        ("identity", replace(SCENE, peers=(Peer("sol-2", True, node=node()),)), FAIL, "already: sol-2"),
        (
            "sole-voter",
            replace(SCENE, peers=(Peer("sol-2", True, node=node(tower=link_pb2.Tower(path="/t", age_ms=60_000))),)),
            PASS,
            "nobody else",
        ),
    ],
)
def test_each_gate_says_what_it_found(gate: str, scene: Scene, wanted: pb.Verdict, says: str) -> None:
    found = verdict(gate, scene)
    assert (found.verdict, says in found.message) == (wanted, True), found


@given(st.integers(0, 5000), st.floats(100, 800))
def test_leader_window_is_measured_in_real_slot_time(away: int, slot_ms: float) -> None:
    scene = Scene(node(next_leader_slot=1_000_000 + away + 1), replace(OUTSIDE, slot_ms=slot_ms), (), GateLimits())
    minutes = (away + 1) * slot_ms / 60_000
    found = verdict("leader", scene).verdict
    if abs(minutes - 10) > 0.02:
        assert found == (PASS if minutes > 10 else FAIL)


@given(st.integers(1, 20_000))
def test_agent_is_let_begin_only_while_the_gate_would_still_pass(away: int) -> None:
    scene = replace(SCENE, node=node(next_leader_slot=1_000_000 + away))
    limit = before_slot(scene)
    for slot in (limit - 1, limit):
        later = replace(scene, node=node(slot=slot, next_leader_slot=1_000_000 + away))
        if slot > 1_000_000:
            assert (verdict("leader", later).verdict == PASS) == (slot < limit)
    assert before_slot(replace(SCENE, node=node(next_leader_slot=0))) == 0


@given(st.lists(st.sampled_from([PASS, FAIL, INCONCLUSIVE]), min_size=1))
def test_together_they_are_as_bad_as_the_worst(verdicts: list[pb.Verdict]) -> None:
    gates = [Gate("x", "", one, "", {}) for one in verdicts]
    worst = FAIL if FAIL in verdicts else INCONCLUSIVE if INCONCLUSIVE in verdicts else PASS
    assert together(gates) == worst
