"""The engine: durable workflows on DBOS; it finds the ones that a dead process left and goes on with them."""

import asyncio
import contextvars
import logging
import uuid
from collections.abc import Callable, Container, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID
from solward.operations.v1 import operations_pb2 as pb

from common import traceparent
from common.clock import timestamp_now
from common.errors import SolwardError
from common.names import host_name, operation_name
from controlplane.operations.approvals import approve, await_approval
from controlplane.operations.board import Board, ended
from controlplane.operations.fleet import FleetWorkflow, child_uid
from controlplane.operations.fleet_plan import FleetPlan
from controlplane.operations.fleet_plan import stored as stored_plan
from controlplane.operations.lost import Lost, never_begun
from controlplane.operations.plan import LEDGER_REPAIR, UnitPlan
from controlplane.operations.sequence import SequencePlan, SequenceWorkflow
from controlplane.operations.steering import lives
from controlplane.operations.tracing import operation_span
from controlplane.operations.unit import UnitWorkflow
from controlplane.store.operations import HostBusy, OperationRepository
from controlplane.store.postgresql import open_workflows

log = structlog.get_logger(__name__)

# Between two looks for what a dead process left: a part of the time within which its operations must go on.
INHERIT_S = 3.0
# How many operations tell what went on lately on a host.
NEWEST = 5


