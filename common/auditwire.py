"""The audit log's records as messages of the contract; no input, no output."""

from solward.audit.v1 import audit_pb2 as pb

from common.auditlines import Record
from common.auditlog import Checkpoint, Entry
from common.auditprune import Prune
from common.clock import timestamp


def checkpoint_of(point: pb.Checkpoint) -> Checkpoint:
    """Read a checkpoint."""
    return Checkpoint(
        point.origin, point.size, point.root, point.time.ToMilliseconds(), point.signature, point.public_key
    )


def record_of(record: pb.ExportRecord) -> Record:
    """Read a record of an export."""
    if record.HasField("checkpoint"):
        return checkpoint_of(record.checkpoint)
    if record.HasField("entry"):
        return entry_of(record.entry)
    prune = record.prune
    return Prune(
        prune.origin, prune.first, prune.size, prune.root, prune.chain, tuple(prune.peaks), prune.by,
        prune.time.ToMilliseconds(), prune.signature, prune.public_key,
    )  # fmt: skip


def entry_of(entry: pb.Entry) -> Entry:
    """Read an entry."""
    return Entry(entry.sequence, entry.body, entry.hash, entry.mac)


def checkpoint_message(point: Checkpoint) -> pb.Checkpoint:
    """Write a checkpoint."""
    return pb.Checkpoint(
        origin=point.origin,
        size=point.size,
        root=point.root,
        time=timestamp(point.time_ms),
        signature=point.signature,
        public_key=point.public_key,
    )


def entry_message(entry: Entry) -> pb.Entry:
    """Write an entry."""
    return pb.Entry(sequence=entry.sequence, body=entry.body, hash=entry.hash, mac=entry.mac)


def prune_message(prune: Prune) -> pb.Prune:
    """Write a prune record."""
    return pb.Prune(
        origin=prune.origin,
        first=prune.first,
        size=prune.size,
        root=prune.root,
        chain=prune.chain,
        peaks=prune.peaks,
        by=prune.by,
        time=timestamp(prune.time_ms),
        signature=prune.signature,
        public_key=prune.public_key,
    )


def record_message(record: Record) -> pb.ExportRecord:
    """Write a record of an export."""
    if isinstance(record, Entry):
        return pb.ExportRecord(entry=entry_message(record))
    if isinstance(record, Prune):
        return pb.ExportRecord(prune=prune_message(record))
    return pb.ExportRecord(checkpoint=checkpoint_message(record))
