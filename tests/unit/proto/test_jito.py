"""The block engine's wire: bytes that its own descriptors make, and names that its clients call."""

import pytest
from google.protobuf.message import Message
from jito import block_engine_pb2, bundle_pb2, packet_pb2, searcher_pb2

R = bundle_pb2.Rejected


def result(**what: Message) -> bundle_pb2.BundleResult:
    return bundle_pb2.BundleResult(bundle_id="ab", **what)


def rejected(**why: Message) -> bundle_pb2.BundleResult:
    return result(rejected=R(**why))


def endpoint(url: str, shreds: str) -> block_engine_pb2.BlockEngineEndpoint:
    return block_engine_pb2.BlockEngineEndpoint(block_engine_url=url, shredstream_receiver_address=shreds)


LEADERS = searcher_pb2.ConnectedLeadersResponse(connected_validators={"v": searcher_pb2.SlotList(slots=[1, 300])})
PACKET = packet_pb2.Packet(data=b"\1\2\3", meta=packet_pb2.Meta(size=3, addr="0.0.0.0"))
VECTORS: list[tuple[str, Message]] = [
    ("0a141a120a03010203120b08031207302e302e302e30",
     searcher_pb2.SendBundleRequest(bundle=bundle_pb2.Bundle(packets=[PACKET]))),
    ("0a026162120608ac02120176", result(accepted=bundle_pb2.Accepted(slot=300, validator_identity="v"))),
    ("0a0261621a080a060a017810e807",
     rejected(state_auction_bid_rejected=bundle_pb2.StateAuctionBidRejected(
         auction_id="x", simulated_bid_lamports=1000))),
    ("0a0261621a07120510e8071a00",
     rejected(winning_batch_bid_rejected=bundle_pb2.WinningBatchBidRejected(simulated_bid_lamports=1000, msg=""))),
    ("0a0261621a081a060a017312016d",
     rejected(simulation_failure=bundle_pb2.SimulationFailure(tx_signature="s", msg="m"))),
    ("0a0261621a0522030a016d", rejected(internal_error=bundle_pb2.InternalError(msg="m"))),
    ("0a0261621a052a030a016d", rejected(dropped_bundle=bundle_pb2.DroppedBundle(msg="m"))),
    ("0a0261622200", result(finalized=bundle_pb2.Finalized())),
    ("0a0261623200", result(dropped=bundle_pb2.Dropped(reason=bundle_pb2.BlockhashExpired))),
    ("0a02616232020801", result(dropped=bundle_pb2.Dropped(reason=bundle_pb2.PartiallyProcessed))),
    ("0a0261622a080a017610ac021802",
     result(processed=bundle_pb2.Processed(validator_identity="v", slot=300, bundle_index=2))),
    ("080110051a017622026e79",
     searcher_pb2.NextScheduledLeaderResponse(
         current_slot=1, next_leader_slot=5, next_leader_identity="v", next_leader_region="ny")),
    ("0a0a0a017612050a0301ac02", LEADERS),
    ("0a120a026e79120c0a0a0a017612050a0301ac02",
     searcher_pb2.ConnectedLeadersRegionedResponse(connected_validators={"ny": LEADERS})),
    ("0a080a01751203733a3112030a0172",
     block_engine_pb2.GetBlockEngineEndpointResponse(
         global_endpoint=endpoint("u", "s:1"), regioned_endpoints=[endpoint("r", "")])),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "message"), VECTORS)
def test_messages_are_the_bytes_that_the_block_engine_writes(wire: str, message: Message) -> None:
    assert message.SerializeToString(deterministic=True).hex() == wire
    assert type(message).FromString(bytes.fromhex(wire)) == message


def test_methods_have_the_names_that_the_block_engine_serves() -> None:
    service = searcher_pb2.DESCRIPTOR.services_by_name["SearcherService"]
    assert service.full_name == "searcher.SearcherService"
    assert {method.name for method in service.methods} == {
        "SubscribeBundleResults", "SendBundle", "GetNextScheduledLeader", "GetConnectedLeaders",
        "GetConnectedLeadersRegioned", "GetTipAccounts", "GetRegions",
    }  # fmt: skip
