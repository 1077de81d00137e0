"""Rows of findings."""

from solward.hosts.v1 import link_pb2
from sqlalchemy import BigInteger, and_, delete, func, insert, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.tables import events, hosts
from controlplane.store.turns import take_turns

Position = tuple[int, str, int, int]


class EventRepository:
    """Reads and writes findings."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, host_uid: str, spool_id: str, sequence: int, found: list[link_pb2.Event]) -> bool:
        """Store a batch's findings, all or none; False if the batch is stored already."""
        rows = [
            {
                "host_uid": host_uid, "spool_id": spool_id, "sequence": sequence, "position": position,
                "severity": event.severity, "unix_ms": event.unix_ms, "record": event.SerializeToString(),
            }
            for position, event in enumerate(found)
        ]  # fmt: skip
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(events), rows)
        except IntegrityError:
            return False
        return True

    async def page(
        self, host_uid: str, min_severity: int, before: tuple[int, int, int] | None, size: int
    ) -> list[tuple[tuple[int, int, int], str, link_pb2.Event]]:
        """List findings, the newest first, each with the key that the next page begins before and its host's name."""
        key = (events.c.unix_ms, events.c.sequence, events.c.position)
        statement = select(*key, hosts.c.name, events.c.record).join(hosts, hosts.c.uid == events.c.host_uid)
        statement = statement.where(events.c.severity >= min_severity)
        if host_uid:
            statement = statement.where(events.c.host_uid == host_uid)
        if before:
            unix_ms, sequence, number = before
            # Whoever made a page's key up may have chosen a number that no position can be.
            position = literal(number, BigInteger)
            older = (
                (key[0] < unix_ms)
                | and_(key[0] == unix_ms, key[1] < sequence)
                | and_(key[0] == unix_ms, key[1] == sequence, key[2] < position)
            )
            statement = statement.where(older)
        statement = statement.order_by(*(column.desc() for column in key)).limit(size)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
        return [((row[0], row[1], row[2]), row[3], link_pb2.Event.FromString(row[4])) for row in rows]

    async def prune(self, before_ms: int, of_a_host: int) -> None:
        """Let go of findings before a time, and of each host's oldest past a number."""
        async with self._engine.begin() as connection:
            # Two that prune side by side would wait for each other.
            await take_turns(connection, "events")
            await connection.execute(delete(events).where(events.c.unix_ms < before_ms))
            counts = select(events.c.host_uid).group_by(events.c.host_uid).having(func.count() > of_a_host)
            for host_uid in (await connection.execute(counts)).scalars().all():
                mine = events.c.host_uid == host_uid
                newest = select(events.c.unix_ms).where(mine).order_by(events.c.unix_ms.desc())
                limit = (await connection.execute(newest.offset(of_a_host).limit(1))).scalar()
                await connection.execute(delete(events).where(mine, events.c.unix_ms <= limit))
