"""Operations that no workflow carries out any more: they are closed, so that they keep no host for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import grpc
import structlog
from solward.operations.v1 import operations_pb2 as pb

from common.clock import timestamp_now
from common.errors import SolwardError
from common.names import operation_name

# What DBOS says of a workflow that it will go on with.
LIVING = ("PENDING", "ENQUEUED")
# What is about to be set going is seen once so, and not twice so many seconds apart.
LOOK_S = 60.0

Edit = Callable[[pb.Operation], None]
log = structlog.get_logger(__name__)


class Unfinished(Protocol):
    """Where the operations at work are listed."""

    async def unfinished(self) -> list[str]:
        """List their uids."""


class Operations(Protocol):
    """Where they are read and changed."""

    async def get(self, uid: str) -> pb.Operation:
        """Read one."""

    async def change(self, uid: str, edit: Edit) -> pb.Operation:
        """Change one."""


class Lost:
    """Finds and closes them.

    Args:
        status: what DBOS says of the workflow of an operation; None where there is none.
    """

    def __init__(
        self, listed: Unfinished, operations: Operations, status: Callable[[pb.Operation], Awaitable[str | None]]
    ) -> None:
        self._listed = listed
        self._operations = operations
        self._status = status

    async def close_at_start(self) -> None:
        """Close what a dead process left; parts are for whoever carries out the whole."""
        for uid, edit in (await self._find()).items():
            if not (await self._operations.get(uid)).parent:
                await self._operations.change(uid, edit)

    async def close_for_ever(self, look_s: float = LOOK_S) -> None:
        """Close, again and again, what was not carried out by anybody for a while, parts too."""
        before: dict[str, Edit] = {}
        while True:
            await asyncio.sleep(look_s)
            try:
                now = await self._find()
                for uid in now.keys() & before.keys():
                    log.error("nobody carries out an operation", operation=operation_name(uid))
                    await self._operations.change(uid, now[uid])
            except Exception:
                # The store is away, say: it is looked at again.
                log.exception("operations cannot be looked after")
                continue
            before = now

    async def _find(self) -> dict[str, Edit]:
        found: dict[str, Edit] = {}
        for uid in await self._listed.unfinished():
            status = await self._status(await self._operations.get(uid))
            if status is None:
                found[uid] = never_begun
            elif status not in LIVING:
                found[uid] = _interrupted
        return found


def never_begun(operation: pb.Operation) -> None:
    """Close an operation that was stored, and not set going when the process died."""
    why = "the control plane stopped before this began; nothing was done"
    _close(operation, pb.OPERATION_STATE_FAILED, "NEVER_BEGUN", why)


def _interrupted(operation: pb.Operation) -> None:
    # Its workflow ended while the store could not be written, so that it could not say how.
    why = "the control plane could not record how this ended: look at the host and at the audit log"
    _close(operation, pb.OPERATION_STATE_PAUSED, "INTERRUPTED", why)


def _close(operation: pb.Operation, state: pb.OperationState, reason: str, why: str) -> None:
    if operation.HasField("end_time"):
        return
    operation.state = state
    operation.error.CopyFrom(SolwardError(grpc.StatusCode.ABORTED, reason, why).status())
    operation.end_time.CopyFrom(timestamp_now())
