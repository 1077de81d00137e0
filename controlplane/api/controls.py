"""controls.v1: what is done to many hosts, one after the other."""

from collections.abc import Awaitable, Callable

import grpc
from solward.controls.v1 import controls_pb2 as pb
from solward.controls.v1.controls_pb2_grpc import ControlsServiceServicer
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2

from common.errors import SolwardError
from common.names import host_name
from controlplane.api.ledger import Ledger
from controlplane.api.plans import PlannedRequest, refuse_changed, request_key
from controlplane.api.reach import Reach, must_reach, must_reach_named
from controlplane.api.snapshots import Snapshots
from controlplane.guard.context import Context, caller, current_call
from controlplane.operations.board import Board, ended
from controlplane.operations.engine import Engine
from controlplane.operations.fleet_plan import CONFIG_APPLY, ROLLING, FleetPlan
from controlplane.operations.fleet_planner import FleetPlanner
from controlplane.store.hosts import HostRepository, HostRow


class ControlsApi(ControlsServiceServicer):
    """Serves ControlsService."""

    def __init__(
        self, planner: FleetPlanner, engine: Engine, board: Board, hosts: HostRepository, snapshots: Snapshots,
        ledger: Ledger,
    ) -> None:  # fmt: skip
        self._hosts = hosts
        self._snapshots = snapshots
        self._ledger = ledger
        self._planner = planner
        self._engine = engine
        self._board = board

    async def RollingRestart(self, request: pb.RollingRestartRequest, context: Context) -> operations_pb2.Operation:
        async def plan() -> FleetPlan:
            rows = await self._select(request.selector)
            return await self._planner.rolling(
                rows, request.rollout, force=request.force, named=bool(request.selector.hosts)
            )

        return await self._operate(ROLLING, request, plan)

    async def ApplyConfig(self, request: pb.ApplyConfigRequest, context: Context) -> operations_pb2.Operation:
        async def plan() -> FleetPlan:
            rows = await self._select(request.selector)
            return await self._planner.config(
                rows, lambda _: link_pb2.ConfigAction(changes=request.changes), request.rollout,
                restart=not request.no_restart, rollback=not request.no_rollback, named=bool(request.selector.hosts),
            )  # fmt: skip

        return await self._operate(CONFIG_APPLY, request, plan)

    async def RollBackConfig(self, request: pb.RollBackConfigRequest, context: Context) -> operations_pb2.Operation:
        applied = await self._board.get(request.operation.partition("/")[2])
        if applied.kind != CONFIG_APPLY or not ended(applied):
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "NOT_A_CONFIG_APPLY",
                f"{applied.name} is no change of the flags of many hosts that has ended", {"operation": applied.name},
            )  # fmt: skip
        before = await self._versions_before(applied)
        rollout = request.rollout if request.HasField("rollout") else applied.rollout

        def back(row: HostRow) -> link_pb2.ConfigAction:
            return link_pb2.ConfigAction(to_version=before[f"hosts/{row.name}"])

        async def plan() -> FleetPlan:
            rows = await self._select(pb.Selector(hosts=before))
            return await self._planner.config(rows, back, rollout, restart=True, rollback=True, named=True)

        return await self._operate(CONFIG_APPLY, request, plan)

    async def ListSnapshots(self, request: pb.ListSnapshotsRequest, context: Context) -> link_pb2.SnapshotsReport:
        return await self._snapshots.list(request.host)

    async def CreateSnapshot(self, request: pb.CreateSnapshotRequest, context: Context) -> operations_pb2.Operation:
        return await self._snapshots.create(request)

    async def VerifySnapshot(self, request: pb.VerifySnapshotRequest, context: Context) -> operations_pb2.Operation:
        return await self._snapshots.verify(request)

    async def PruneSnapshots(self, request: pb.PruneSnapshotsRequest, context: Context) -> operations_pb2.Operation:
        return await self._snapshots.prune(request)

    async def UnpinSnapshot(self, request: pb.UnpinSnapshotRequest, context: Context) -> operations_pb2.Operation:
        return await self._snapshots.unpin(request)

    async def SurveyLedger(self, request: pb.SurveyLedgerRequest, context: Context) -> operations_pb2.Operation:
        return await self._ledger.survey(request)

    async def RepairLedger(self, request: pb.RepairLedgerRequest, context: Context) -> operations_pb2.Operation:
        return await self._ledger.repair(request)

    async def NudgeRepair(self, request: pb.NudgeRepairRequest, context: Context) -> operations_pb2.Operation:
        return await self._ledger.nudge(request)

    async def _versions_before(self, applied: operations_pb2.Operation) -> dict[str, int]:
        """Find, for every host whose flags an operation changed and did not put back, the version before."""
        found = {}
        for target in applied.targets:
            previous = 0
            for attempt in range(1, target.attempts + 1):
                part = await self._engine.part(applied, target.host, attempt)
                steps = {step.id: step for step in part.steps} if part else {}
                if "configure" in steps:
                    # Of several tries the first that wrote knows what stood before all of them.
                    previous = previous or int(steps["configure"].figures.get("previous_version", "0"))
                if "undo" in steps and steps["undo"].verdict == operations_pb2.VERDICT_PASS:
                    previous = 0
            if previous:
                found[target.host] = previous
        if not found:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "NOTHING_TO_CHANGE",
                f"{applied.name} left no host with other flags", {"operation": applied.name},
            )  # fmt: skip
        return found

    async def _select(self, selector: pb.Selector) -> list[HostRow]:
        """Find the hosts that a selector means; what a plan says of them is for who reaches every one."""
        reach = await Reach.of_caller(self._hosts)
        must_reach_named(selector.hosts, reach)
        rows = await self._planner.select(selector)
        must_reach((host_name(row.name) for row in rows), reach)
        return rows

    async def _operate(
        self, kind: str, request: PlannedRequest, make_plan: Callable[[], Awaitable[FleetPlan]]
    ) -> operations_pb2.Operation:
        who, call = caller(), current_call()
        key = request_key(kind, request.request_id)
        if key and not request.validate_only and (first := await self._engine.by_request(key)):
            return first
        plan = await make_plan()
        refuse_changed(plan.hash, request.plan_hash)
        if request.validate_only:
            call.notes.update(reason="PLAN_ONLY", plan_hash=plan.hash)
            shown = plan.operation(who.name, request.reason)
            shown.approvals_required = call.approvals
            return shown
        _refuse_unready(plan)
        operation = await self._engine.begin_fleet(
            plan, requester=who.name, reason=request.reason, request_key=key, approvals=call.approvals
        )
        call.notes.update(operation=operation.name, plan_hash=plan.hash)
        return operation


def _refuse_unready(plan: FleetPlan) -> None:
    refused = [each for each in plan.targets if each.refused]
    if refused:
        words = "; ".join(f"{each.host}: {each.refused}" for each in refused[:5])
        raise SolwardError(
            grpc.StatusCode.FAILED_PRECONDITION, "HOSTS_NOT_READY",
            f"{len(refused)} of {len(plan.targets)} hosts cannot be acted on: {words}",
            {"hosts": " ".join(each.host for each in refused)},
        )  # fmt: skip
