"""The audit log's rows: entries and checkpoints are added, and the oldest of them taken out under a signed record."""

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Row
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from common.auditlog import Checkpoint, Entry
from common.auditprune import Prune
from controlplane.store.tables import audit_checkpoints, audit_entries, audit_prunes, audit_tiles

_HASH = 32
_ENTRY = (
    audit_entries.c.sequence,
    audit_entries.c.body,
    audit_entries.c.hash,
    audit_entries.c.mac,
)


class EntriesMissing(SQLAlchemyError):
    """The store does not hold the entry that the new ones follow."""


class EntriesDiffer(SQLAlchemyError):
    """The store does not hold just the entries that are to be taken out."""


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

    async def checkpoint_before(self, time_ms: int, below: int, origin: str, public_key: bytes) -> Checkpoint | None:
        """Read the newest checkpoint that is old enough.

        Args:
            time_ms: signed by then, milliseconds since the epoch.
            below: over fewer entries than this.
            origin: the log's name, which is not stored.
            public_key: the log's public key, which is not stored.
        """
        query = (
            select(audit_checkpoints)
            .where(audit_checkpoints.c.time_ms <= time_ms, audit_checkpoints.c.size < below)
            .order_by(audit_checkpoints.c.size.desc())
            .limit(1)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else _checkpoint(row, origin, public_key)

    async def prune(self, prune: Prune, tiles: Mapping[int, bytes]) -> None:
        """Take entries out in one transaction, which keeps the record of it and what the tree needs.

        Args:
            prune: the signed record.
            tiles: leaf hashes by the number of their tile; each takes the place of the tile before.

        Raises:
            EntriesDiffer: the store does not hold just these entries, and a later one.
            IntegrityError: another process has taken out the same.
        """
        record = {
            "size": prune.size, "first": prune.first, "root": prune.root, "chain": prune.chain,
            "peaks": b"".join(prune.peaks), "pruned_by": prune.by, "time_ms": prune.time_ms,
            "signature": prune.signature,
        }  # fmt: skip
        later = select(audit_entries.c.sequence).where(audit_entries.c.sequence == prune.size + 1)
        async with self._engine.begin() as connection:
            await connection.execute(insert(audit_prunes), record)
            gone = await connection.execute(delete(audit_entries).where(audit_entries.c.sequence <= prune.size))
            if gone.rowcount != prune.removed or await connection.scalar(later) is None:
                raise EntriesDiffer(
                    f"the store does not hold entries {prune.first} to {prune.size}, and one after them"
                )
            await connection.execute(delete(audit_checkpoints).where(audit_checkpoints.c.size < prune.size))
            await connection.execute(delete(audit_tiles).where(audit_tiles.c.number >= min(tiles)))
            await connection.execute(
                insert(audit_tiles), [{"number": number, "leaves": leaves} for number, leaves in tiles.items()]
            )

    async def prunes(self, origin: str, public_key: bytes) -> list[Prune]:
        """Read every record of entries taken out, in order.

        Args:
            origin: the log's name, which is not stored.
            public_key: the log's public key, which is not stored.
        """
        query = select(audit_prunes).order_by(audit_prunes.c.size)
        async with self._engine.connect() as connection:
            return [_prune(row, origin, public_key) for row in await connection.execute(query)]

    async def tiles(self, first: int, limit: int) -> list[list[bytes]]:
        """Read the leaf hashes of entries taken out, by tile, in order and without a gap.

        Args:
            first: the number of the first tile.
            limit: how many at the most.
        """
        query = select(audit_tiles).where(audit_tiles.c.number >= first).order_by(audit_tiles.c.number).limit(limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [_hashes(row.leaves) for number, row in enumerate(rows, first) if row.number == number]


def _plain(text: str) -> str:
    # PostgreSQL keeps no NUL in a text, and one that a caller sent must not stop the log.
    return text.replace("\0", "")


def _checkpoint(row: Row[tuple[object, ...]], origin: str, public_key: bytes) -> Checkpoint:
    return Checkpoint(origin, row.size, row.root, row.time_ms, row.signature, public_key)


def _prune(row: Row[tuple[object, ...]], origin: str, public_key: bytes) -> Prune:
    return Prune(
        origin, row.first, row.size, row.root, row.chain, tuple(_hashes(row.peaks)), row.pruned_by, row.time_ms,
        row.signature, public_key,
    )  # fmt: skip


def _hashes(data: bytes) -> list[bytes]:
    return [data[place : place + _HASH] for place in range(0, len(data), _HASH)]
