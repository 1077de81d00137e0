"""The checkpoint an operator holds: the audit log may grow past it, but never be shorter or another."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from solward.audit.v1 import audit_pb2

from common.auditlines import decode, encode
from common.auditlog import Checkpoint
from common.merkle import verify_consistency
from ctl import contexts, exits
from ctl.client import Client
from ctl.contexts import Context


def from_wire(point: audit_pb2.Checkpoint) -> Checkpoint:
    """Read a checkpoint as the server sends it."""
    return Checkpoint(
        point.origin, point.size, point.root, point.time.ToMilliseconds(), point.signature, point.public_key
    )


async def hold_newest(client: Client) -> None:
    """Ask for the log's head, with the proof that it only grew since the one that is held, and hold it."""
    held = held_checkpoint(client.context)
    request = audit_pb2.GetCheckpointRequest(held_size=held.size if held else 0)
    method = "solward.audit.v1.AuditService/GetCheckpoint"
    hold(client.context, await client.call(method, request, audit_pb2.Checkpoint))


def hold(context: Context, point: audit_pb2.Checkpoint) -> None:
    """Pin the log's key at the first sight, and keep the greatest checkpoint seen.

    A log that is shorter than the one that is held, not grown from it, or signed with another key, ends the
    program: what is held is the evidence, and is kept.
    """
    new = from_wire(point)
    if context.log_key and context.log_key != new.public_key.hex():
        exits.fail(
            "the audit log is signed with another key than when you first signed in", exits.NOT_INTACT,
            "ask the administrators why; do not trust this log before they can say",
        )  # fmt: skip
    if not new.signed_by(Ed25519PublicKey.from_public_bytes(new.public_key)):
        exits.fail("the audit log's checkpoint does not carry the signature of its key", exits.NOT_INTACT)
    held = held_checkpoint(context)
    if held and new.size == held.size and new.root != held.root:
        exits.fail(f"the audit log of {held.size} entries is another than the one signed before", exits.NOT_INTACT)
    if held and new.size < held.size:
        exits.fail(
            f"the audit log has {new.size} entries, but {held.size} were signed before: it was cut short",
            exits.NOT_INTACT,
        )
    proof = list(point.consistency_proof)
    if held and 0 < held.size < new.size and not verify_consistency(held.size, new.size, held.root, new.root, proof):
        exits.fail(
            f"the audit log of {new.size} entries did not grow from the {held.size} that were signed before: "
            "entries were taken out or changed", exits.NOT_INTACT,
            "ctl audit export, and verify it: what you hold names where they part",
        )  # fmt: skip
    context.log_key = new.public_key.hex()
    context.held_checkpoint = encode(new)
    contexts.save(context)


def held_checkpoint(context: Context) -> Checkpoint | None:
    """Give the checkpoint that is held."""
    if not context.held_checkpoint:
        return None
    record = decode(context.held_checkpoint)
    return record if isinstance(record, Checkpoint) else None
