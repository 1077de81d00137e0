"""Yellowstone's wire: bytes written by hand from its tables, and names that its clients call."""

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from yellowstone import geyser_pb2 as pb
from yellowstone import solana_storage_pb2 as storage

INTERSLOT = pb.SubscribeRequestFilterSlots(interslot_updates=True)
VECTORS: list[tuple[str, Message]] = [
    ("12070a0173120210013000", pb.SubscribeRequest(slots={"s": INTERSLOT}, commitment=pb.PROCESSED)),
    ("2a050a016d120058ac02",
     pb.SubscribeRequest(blocks_meta={"m": pb.SubscribeRequestFilterBlocksMeta()}, from_slot=300)),
    ("4a020807", pb.SubscribeRequest(ping=pb.SubscribeRequestPing(id=7))),
    ("08001a0161f00101",
     pb.SubscribeRequestFilterTransactions(
         vote=False, account_include=["a"], token_accounts=pb.BALANCE_CHANGED)),
    ("0a01731a0808ac0210ab0218045a020801",
     pb.SubscribeUpdate(
         filters=["s"], slot=pb.SubscribeUpdateSlot(slot=300, parent=299, status=pb.SLOT_COMPLETED),
         created_at=Timestamp(seconds=1))),
    ("1a0708011806220165",
     pb.SubscribeUpdate(slot=pb.SubscribeUpdateSlot(slot=1, status=pb.SLOT_DEAD, dead_error="e"))),
    ("3200", pb.SubscribeUpdate(ping=pb.SubscribeUpdatePing())),
    ("4a020807", pb.SubscribeUpdate(pong=pb.SubscribeUpdatePong(id=7))),
    ("3a1108ac021201682a02080730ab0240054802",
     pb.SubscribeUpdate(block_meta=pb.SubscribeUpdateBlockMeta(
         slot=300, blockhash="h", block_height=storage.BlockHeight(block_height=7), parent_slot=299,
         executed_transaction_count=5, entries_count=2))),
    ("12100a0a0a01011005380942017310071801",
     pb.SubscribeUpdate(account=pb.SubscribeUpdateAccount(
         account=pb.SubscribeUpdateAccountInfo(pubkey=b"\1", lamports=5, write_version=9, txn_signature=b"s"),
         slot=7, is_startup=True))),
    ("220b0a070a0101100128031007",
     pb.SubscribeUpdate(transaction=pb.SubscribeUpdateTransaction(
         transaction=pb.SubscribeUpdateTransactionInfo(signature=b"\1", is_vote=True, index=3), slot=7))),
    ("520e0807120101180120032a030a0109",
     pb.SubscribeUpdate(transaction_status=pb.SubscribeUpdateTransactionStatus(
         slot=7, signature=b"\1", is_vote=True, index=3, err=storage.TransactionError(err=b"\x09")))),
    ("420d08071001180322010928053006",
     pb.SubscribeUpdate(entry=pb.SubscribeUpdateEntry(
         slot=7, index=1, num_hashes=3, hash=b"\x09", executed_transaction_count=5, starting_transaction_index=6))),
    ("2a0b0807120168480550046002",
     pb.SubscribeUpdate(block=pb.SubscribeUpdateBlock(
         slot=7, blockhash="h", executed_transaction_count=5, updated_account_count=4, entries_count=2))),
    ("0a100a017010ffffffffffffffffff0120041202080c",
     storage.Rewards(
         rewards=[storage.Reward(pubkey="p", lamports=-1, reward_type=storage.Voting)],
         num_partitions=storage.NumPartitions(num_partitions=12))),
    ("320408071806", pb.SubscribeUpdateDeshred(slot=pb.SubscribeUpdateSlot(slot=7, status=pb.SLOT_DEAD))),
    ("08ac02", pb.SubscribeReplayInfoResponse(first_available=300)),
    ("08ac02", pb.GetSlotResponse(slot=300)),
    ("0a0176", pb.GetVersionResponse(version="v")),
    ("08071001", pb.IsBlockhashValidResponse(slot=7, valid=True)),
    ("0807120168180a", pb.GetLatestBlockhashResponse(slot=7, blockhash="h", last_valid_block_height=10)),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "message"), VECTORS)
def test_messages_are_the_bytes_that_a_plugin_writes(wire: str, message: Message) -> None:
    assert message.SerializeToString(deterministic=True).hex() == wire
    assert type(message).FromString(bytes.fromhex(wire)) == message


def test_what_a_newer_plugin_adds_is_passed_over() -> None:
    # Field 19, of a kind that is not known here.
    update = pb.SubscribeUpdate.FromString(bytes.fromhex("0a01739a01030801071a020807"))
    assert (list(update.filters), update.slot.slot) == (["s"], 7)


def test_methods_have_the_names_that_a_plugin_serves() -> None:
    service = pb.DESCRIPTOR.services_by_name["Geyser"]
    assert service.full_name == "geyser.Geyser"
    assert {method.name for method in service.methods} == {
        "Subscribe", "SubscribeDeshred", "SubscribeReplayInfo", "Ping", "GetLatestBlockhash", "GetBlockHeight",
        "GetSlot", "IsBlockhashValid", "GetVersion",
    }  # fmt: skip
