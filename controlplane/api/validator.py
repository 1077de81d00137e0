"""validator.v1: the validator beside an agent."""

from collections.abc import Callable
from typing import Protocol

import grpc
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2
from solward.validator.v1 import validator_pb2 as pb
from solward.validator.v1.validator_pb2_grpc import ValidatorServiceServicer

from common.clock import timestamp
from common.errors import SolwardError
from common.names import host_name
from controlplane.api.lookup import find_only_host
from controlplane.guard.context import Context, caller, current_call
from controlplane.links.dispatch import Dispatch
from controlplane.links.inspect import InspectError, inspect
from controlplane.links.registry import Links
from controlplane.operations.engine import Engine
from controlplane.operations.gates import Gate, title
from controlplane.operations.gating import Gating
from controlplane.operations.plan import VOTE, UnitPlan, Wish, plan_unit, plan_vote, validator_unit
from controlplane.store.hosts import HostRepository, HostRow


class ActRequest(Protocol):
    """What requests that change a validator have in common."""

    host: str
    validate_only: bool
    request_id: str
    plan_hash: str
    reason: str


class ValidatorApi(ValidatorServiceServicer):
    """Serves ValidatorService."""

    def __init__(self, hosts: HostRepository, links: Links, dispatch: Dispatch, engine: Engine, gating: Gating) -> None:
        self._hosts = hosts
        self._links = links
        self._dispatch = dispatch
        self._engine = engine
        self._gating = gating

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.ValidatorStatus:
        row = await find_only_host(self._hosts, request.host)
        host = self._links.get(row.uid)
        report = validator_unit(host) if host else None
        if host is None or report is None:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "VALIDATOR_UNKNOWN",
                f"the agent of {host_name(row.name)} has not reported a validator since the control plane started",
                {"host": host_name(row.name)},
            )
        return pb.ValidatorStatus(
            host=host_name(row.name),
            unit=report.state,
            observe_time=timestamp(report.unix_ms),
            connected=host.connected,
        )

    async def GetNode(self, request: pb.GetNodeRequest, context: Context) -> link_pb2.NodeReport:
        row = await find_only_host(self._hosts, request.host)
        host = self._links.get(row.uid)
        if host is None or not host.connected:
            raise _not_inspected(row, InspectError("HOST_OFFLINE", "its agent is not connected"))
        try:
            return await inspect(self._dispatch, row.uid, host.validator)
        except InspectError as error:
            raise _not_inspected(row, error) from None

    async def Restart(self, request: pb.RestartRequest, context: Context) -> operations_pb2.Operation:
        wish = Wish(request.timeout_seconds, request.force, request.wait_seconds)
        return await self._act("validator.restart", request, wish)

    async def Start(self, request: pb.StartRequest, context: Context) -> operations_pb2.Operation:
        return await self._act("validator.start", request, Wish(request.timeout_seconds))

    async def Stop(self, request: pb.StopRequest, context: Context) -> operations_pb2.Operation:
        wish = Wish(request.timeout_seconds, request.force, request.wait_seconds)
        return await self._act("validator.stop", request, wish)

    async def SetVoting(self, request: pb.SetVotingRequest, context: Context) -> operations_pb2.Operation:
        enable = request.action == "on"
        return await self._operate(VOTE, request, lambda host: plan_vote(host, self._links, enable=enable))

    async def _act(self, kind: str, request: ActRequest, wish: Wish) -> operations_pb2.Operation:
        return await self._operate(kind, request, lambda host: plan_unit(kind, host, self._links, wish))

    async def _operate(
        self, kind: str, request: ActRequest, make_plan: Callable[[HostRow], UnitPlan]
    ) -> operations_pb2.Operation:
        who, call = caller(), current_call()
        key = f"{who.uid}/{kind}/{request.request_id}" if request.request_id else None
        if key and not request.validate_only and (first := await self._engine.by_request(key)):
            return first
        plan = make_plan(await find_only_host(self._hosts, request.host))
        _refuse_changed(plan, request.plan_hash)
        if request.validate_only:
            call.notes.update(reason="PLAN_ONLY", plan_hash=plan.hash)
            return await self._shown(plan, who.name, request.reason, call.approvals)
        operation = await self._engine.begin_unit(
            plan, requester=who.name, reason=request.reason, request_key=key, approvals=call.approvals
        )
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


def _not_inspected(row: HostRow, error: InspectError) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.FAILED_PRECONDITION,
        error.reason,
        f"the validator of {host_name(row.name)} cannot be looked at: {error.message}",
        {"host": host_name(row.name)},
    )


def _refuse_changed(plan: UnitPlan, wanted: str) -> None:
    if wanted and wanted != plan.hash:
        raise SolwardError(
            grpc.StatusCode.ABORTED,
            "PLAN_CHANGED",
            "the plan is not the one that was shown: the unit has changed since; look at the new plan first",
            {"wanted": wanted, "plan_hash": plan.hash},
        )
