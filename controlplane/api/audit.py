"""audit.v1: the log, its checkpoints, exports to be verified offline, retention, witnesses and reports."""

from collections.abc import AsyncIterator

import grpc
from solward.audit.v1 import audit_pb2 as pb
from solward.audit.v1.audit_pb2_grpc import AuditServiceServicer

from common.auditlines import Record
from common.auditlog import Checkpoint
from common.auditwire import checkpoint_message, entry_message, prune_message, record_message
from common.clock import now_ms, timestamp
from common.errors import SolwardError
from common.names import host_name
from controlplane.api.paging import page_position, page_token
from controlplane.audit.log import AuditLog
from controlplane.audit.reports.maker import ReportMaker
from controlplane.audit.retention import Retention
from controlplane.audit.witness import Seen, Witnesses
from controlplane.guard.context import Context, caller
from controlplane.store.hosts import HostRepository

DEFAULT_PAGE = 50


class AuditApi(AuditServiceServicer):
    """Serves AuditService."""

    def __init__(
        self, log: AuditLog, retention: Retention, witnesses: Witnesses, hosts: HostRepository, reports: ReportMaker
    ) -> None:
        self._log = log
        self._retention = retention
        self._witnesses = witnesses
        self._hosts = hosts
        self._reports = reports

    async def ListEntries(self, request: pb.ListEntriesRequest, context: Context) -> pb.ListEntriesResponse:
        position = page_position(request, int)
        page = await self._log.list(
            limit=request.page_size or DEFAULT_PAGE,
            before=position[0] if position else None,
            principal=request.principal,
            method=request.method,
        )
        more = page_token(request, [page.before]) if page.before is not None else ""
        return pb.ListEntriesResponse(entries=map(entry_message, page.entries), next_page_token=more)

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, context: Context) -> pb.Checkpoint:
        point = await self._log.checkpoint()
        answer = checkpoint_message(point)
        answer.consistency_proof.extend(await self._log.growth(request.held_size, point))
        return answer

    async def ExportEntries(self, request: pb.ExportEntriesRequest, context: Context) -> AsyncIterator[pb.ExportRecord]:
        last: Record | None = None
        async for record in self._log.export(request.from_sequence):
            if last is not None:
                yield record_message(last)
            last = record
        # The export's own head comes last, and is what the caller will hold.
        if isinstance(last, Checkpoint):
            answer = record_message(last)
            answer.checkpoint.consistency_proof.extend(await self._log.growth(request.held_size, last))
            yield answer

    async def TailEntries(self, request: pb.TailEntriesRequest, context: Context) -> AsyncIterator[pb.Entry]:
        after = request.after_sequence if request.HasField("after_sequence") else self._log.size
        if after > self._log.size:
            raise SolwardError(
                grpc.StatusCode.OUT_OF_RANGE, "AFTER_THE_END",
                f"after_sequence {after} is beyond the log, which ends at {self._log.size}: was it cut short?",
                {"size": str(self._log.size)},
            )  # fmt: skip
        async for entries in self._log.follow(after or self._log.first - 1):
            for entry in entries:
                yield entry_message(entry)

    async def PruneEntries(self, request: pb.PruneEntriesRequest, context: Context) -> pb.PruneEntriesResponse:
        before_ms = request.before.ToMilliseconds()
        self._retention.must_allow(before_ms)
        if request.validate_only:
            last = await self._retention.last_to_go(before_ms)
            return pb.PruneEntriesResponse(first=self._log.first if last else 0, last=last)
        prunes = await self._retention.prune(before_ms, caller().name)
        return pb.PruneEntriesResponse(
            first=prunes[0].first if prunes else 0,
            last=prunes[-1].size if prunes else 0,
            prunes=map(prune_message, prunes),
        )

    async def ListWitnesses(self, request: pb.ListWitnessesRequest, context: Context) -> pb.ListWitnessesResponse:
        rows = await self._hosts.active()
        return pb.ListWitnessesResponse(
            witnesses=[_witness(row.name, self._witnesses.seen(row.uid) or Seen(row.name)) for row in rows]
        )

    async def CreateReport(self, request: pb.CreateReportRequest, context: Context) -> pb.Report:
        begin_ms = getattr(request, "from").ToMilliseconds()
        end_ms = request.to.ToMilliseconds() if request.HasField("to") else now_ms()
        if end_ms <= begin_ms:
            raise SolwardError(
                grpc.StatusCode.INVALID_ARGUMENT, "PERIOD_EMPTY", "to must be later than from",
                violations=[("to", "must be later than from")],
            )  # fmt: skip
        made = await self._reports.make(begin_ms, end_ms, request.format, caller().name)
        return pb.Report(
            filename=made.filename, content_type=made.content_type, content=made.content, intact=made.intact
        )


def _witness(host: str, seen: Seen) -> pb.Witness:
    return pb.Witness(
        host=host_name(host),
        held=checkpoint_message(seen.held) if seen.held else None,
        seen_time=timestamp(seen.seen_ms),
        verdict=seen.verdict,
        detail=seen.detail,
    )
