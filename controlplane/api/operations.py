"""operations.v1: what was asked and how far it has come."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from solward.operations.v1 import operations_pb2 as pb
from solward.operations.v1.operations_pb2_grpc import OperationsServiceServicer

from controlplane.api.lookup import find_host
from controlplane.api.paging import page_position, page_token
from controlplane.api.reach import Reach
from controlplane.guard.context import Context, caller, current_call
from controlplane.identity.approvers import Approvers
from controlplane.operations.board import Board
from controlplane.operations.engine import Engine
from controlplane.operations.steering import abort, pause, resume, retry
from controlplane.store.hosts import HostRepository
from controlplane.store.operations import OperationRepository

DEFAULT_PAGE = 50


class Steered(Protocol):
    """What requests that steer an operation have in common."""

    name: str


class OperationsApi(OperationsServiceServicer):
    """Serves OperationsService."""

    def __init__(
        self, operations: OperationRepository, board: Board, engine: Engine, hosts: HostRepository, approvers: Approvers
    ) -> None:
        self._operations = operations
        self._approvers = approvers
        self._board = board
        self._engine = engine
        self._hosts = hosts

    async def ListOperations(self, request: pb.ListOperationsRequest, context: Context) -> pb.ListOperationsResponse:
        host_uid = (await find_host(self._hosts, request.host)).uid if request.host else ""
        position = page_position(request, int, str)
        before = (position[0], position[1]) if position else None
        size = request.page_size or DEFAULT_PAGE
        found = await self._operations.page(host_uid, before, size + 1)
        more = page_token(request, list(found[size - 1][0])) if len(found) > size else ""
        reach = await Reach.of_caller(self._hosts)
        seen = [operation for _, operation in found[:size] if reach.sees_operation(operation)]
        return pb.ListOperationsResponse(operations=seen, next_page_token=more)

    async def GetOperation(self, request: pb.GetOperationRequest, context: Context) -> pb.Operation:
        return await self._board.get(_uid(request.name))

    async def WatchOperation(self, request: pb.WatchOperationRequest, context: Context) -> AsyncIterator[pb.Operation]:
        async for operation in self._board.watch(_uid(request.name)):
            yield operation

    async def ApproveOperation(self, request: pb.ApproveOperationRequest, context: Context) -> pb.Operation:
        uid = _uid(request.name)
        waiting = await self._board.get(uid)
        counted = await self._approvers.counted(
            caller().name, waiting.requester, [approval.approver for approval in waiting.approvals]
        )
        operation = await self._engine.approve(uid, caller().name, request.plan_hash, counted)
        current_call().notes.update(operation=operation.name, plan_hash=operation.plan_hash)
        return operation

    async def PauseOperation(self, request: pb.PauseOperationRequest, context: Context) -> pb.Operation:
        return await self._steer(request, pause)

    async def ResumeOperation(self, request: pb.ResumeOperationRequest, context: Context) -> pb.Operation:
        return await self._steer(request, resume)

    async def AbortOperation(self, request: pb.AbortOperationRequest, context: Context) -> pb.Operation:
        return await self._steer(request, abort)

    async def RetryOperation(self, request: pb.RetryOperationRequest, context: Context) -> pb.Operation:
        return await self._steer(request, lambda operation: retry(operation, request.host))

    async def _steer(self, request: Steered, edit: Callable[[pb.Operation], None]) -> pb.Operation:
        operation = await self._engine.steer(_uid(request.name), edit)
        current_call().notes.update(operation=operation.name, plan_hash=operation.plan_hash)
        return operation


def _uid(name: str) -> str:
    return name.partition("/")[2]
