"""The audit log's rows: entries are only ever added, checkpoints too."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select
from sqlalchemy.engine import Row
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from common.auditlog import Checkpoint, Entry
from controlplane.store.tables import audit_checkpoints, audit_entries

_ENTRY = (
    audit_entries.c.sequence,
    audit_entries.c.body,
    audit_entries.c.hash,
    audit_entries.c.mac,
)


class EntriesMissing(SQLAlchemyError):
    """The store does not hold the entry that the new ones follow."""


class AuditRepository:
    """Reads and adds rows of the audit log; every method raises SQLAlchemyError or OSError on failure.

    Args:
        engine: where the tables are; a commit must be durable when it returns.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def append(self, entries: Sequence[tuple[Entry, str, str]]) -> None:
        """Add entries in one transaction, or none of them.

        Args:
            entries: in order and without a gap, each with its principal and method, to filter by.

        Raises:
            IntegrityError: another writer has added one of these numbers.
            EntriesMissing: the log would have a gap, as over a store that was set back.
        """
        rows = [
            {**entry._asdict(), "principal": _plain(principal), "method": _plain(method)}
            for entry, principal, method in entries
        ]
        before = entries[0][0].sequence - 1
        follows = select(audit_entries.c.sequence).where(audit_entries.c.sequence == before)
        async with self._engine.begin() as connection:
            await connection.execute(insert(audit_entries), rows)
            if before and await connection.scalar(follows) is None:
                raise EntriesMissing(f"the store has lost entry {before}")

    async def size(self) -> int:
        """Give the number of the newest entry, 0 where there is none."""
        async with self._engine.connect() as connection:
            newest = await connection.scalar(select(func.max(audit_entries.c.sequence)))
        return int(newest or 0)

    async def forward(self, first: int, limit: int) -> list[Entry]:
        """Read entries in order.

        Args:
            first: the lowest number wanted.
            limit: how many at the most.
        """
        query = select(*_ENTRY).where(audit_entries.c.sequence >= first).order_by(audit_entries.c.sequence).limit(limit)
        async with self._engine.connect() as connection:
            return [Entry(*row) for row in await connection.execute(query)]

    async def backward(self, before: int | None, limit: int, principal: str, method: str) -> list[Entry]:
        """Read entries, the newest first.

        Args:
            before: only entries with a lower number; None for all.
            limit: how many at the most.
            principal: only entries of this principal; empty for all.
            method: only entries of this method; empty for all.
        """
        query = select(*_ENTRY).order_by(audit_entries.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(audit_entries.c.sequence < before)
        if principal:
            query = query.where(audit_entries.c.principal == _plain(principal))
        if method:
            query = query.where(audit_entries.c.method == _plain(method))
        async with self._engine.connect() as connection:
            return [Entry(*row) for row in await connection.execute(query)]

    async def add_checkpoint(self, point: Checkpoint) -> None:
        """Keep a checkpoint.

        Args:
            point: of a size that has none yet.
        """
        row = {
            "size": point.size,
            "root": point.root,
            "time_ms": point.time_ms,
            "signature": point.signature,
        }
        async with self._engine.begin() as connection:
            await connection.execute(insert(audit_checkpoints), row)

    async def checkpoints(self, first: int, last: int, origin: str, public_key: bytes) -> list[Checkpoint]:
        """Read the checkpoints over a range of sizes, in order.

        Args:
            first: the least size.
            last: the greatest size.
            origin: the log's name, which is not stored.
            public_key: the log's public key, which is not stored.
        """
        query = (
            select(audit_checkpoints)
            .where(audit_checkpoints.c.size.between(first, last))
            .order_by(audit_checkpoints.c.size)
        )
        async with self._engine.connect() as connection:
            return [_checkpoint(row, origin, public_key) for row in await connection.execute(query)]

    async def last_checkpoint(self, origin: str, public_key: bytes) -> Checkpoint | None:
        """Read the checkpoint over the most entries.

        Args:
            origin: the log's name, which is not stored.
            public_key: the log's public key, which is not stored.
        """
        query = select(audit_checkpoints).order_by(audit_checkpoints.c.size.desc()).limit(1)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _checkpoint(row, origin, public_key)


def _plain(text: str) -> str:
    # PostgreSQL keeps no NUL in a text, and one that a caller sent must not stop the log.
    return text.replace("\0", "")


def _checkpoint(row: Row[tuple[object, ...]], origin: str, public_key: bytes) -> Checkpoint:
    return Checkpoint(origin, row.size, row.root, row.time_ms, row.signature, public_key)
