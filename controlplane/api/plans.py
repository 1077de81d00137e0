"""What every request that makes a plan an operation has in common."""

from collections.abc import Callable
from typing import Protocol

import grpc
from solward.operations.v1 import operations_pb2

from common.errors import SolwardError
from controlplane.api.lookup import find_only_host
from controlplane.guard.context import caller, current_call
from controlplane.links.inspect import InspectError
from controlplane.operations.engine import Engine
from controlplane.operations.gates import Gate, title
from controlplane.operations.gating import Gating
from controlplane.operations.plan import UnitPlan
from controlplane.store.hosts import HostRepository, HostRow


class PlannedRequest(Protocol):
    """What requests that are planned first have in common."""

    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str


class ActRequest(PlannedRequest, Protocol):
    """What requests that act on one host have in common."""

    host: str


class Operating:
    """Makes the plan for one host an operation, or shows it."""

    def __init__(self, hosts: HostRepository, engine: Engine, gating: Gating) -> None:
        self._hosts = hosts
        self._engine = engine
        self._gating = gating

    async def first(self, kind: str, request: PlannedRequest) -> operations_pb2.Operation | None:
        """Find the operation that an earlier call of the same request began."""
        key = request_key(kind, request.request_id)
        return await self._engine.by_request(key) if key and not request.validate_only else None

    async def operate(
        self, kind: str, request: ActRequest, make_plan: Callable[[HostRow], UnitPlan]
    ) -> operations_pb2.Operation:
        """Plan for the host that a request means; show the plan, or carry it out if it is the one that was shown."""
        who, call = caller(), current_call()
        if first := await self.first(kind, request):
            return first
        plan = make_plan(await find_only_host(self._hosts, request.host))
        refuse_changed(plan.hash, request.plan_hash)
        if request.validate_only:
            call.notes.update(reason="PLAN_ONLY", plan_hash=plan.hash)
            return await self._shown(plan, who.name, request.reason, call.approvals)
        operation = await self._engine.begin_unit(
            plan, requester=who.name, reason=request.reason, request_key=request_key(kind, request.request_id),
            approvals=call.approvals,
        )  # fmt: skip
        call.notes.update(operation=operation.name, plan_hash=plan.hash)
        return operation

    async def _shown(self, plan: UnitPlan, requester: str, reason: str, approvals: int) -> operations_pb2.Operation:
        """Show a plan, with its gates as they stand now."""
        gates: list[Gate] = []
        if plan.gates:
            try:
                _, gates = await self._gating.judge(plan)
            except InspectError as error:
                first = plan.gates[0]
                gates = [
                    Gate(first, title(first), operations_pb2.VERDICT_ERROR, f"{error.reason}: {error.message}", {})
                ]
        operation = plan.operation(requester, reason, gates)
        operation.approvals_required = approvals
        return operation


def request_key(kind: str, request_id: str) -> str | None:
    """Name a request, so that a second one of the same name finds the first one's operation; None without an id."""
    return f"{caller().uid}/{kind}/{request_id}" if request_id else None


def refuse_changed(plan_hash: str, wanted: str) -> None:
    """Refuse a plan that is not the one that was shown; an empty hash means any."""
    if wanted and wanted != plan_hash:
        raise SolwardError(
            grpc.StatusCode.ABORTED,
            "PLAN_CHANGED",
            "the plan is not the one that was shown: things have changed since; look at the new plan first",
            {"wanted": wanted, "plan_hash": plan_hash},
        )
