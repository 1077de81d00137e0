"""The ledger of one host: looked at and mended by jobs of that host."""

from solward.controls.v1 import controls_pb2 as pb
from solward.operations.v1 import operations_pb2

from controlplane.api.lookup import find_only_host
from controlplane.api.plans import Operating, refuse_changed, request_key
from controlplane.guard.context import caller, current_call
from controlplane.links.registry import Links
from controlplane.operations.engine import Engine
from controlplane.operations.ledger_plan import SURVEY, Range, nudge, repair, shown, survey
from controlplane.operations.plan import LEDGER_REPAIR, NUDGE
from controlplane.store.hosts import HostRepository


class Ledger:
    """What ControlsService does with ledgers."""

    def __init__(self, hosts: HostRepository, links: Links, engine: Engine, operating: Operating) -> None:
        self._hosts = hosts
        self._links = links
        self._engine = engine
        self._operating = operating

    async def survey(self, request: pb.SurveyLedgerRequest) -> operations_pb2.Operation:
        """Say how slots stand, and what could be done."""
        purge_from = request.purge_from if request.HasField("purge_from") else None
        asked = Range(request.first_slot, request.last_slot, request.timeout_seconds, purge_from)
        return await self._operating.operate(SURVEY, request, lambda row: survey(row, self._links, asked))

    async def nudge(self, request: pb.NudgeRepairRequest) -> operations_pb2.Operation:
        """Have a running node ask its peers for shreds."""
        return await self._operating.operate(
            NUDGE, request,
            lambda row: nudge(
                row, self._links, request.first_slot, request.last_slot, request.shreds, request.watch_seconds
            ),
        )  # fmt: skip

    async def repair(self, request: pb.RepairLedgerRequest) -> operations_pb2.Operation:
        """Stop the node, do what can be done, and start it again."""
        if first := await self._operating.first(LEDGER_REPAIR, request):
            return first
        row = await find_only_host(self._hosts, request.host)
        asked = Range(
            request.first_slot, request.last_slot, request.timeout_seconds, digest=request.survey_digest
        )  # fmt: skip
        plan = repair(row, self._links, asked, request.wait_seconds)
        call, who = current_call(), caller()
        refuse_changed(plan.hash, request.plan_hash)
        operation = shown(plan, who.name, request.reason)
        if request.validate_only:
            call.notes.update(reason="PLAN_ONLY", plan_hash=plan.hash)
            operation.approvals_required = call.approvals
            return operation
        key = request_key(LEDGER_REPAIR, request.request_id)
        begun = await self._engine.begin_sequence(plan, operation, key, call.approvals)
        call.notes.update(operation=begun.name, plan_hash=plan.hash)
        return begun
