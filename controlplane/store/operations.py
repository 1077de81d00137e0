"""Rows of operations: each holds the whole Operation message as it stands."""

from collections.abc import Callable

from solward.operations.v1 import operations_pb2
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import now_ms
from common.names import operation_name
from controlplane.store.tables import operations

_OPEN = (
    operations_pb2.OPERATION_STATE_RUNNING, operations_pb2.OPERATION_STATE_AWAITING_APPROVAL,
    operations_pb2.OPERATION_STATE_PAUSED,
)  # fmt: skip


class HostBusy(Exception):
    """Another operation is at work on the host."""


class Fenced(Exception):
    """A control plane of a later term has written the operation: this one leads no more."""


class OperationRepository:
    """Reads and writes operations.

    Args:
        term: gives the term of this control plane.
    """

    def __init__(self, engine: AsyncEngine, term: Callable[[], int] = lambda: 0) -> None:
        self._engine = engine
        self._term = term

    async def add(
        self, uid: str, host_uid: str, operation: operations_pb2.Operation, request_key: str | None
    ) -> str | None:
        """Store a new operation.

        Args:
            request_key: names the request (caller and request_id); a second one of the same name is not stored.

        Returns: the uid of the operation that is stored under the request's name; None while another
            operation is at work on the host.
        """
        row = {
            "uid": uid,
            "kind": operation.kind,
            "host_uid": host_uid,
            "requester": operation.requester,
            "state": operation.state,
            "record": operation.SerializeToString(),
            "request_key": request_key,
            "created_ms": now_ms(),
            "updated_ms": now_ms(),
            "term": self._term(),
        }
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(operations).values(**row))
        except IntegrityError:
            return await self.by_request(request_key) if request_key else None
        return uid

    async def by_request(self, request_key: str) -> str | None:
        """Find the operation that a request started, by the request's name."""
        statement = select(operations.c.uid).where(operations.c.request_key == request_key)
        async with self._engine.connect() as connection:
            uid: str | None = (await connection.execute(statement)).scalar()
        return uid

    async def get(self, uid: str) -> operations_pb2.Operation | None:
        """Find an operation."""
        async with self._engine.connect() as connection:
            record = (await connection.execute(select(operations.c.record).where(operations.c.uid == uid))).scalar()
        return operations_pb2.Operation.FromString(record) if record else None

    async def save(self, operation: operations_pb2.Operation) -> None:
        """Store an operation as it stands now.

        Raises: HostBusy if it would be the second at work on its host; Fenced.
        """
        uid = operation.name.removeprefix(operation_name(""))
        term = self._term()
        values = {
            "state": operation.state, "record": operation.SerializeToString(), "updated_ms": now_ms(), "term": term,
        }  # fmt: skip
        mine = update(operations).where(operations.c.uid == uid, operations.c.term <= term)
        try:
            async with self._engine.begin() as connection:
                written = (await connection.execute(mine.values(**values))).rowcount
        except IntegrityError:
            raise HostBusy from None
        if not written:
            raise Fenced(operation.name)

    async def page(
        self, host_uid: str, before: tuple[int, str] | None, size: int
    ) -> list[tuple[tuple[int, str], operations_pb2.Operation]]:
        """List operations, the newest first, each with the key that the next page begins before."""
        columns = (operations.c.created_ms, operations.c.uid, operations.c.record)
        statement = select(*columns).order_by(operations.c.created_ms.desc(), operations.c.uid.desc()).limit(size)
        if host_uid:
            statement = statement.where(operations.c.host_uid == host_uid)
        if before:
            created, uid = before
            older = operations.c.created_ms < created
            same = (operations.c.created_ms == created) & (operations.c.uid < uid)
            statement = statement.where(older | same)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
        return [((row[0], row[1]), operations_pb2.Operation.FromString(row[2])) for row in rows]

    async def current(self, since_ms: int, size: int) -> list[operations_pb2.Operation]:
        """List operations that are not over, or have changed since a time, the newest change first."""
        wanted = operations.c.state.in_(_OPEN) | (operations.c.updated_ms >= since_ms)
        statement = select(operations.c.record).where(wanted).order_by(operations.c.updated_ms.desc()).limit(size)
        async with self._engine.connect() as connection:
            records = (await connection.execute(statement)).scalars().all()
        return [operations_pb2.Operation.FromString(record) for record in records]

    async def unfinished(self) -> list[str]:
        """List the uids of operations that are at work or await approval."""
        states = (operations_pb2.OPERATION_STATE_RUNNING, operations_pb2.OPERATION_STATE_AWAITING_APPROVAL)
        async with self._engine.connect() as connection:
            return list(
                (await connection.execute(select(operations.c.uid).where(operations.c.state.in_(states)))).scalars()
            )

    async def running(self, host_uid: str = "") -> list[str]:
        """List the uids of operations that are at work, on one host or anywhere."""
        statement = select(operations.c.uid).where(operations.c.state == operations_pb2.OPERATION_STATE_RUNNING)
        if host_uid:
            statement = statement.where(operations.c.host_uid == host_uid)
        async with self._engine.connect() as connection:
            return list((await connection.execute(statement)).scalars())
