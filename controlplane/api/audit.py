"""audit.v1: the log, its checkpoints, and exports to be verified offline."""

from collections.abc import AsyncIterator

from solward.audit.v1 import audit_pb2 as pb
from solward.audit.v1.audit_pb2_grpc import AuditServiceServicer

from common.auditlog import Checkpoint, Entry
from common.clock import timestamp
from controlplane.api.paging import page_position, page_token
from controlplane.audit.log import AuditLog
from controlplane.guard.context import Context

DEFAULT_PAGE = 50


class AuditApi(AuditServiceServicer):
    """Serves AuditService."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def ListEntries(self, request: pb.ListEntriesRequest, context: Context) -> pb.ListEntriesResponse:
        position = page_position(request, int)
        page = await self._log.list(
            limit=request.page_size or DEFAULT_PAGE,
            before=position[0] if position else None,
            principal=request.principal,
            method=request.method,
        )
        more = page_token(request, [page.before]) if page.before is not None else ""
        return pb.ListEntriesResponse(entries=map(_entry, page.entries), next_page_token=more)

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, context: Context) -> pb.Checkpoint:
        point = await self._log.checkpoint()
        answer = _checkpoint(point)
        answer.consistency_proof.extend(await self._log.growth(request.held_size, point))
        return answer

    async def ExportEntries(self, request: pb.ExportEntriesRequest, context: Context) -> AsyncIterator[pb.ExportRecord]:
        last: Entry | Checkpoint | None = None
        async for record in self._log.export(request.from_sequence):
            if last is not None:
                yield _record(last)
            last = record
        # The export's own head comes last, and is what the caller will hold.
        if isinstance(last, Checkpoint):
            answer = _record(last)
            answer.checkpoint.consistency_proof.extend(await self._log.growth(request.held_size, last))
            yield answer


def _record(record: Entry | Checkpoint) -> pb.ExportRecord:
    if isinstance(record, Entry):
        return pb.ExportRecord(entry=_entry(record))
    return pb.ExportRecord(checkpoint=_checkpoint(record))


def _entry(entry: Entry) -> pb.Entry:
    return pb.Entry(sequence=entry.sequence, body=entry.body, hash=entry.hash, mac=entry.mac)


def _checkpoint(point: Checkpoint) -> pb.Checkpoint:
    return pb.Checkpoint(
        origin=point.origin,
        size=point.size,
        root=point.root,
        time=timestamp(point.time_ms),
        signature=point.signature,
        public_key=point.public_key,
    )