class Engine:
    """Starts operations, steers them, and keeps them going over restarts of the process."""

    def __init__(self, database: str, operations: OperationRepository, board: Board) -> None:
        self._operations = operations
        self._board = board
        self._unit: UnitWorkflow | None = None
        self._fleet: FleetWorkflow | None = None
        self._sequence: SequenceWorkflow | None = None
        self._closing: asyncio.Task[None] | None = None
        self._inheriting: asyncio.Task[None] | None = None
        # One version: whichever build starts next goes on with what the last one left. An executor for each process,
        # so that what is another's is what a dead one left: none but the one that leads carries anything out.
        self._executor = uuid.uuid4().hex
        config: DBOSConfig = {
            "name": "solward",
            "system_database_url": database,
            "application_version": "1",
            "executor_id": self._executor,
            "enable_otlp": False,
            "log_level": "WARNING",
        }
        self._shared = open_workflows(database) if database.startswith("postgresql:") else None
        if self._shared:
            config["system_database_engine"] = self._shared
        DBOS(config=config)
        logging.getLogger("dbos").setLevel(logging.WARNING)

    async def start(self, unit: UnitWorkflow, fleet: FleetWorkflow, sequence: SequenceWorkflow) -> None:
        """Begin work, with what was left first."""
        self._unit, self._fleet, self._sequence = unit, fleet, sequence
        DBOS.launch()
        await self._inherit()
        lost = Lost(self._operations, self._board, _status)
        await lost.close_at_start()
        self._closing = asyncio.create_task(lost.close_for_ever())
        self._inheriting = asyncio.create_task(self._inherit_for_ever())

    async def stop(self) -> None:
        """Stop; what is not finished goes on at the next start."""
        tasks = [task for task in (self._closing, self._inheriting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        DBOS.destroy()
        # DBOS had put its threads in the place of the loop's, and has ended them: what closes after us needs some.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        if self._shared:
            await asyncio.to_thread(self._shared.dispose)

    async def by_request(self, request_key: str) -> pb.Operation | None:
        """Find the operation that a request started before."""
        uid = await self._operations.by_request(request_key)
        return await self._board.get(uid) if uid else None

    async def newest_on(self, host_uid: str) -> list[pb.Operation]:
        """Give the newest few operations of a host, the newest first."""
        return [operation for _, operation in await self._operations.page(host_uid, None, NEWEST)]

    async def begin_unit(
        self, plan: UnitPlan, *, requester: str, reason: str, request_key: str | None, approvals: int = 0
    ) -> pb.Operation:
        """Make a plan an operation and set it going; the same request_key gives the same operation.

        Args:
            approvals: how many other people must approve before it begins.

        Raises: SolwardError HOST_BUSY while another operation is at work on the host.
        """
        operation = plan.operation(requester, reason)

        async def begin() -> pb.Operation:
            stored = await self._store(uuid.uuid4().hex, plan.host_uid, operation, request_key, approvals)
            if stored is None:
                raise await self._busy(plan)
            return await self._set_going(stored, operation, tuple(plan))

        return await _whole(begin())

    async def begin_fleet(
        self, plan: FleetPlan, *, requester: str, reason: str, request_key: str | None, approvals: int = 0
    ) -> pb.Operation:
        """Make a plan for many hosts an operation and set it going; as `begin_unit`."""
        operation = plan.operation(requester, reason)
        uid = uuid.uuid4().hex

        async def begin() -> pb.Operation:
            # It is busy with itself alone: its parts are what keeps a host.
            stored = await self._store(uid, uid, operation, request_key, approvals)
            return await self._set_going(stored or uid, operation, stored_plan(plan))

        return await _whole(begin())

    async def begin_sequence(
        self, plan: SequencePlan, operation: pb.Operation, request_key: str | None, approvals: int = 0
    ) -> pb.Operation:
        """Set a plan in parts going, as the operation that it was shown as; as `begin_unit`."""
        uid = uuid.uuid4().hex

        async def begin() -> pb.Operation:
            # As for many hosts: its parts are what keeps the host.
            stored = await self._store(uid, uid, operation, request_key, approvals)
            return await self._set_going(stored or uid, operation, tuple(plan))

        return await _whole(begin())

    async def begin_child(self, uid: str, plan: UnitPlan, parent: pb.Operation) -> None:
        """Begin the operation on one host of many under a uid, once.

        Raises: SolwardError HOST_BUSY while another operation is at work on the host.
        """
        operation = plan.operation(parent.requester, parent.reason)
        operation.parent = parent.name
        operation.traceparent = str(operation_span(parent) or "")
        stored = await self._store(uid, plan.host_uid, operation, f"child/{uid}", 0)
        if stored is None:
            raise await self._busy(plan)
        # In a context of its own: it is no part of the workflow that asks for it, and outlives its step.
        launch = self._set_going(uid, operation, tuple(plan))
        await asyncio.get_running_loop().create_task(launch, context=contextvars.Context())

    async def child(self, uid: str) -> pb.Operation | None:
        """Find an operation; one that was stored and not set going when we died is closed as never begun."""
        operation = await self._operations.get(uid)
        if operation is None or ended(operation) or await DBOS.get_workflow_status_async(_workflow_id(operation)):
            return operation
        return await self._board.change(uid, never_begun)

    async def part(self, whole: pb.Operation, host: str, attempt: int) -> pb.Operation | None:
        """Find the operation of a host's turn in an operation on many."""
        return await self._operations.get(child_uid(whole.name.partition("/")[2], host, attempt))

    async def approve(self, uid: str, approver: str, plan_hash: str, counted: Container[str]) -> pb.Operation:
        """Add one person's approval to an operation; arguments and errors as of `approvals.approve`."""
        return await self._board.change(uid, lambda operation: approve(operation, approver, plan_hash, counted))

    async def steer(self, uid: str, edit: Callable[[pb.Operation], None]) -> pb.Operation:
        """Have an operation do what a person asks of it: an edit of `steering`, which raises SolwardError.

        Raises also HOST_BUSY where another operation is at work on its host by now.
        """
        return await _whole(self._steer(uid, edit))

    async def _steer(self, uid: str, edit: Callable[[pb.Operation], None]) -> pb.Operation:
        living = lives(await self._board.get(uid))
        try:
            operation = await self._board.change(uid, edit)
        except HostBusy:
            raise SolwardError(
                grpc.StatusCode.ABORTED, "HOST_BUSY", "another operation is at work on its host by now: wait for it",
                {"operation": operation_name(uid)},
            ) from None  # fmt: skip
        if not living and lives(operation):
            await self._take_up(uid, operation)
        return operation

    async def _take_up(self, uid: str, operation: pb.Operation) -> None:
        """Set an operation going that had ended, with the plan that it had."""
        first = await DBOS.get_workflow_status_async(uid)
        if first is None or not first.input:
            await self._board.change(uid, never_begun)
            raise RuntimeError(f"the plan of {operation.name} is not there any more")
        await self._launch(operation, first.input["args"][1])

    async def _inherit(self) -> None:
        """Take up what another process had begun to carry out."""
        begun = await DBOS.list_workflows_async(status="PENDING", load_input=False, load_output=False)
        for workflow in begun:
            if workflow.executor_id != self._executor:
                log.info("what another process began goes on here", workflow=workflow.workflow_id)
                await DBOS.resume_workflow_async(workflow.workflow_id)

    async def _inherit_for_ever(self) -> None:
        # One that was frozen and wakes up may snatch what waits to go on here, a moment before it ends itself.
        while True:
            await asyncio.sleep(INHERIT_S)
            try:
                await self._inherit()
            except Exception:
                log.exception("what others left cannot be looked for")

    async def _store(
        self, uid: str, host_uid: str, operation: pb.Operation, request_key: str | None, approvals: int
    ) -> str | None:
        operation.name = operation_name(uid)
        operation.state = pb.OPERATION_STATE_RUNNING
        operation.create_time.CopyFrom(timestamp_now())
        # Stored with it, so that its spans belong together whoever carries it out, and when.
        operation.traceparent = operation.traceparent or traceparent.said()
        if approvals:
            await_approval(operation, approvals)
        return await self._operations.add(uid, host_uid, operation, request_key)

    async def _set_going(self, stored: str, operation: pb.Operation, plan: tuple[object, ...]) -> pb.Operation:
        """Set an operation going unless it was stored before, by an earlier call of the same request."""
        if operation_name(stored) == operation.name:
            await self._launch(operation, plan)
        return await self._board.get(stored)

    async def _launch(self, operation: pb.Operation, plan: tuple[object, ...]) -> None:
        workflow = self._workflow(operation)
        if workflow is None:
            raise RuntimeError("the engine has not started")
        uid = operation.name.partition("/")[2]
        try:
            with SetWorkflowID(_workflow_id(operation)):
                await DBOS.start_workflow_async(workflow.run, uid, plan)
        except Exception:
            await self._board.change(uid, never_begun)
            raise

    def _workflow(self, operation: pb.Operation) -> UnitWorkflow | FleetWorkflow | SequenceWorkflow | None:
        if operation.targets:
            return self._fleet
        return self._sequence if operation.kind == LEDGER_REPAIR else self._unit

    async def _busy(self, plan: UnitPlan) -> SolwardError:
        names = [operation_name(uid) for uid in await self._operations.running(plan.host_uid)]
        return SolwardError(
            grpc.StatusCode.ABORTED,
            "HOST_BUSY",
            f"{' '.join(names) or 'another operation'} is at work on {host_name(plan.host)}: "
            "wait for it (ctl operations watch)",
            {"host": host_name(plan.host), "operation": " ".join(names)},
        )


async def _whole(work: Coroutine[Any, Any, pb.Operation]) -> pb.Operation:
    """Do something to its end, also when the caller hangs up: what is stored must be set going, too."""
    return await asyncio.shield(asyncio.create_task(work))


def _workflow_id(operation: pb.Operation) -> str:
    uid = operation.name.partition("/")[2]
    return f"{uid}.{operation.retries}" if operation.retries else uid


async def _status(operation: pb.Operation) -> str | None:
    status = await DBOS.get_workflow_status_async(_workflow_id(operation))
    return status.status if status else None
