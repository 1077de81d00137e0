"""The board: operations as they stand, and whoever watches them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress

import grpc
import structlog
from solward.operations.v1 import operations_pb2 as pb
from sqlalchemy.exc import SQLAlchemyError

from common.clock import timestamp_now
from common.errors import SolwardError
from common.names import operation_name
from controlplane.store.operations import OperationRepository

DONE = (pb.OPERATION_STATE_SUCCEEDED, pb.OPERATION_STATE_FAILED, pb.OPERATION_STATE_ABORTED)
# A watcher looks again this often, so that it also sees what another replica does.
LOOK_SECONDS = 1.0


def ended(operation: pb.Operation) -> bool:
    """Whether nothing carries it out any more."""
    return operation.state in DONE or operation.HasField("end_time")


log = structlog.get_logger(__name__)

# Between tries to store an operation, about as long as a leader may lead without its store.
SAVE_PAUSES_S = (0.1, 0.3, 1.0, 2.0, 4.0)


class Board:
    """Changes operations step by step and wakes their watchers.

    Args:
        told: called with an operation as it was and as it is, once that is stored.
    """

    def __init__(
        self, operations: OperationRepository, told: Callable[[pb.Operation, pb.Operation], None] | None = None
    ) -> None:
        self._operations = operations
        self._told = told
        self._locks: dict[str, asyncio.Lock] = {}
        # Operations that this process is at work on, as they stand in the store.
        self._live: dict[str, pb.Operation] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._any = asyncio.Event()
        # How many changes there were here so far.
        self.changes = 0

    def busy_hosts(self) -> set[str]:
        """Give the resource names of hosts on which an operation is at work."""
        return {operation.host for operation in self._live.values() if operation.state == pb.OPERATION_STATE_RUNNING}

    async def get(self, uid: str) -> pb.Operation:
        """Find an operation; SolwardError OPERATION_NOT_FOUND if there is none."""
        operation = self._live.get(uid) or await self._operations.get(uid)
        if operation is None:
            name = operation_name(uid)
            raise SolwardError(grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND", f"there is no {name}", {"name": name})
        return operation

    async def change(self, uid: str, edit: Callable[[pb.Operation], None]) -> pb.Operation:
        """Change an operation and store it."""
        async with self._locks.setdefault(uid, asyncio.Lock()):
            before = await self.get(uid)
            operation = pb.Operation()
            operation.CopyFrom(before)
            edit(operation)
            await self._save(operation)
            self._live[uid] = operation
            if self._told is not None:
                self._told(before, operation)
        self._changed.pop(uid, asyncio.Event()).set()
        self.changes += 1
        self._any.set()
        self._any = asyncio.Event()
        if ended(operation):
            self._locks.pop(uid, None)
            self._live.pop(uid, None)
        return operation

    async def _save(self, operation: pb.Operation) -> None:
        """Store an operation; a store that restarts is waited for, so that what is at work need not fail of it."""
        for pause_s in SAVE_PAUSES_S:
            try:
                await self._operations.save(operation)
            except (SQLAlchemyError, OSError) as error:
                log.warning("an operation was not stored", operation=operation.name, error=type(error).__name__)
                await asyncio.sleep(pause_s)
            else:
                return
        await self._operations.save(operation)

    async def change_step(self, uid: str, step_id: str, edit: Callable[[pb.Step], None]) -> pb.Operation:
        """Change one step of an operation."""

        def edit_step(operation: pb.Operation) -> None:
            edit(next(step for step in operation.steps if step.id == step_id))

        return await self.change(uid, edit_step)

    async def begin_step(self, uid: str, step_id: str) -> None:
        """Record that a step has begun, once."""

        def edit(step: pb.Step) -> None:
            if not step.HasField("start_time"):
                step.start_time.CopyFrom(timestamp_now())

        await self.change_step(uid, step_id, edit)

    async def end_step(
        self, uid: str, step_id: str, verdict: pb.Verdict, message: str, figures: Mapping[str, str]
    ) -> None:
        """Record what a step concluded."""

        def edit(step: pb.Step) -> None:
            step.verdict = verdict
            step.message = message
            step.figures.update(figures)
            step.end_time.CopyFrom(timestamp_now())

        await self.change_step(uid, step_id, edit)

    async def wait(self, since: int) -> None:
        """Wait until any operation changes here, or for a while: another replica's changes are seen then.

        Args:
            since: `changes` as it was before the caller looked; what has changed in between is not waited for.
        """
        if self.changes != since:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._any.wait()

    async def watch(self, uid: str) -> AsyncIterator[pb.Operation]:
        """Give the operation now and after every change, until it is done or waits for a person."""
        last: pb.Operation | None = None
        while True:
            await self.get(uid)
            event = self._changed.setdefault(uid, asyncio.Event())
            operation = await self.get(uid)
            if operation != last:
                yield operation
                last = operation
            if ended(operation) or operation.state == pb.OPERATION_STATE_PAUSED:
                self._changed.pop(uid, None)
                return
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await event.wait()
            except TimeoutError:
                continue
