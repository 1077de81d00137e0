"""The outside view: what it sees of a real wire, what it says when it sees nothing, and never its URL's key."""

import pytest

from controlplane.operations.outside import OutsideTrouble, OutsideView
from tests.peers.fixtures import validator_peer
from tests.peers.validator_state import key_of
from tests.support.ports import free_ports


async def test_cluster_is_seen_through_a_node() -> None:
    async with validator_peer(delinquent_percent=10) as peer, OutsideView(peer.rpc_url) as view:
        seen = await view.look()
    assert seen.trouble == ""
    assert seen.slot >= 300_000_000
    assert abs(seen.slot_ms - 400) < 1
    assert 5 < seen.delinquent_percent < 15


async def test_last_vote_is_that_of_the_account() -> None:
    account = key_of("vote")
    async with validator_peer(vote_account=account) as peer, OutsideView(peer.rpc_url) as view:
        assert await view.last_vote(account) >= 300_000_000
        assert await view.last_vote(key_of("nobody")) == 0


async def test_none_that_is_set_says_so() -> None:
    async with OutsideView("") as view:
        assert "solana_rpc_url" in (await view.look()).trouble


@pytest.mark.parametrize("fault", [{"http_status": 429}, {"error_code": -32005}])
async def test_refusals_are_trouble(fault: dict[str, int]) -> None:
    async with validator_peer(**fault) as peer, OutsideView(peer.rpc_url) as view:
        assert "the outside RPC" in (await view.look()).trouble


async def test_key_in_the_url_is_never_said_and_a_dead_peer_is_left_alone() -> None:
    (port,) = free_ports(1)
    async with OutsideView(f"http://127.0.0.1:{port}/?api-key=canary") as view:
        first = (await view.look()).trouble
        assert "does not answer" in first
        assert "canary" not in first
        with pytest.raises(OutsideTrouble, match="left alone"):
            await view.call("getSlot")
