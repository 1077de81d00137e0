"""The engine: durable workflows on DBOS; it finds the ones that a dead process left and goes on with them."""

import logging
import uuid
from pathlib import Path
from typing import Any

import grpc
from dbos import DBOS, DBOSConfig, SetWorkflowID
from solward.operations.v1 import operations_pb2 as pb

from common.clock import timestamp_now
from common.errors import SolwardError
from common.names import host_name, operation_name
from controlplane.operations.approvals import approve, await_approval
from controlplane.operations.board import Board
from controlplane.operations.plan import UnitPlan
from controlplane.operations.unit import UnitWorkflow
from controlplane.store.operations import OperationRepository


class Engine:
    """Starts operations and keeps them going over restarts of the process."""

    def __init__(self, data_dir: Path, operations: OperationRepository, board: Board) -> None:
        self._operations = operations
        self._board = board
        self._unit: UnitWorkflow | None = None
        # One executor and version: whichever build starts next takes over what the last one left.
        config: DBOSConfig = {
            "name": "solward",
            "system_database_url": f"sqlite:///{data_dir / 'operations.db'}",
            "application_version": "1",
            "executor_id": "solward",
            "enable_otlp": False,
            "log_level": "WARNING",
        }
        DBOS(config=config)
        logging.getLogger("dbos").setLevel(logging.WARNING)

    async def start(self, unit: UnitWorkflow) -> None:
        """Begin work, with what was left first."""
        self._unit = unit
        DBOS.launch()
        for uid in await self._operations.unfinished():
            status = await DBOS.get_workflow_status_async(uid)
            if status is None:
                await self._board.change(uid, _never_begun)
            elif status.status not in ("PENDING", "ENQUEUED"):
                await self._board.change(uid, _interrupted)

    def stop(self) -> None:
        """Stop; what is not finished goes on at the next start."""
        DBOS.destroy()

    async def by_request(self, request_key: str) -> pb.Operation | None:
        """Find the operation that a request started before."""
        uid = await self._operations.by_request(request_key)
        return await self._board.get(uid) if uid else None

    async def begin_unit(
        self, plan: UnitPlan, *, requester: str, reason: str, request_key: str | None, approvals: int = 0
    ) -> pb.Operation:
        """Make a plan an operation and set it going; the same request_key gives the same operation.

        Args:
            approvals: how many other people must approve before it begins.

        Raises: SolwardError HOST_BUSY while another operation is at work on the host.
        """
        uid = uuid.uuid4().hex
        operation = plan.operation(requester, reason)
        operation.name = operation_name(uid)
        operation.state = pb.OPERATION_STATE_RUNNING
        operation.create_time.CopyFrom(timestamp_now())
        if approvals:
            await_approval(operation, approvals)
        stored = await self._operations.add(uid, plan.host_uid, operation, request_key)
        if stored is None:
            raise await self._busy(plan)
        if stored == uid:
            await self._launch(uid, plan)
        return await self._board.get(stored)

    async def approve(self, uid: str, approver: str, plan_hash: str) -> pb.Operation:
        """Add one person's approval to an operation; raises SolwardError as `approvals.approve`."""
        return await self._board.change(uid, lambda operation: approve(operation, approver, plan_hash))

    async def _launch(self, uid: str, plan: UnitPlan) -> None:
        if self._unit is None:
            raise RuntimeError("the engine has not started")
        arguments: tuple[Any, ...] = tuple(plan)
        try:
            with SetWorkflowID(uid):
                await DBOS.start_workflow_async(self._unit.run, uid, arguments)
        except Exception:
            await self._board.change(uid, _never_begun)
            raise

    async def _busy(self, plan: UnitPlan) -> SolwardError:
        names = [operation_name(uid) for uid in await self._operations.running(plan.host_uid)]
        return SolwardError(
            grpc.StatusCode.ABORTED,
            "HOST_BUSY",
            f"{' '.join(names) or 'another operation'} is at work on {host_name(plan.host)}: "
            "wait for it (ctl operations watch)",
            {"host": host_name(plan.host), "operation": " ".join(names)},
        )


def _never_begun(operation: pb.Operation) -> None:
    # The process died between storing the operation and setting it going.
    why = "the control plane stopped before this began; nothing was done"
    _close(operation, pb.OPERATION_STATE_FAILED, "NEVER_BEGUN", why)


def _interrupted(operation: pb.Operation) -> None:
    # Its workflow ended while the store could not be written, so that it could not say how.
    why = "the control plane could not record how this ended: look at the host and at the audit log"
    _close(operation, pb.OPERATION_STATE_PAUSED, "INTERRUPTED", why)


def _close(operation: pb.Operation, state: pb.OperationState, reason: str, why: str) -> None:
    operation.state = state
    operation.error.CopyFrom(SolwardError(grpc.StatusCode.ABORTED, reason, why).status())
    operation.end_time.CopyFrom(timestamp_now())
