"""The node's report: whole from a healthy node, and honest about what could not be read."""

from pathlib import Path

from agent.host.admin_rpc import AdminRpc
from agent.host.node import Node
from agent.host.node_rpc import NodeRpc
from agent.settings import ValidatorSettings
from tests.peers.fixtures import ValidatorPeer, validator_peer
from tests.peers.validator_state import key_of

VOTE_ACCOUNT = key_of("vote")


def node_of(peer: ValidatorPeer, **settings: Path) -> Node:
    about = ValidatorSettings(ledger=peer.ledger, vote_account=VOTE_ACCOUNT, **settings)  # type: ignore[arg-type]
    return Node(about, NodeRpc(peer.rpc_url, call_s=1), AdminRpc(peer.ledger / "admin.rpc", call_s=0.5))


async def test_healthy_node_is_reported_whole() -> None:
    async with validator_peer(vote_account=VOTE_ACCOUNT, leader_every=4000) as peer:
        node = node_of(peer)
        report = await node.inspect()
        node.rpc.close()
        identity = (await peer.rpc("getIdentity"))["result"]["identity"]
    assert list(report.troubles) == []
    assert (report.identity, report.version, report.health) == (identity, "4.2.1", "ok")
    assert (report.start_progress, report.pid) == ("Running", peer.process.pid)
    assert (report.vote_account_node, report.voting_enabled, report.fastboot) == (identity, True, True)
    assert report.slot >= 300_000_000
    assert 0 < report.next_leader_slot - report.slot <= 4000
    assert abs(report.slot_ms - 400) < 1
    assert report.slot - report.incremental_snapshot_slot < 300
    assert report.last_vote > 0
    assert report.disks[0].free_bytes > 0


async def test_node_that_is_behind_says_so_itself() -> None:
    async with validator_peer(behind_slots=500) as peer:
        node = node_of(peer)
        assert (await node.inspect()).health.endswith("Node is behind by 500 slots")
        node.rpc.close()


async def test_what_cannot_be_read_is_named_and_the_rest_is_there(tmp_path: Path) -> None:
    faults = {"hang": ["getVoteAccounts"], "error_code": {"getHighestSnapshotSlot": -32008}}
    async with validator_peer(**faults) as peer:
        node = node_of(peer, tower=tmp_path, snapshots=tmp_path / "gone")
        node.admin = AdminRpc(tmp_path / "none")
        report = await node.inspect()
        node.rpc.close()
    found = {trouble.source: trouble.reason for trouble in report.troubles}
    assert found == {
        "rpc getVoteAccounts": "RPC_TIMEOUT",
        "rpc getHighestSnapshotSlot": "RPC_REFUSED",
        "admin startProgress": "ADMIN_UNREACHABLE",
        "admin pid": "ADMIN_UNREACHABLE",
        "admin isGeneratingSnapshots": "ADMIN_UNREACHABLE",
        "admin validatorAdmissionTicketStatus": "ADMIN_UNREACHABLE",
        "disk": "FILE_UNREADABLE",
    }
    assert report.health == "ok"
    assert report.tower.path == ""
    assert not report.HasField("voting_enabled")


async def test_dead_node_leaves_only_its_files() -> None:
    async with validator_peer() as peer:
        node = node_of(peer)
        await peer.crash()
        report = await node.inspect()
        node.rpc.close()
    assert {trouble.reason for trouble in report.troubles} == {"RPC_UNREACHABLE", "ADMIN_UNREACHABLE"}
    assert report.disks


async def test_start_is_said_in_words() -> None:
    async with validator_peer(slow_start_s=3600) as peer:
        node = node_of(peer)
        assert await node.progress() == "Initializing"
        node.rpc.close()
