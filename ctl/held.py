"""The checkpoint an operator holds: the audit log may grow past it, but never be shorter or another."""

import grpc
from solward.audit.v1 import audit_pb2

from common.auditgrowth import trouble
from common.auditlines import decode, encode
from common.auditlog import Checkpoint
from common.auditverify import Kind
from common.auditwire import checkpoint_of
from ctl import contexts, exits
from ctl.client import Client
from ctl.contexts import Context

_NEXT = {
    Kind.FOREIGN_KEY: "ask the administrators why; do not trust this log before they can say",
    Kind.FORKED: "ctl audit export, and verify it: what you hold names where they part",
}


async def hold_newest(client: Client) -> None:
    """Ask for the log's head, with the proof that it only grew since the one that is held, and hold it."""
    held = held_checkpoint(client.context)
    request = audit_pb2.GetCheckpointRequest(held_size=held.size if held else 0)
    method = "solward.audit.v1.AuditService/GetCheckpoint"
    try:
        newest = await client.call(method, request, audit_pb2.Checkpoint)
    except grpc.aio.AioRpcError as error:
        # Who may not read the log has nothing of it to hold.
        if error.code() is not grpc.StatusCode.PERMISSION_DENIED:
            raise
        return
    hold(client.context, newest)


def hold(context: Context, point: audit_pb2.Checkpoint) -> None:
    """Pin the log's key at the first sight, and keep the greatest checkpoint seen.

    A log that is shorter than the one that is held, not grown from it, or signed with another key, ends the
    program: what is held is the evidence, and is kept.
    """
    new = checkpoint_of(point)
    key = bytes.fromhex(context.log_key)
    finding = trouble(key, held_checkpoint(context), new, list(point.consistency_proof))
    if finding is not None:
        exits.fail(finding.message, exits.NOT_INTACT, _NEXT.get(finding.kind, ""))
    context.log_key = new.public_key.hex()
    context.held_checkpoint = encode(new)
    contexts.save(context)


def held_checkpoint(context: Context) -> Checkpoint | None:
    """Give the checkpoint that is held."""
    if not context.held_checkpoint:
        return None
    record = decode(context.held_checkpoint)
    return record if isinstance(record, Checkpoint) else None
