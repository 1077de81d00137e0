"""Rows of events: findings, and the lines of agents' own logs beside them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from solward.hosts.v1 import link_pb2
from sqlalchemy import BigInteger, ColumnElement, Select, and_, delete, func, insert, literal, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from common.names import AGENT_LOG
from controlplane.store.marks import take_numbers
from controlplane.store.tables import events, hosts
from controlplane.store.turns import take_turns

# Events of one millisecond are told apart by so many of their numbers' last digits.
WITHIN_MS = 1_000_000


class Stored(NamedTuple):
    """An event as it is kept: its number in the order of arrival, and its host's name."""

    number: int
    host: str
    event: link_pb2.Event


class Moment(NamedTuple):
    """A time in milliseconds since the epoch, and a place within it: see `WITHIN_MS`."""

    unix_ms: int
    within: int = 0


class EventRepository:
    """Reads and writes events."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, host_uid: str, spool_id: str, sequence: int, found: list[link_pb2.Event]) -> int:
        """Store a batch's events, all or none; give the number of the first, 0 if the batch is stored already."""
        rows = [
            {
                "host_uid": host_uid, "spool_id": spool_id, "sequence": sequence, "position": position,
                "severity": event.severity, "unix_ms": event.unix_ms, "record": event.SerializeToString(),
                "own_log": event.kind == AGENT_LOG,
            }
            for position, event in enumerate(found)
        ]  # fmt: skip
        try:
            async with self._engine.begin() as connection:
                first = await take_numbers(connection, len(rows))
                numbered = [row | {"number": first + position} for position, row in enumerate(rows)]
                await connection.execute(insert(events), numbered)
        except IntegrityError:
            return 0
        return first

    async def page(
        self, host_uid: str, min_severity: int, before: tuple[int, int, int] | None, size: int
    ) -> list[tuple[tuple[int, int, int], str, link_pb2.Event]]:
        """List findings, the newest first, each with the key that the next page begins before and its host's name."""
        key = (events.c.unix_ms, events.c.sequence, events.c.position)
        statement = select(*key, hosts.c.name, events.c.record).join(hosts, hosts.c.uid == events.c.host_uid)
        statement = statement.where(events.c.severity >= min_severity, events.c.own_log.is_(False))
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

    async def after(self, number: int, size: int) -> list[Stored]:
        """List what arrived after the event of a number, lines of agents' logs included, in the order of arrival."""
        return await self._stored(_numbered().where(events.c.number > number).order_by(events.c.number).limit(size))

    async def last_before(self, unix_ms: int) -> int:
        """Give the number after which every event of a time and later is found, as far as they arrived in order."""
        first, last = func.min(events.c.number), func.max(events.c.number)
        numbered = events.c.number > 0
        async with self._engine.connect() as connection:
            found = (await connection.execute(select(first).where(events.c.unix_ms >= unix_ms, numbered))).scalar()
            return found - 1 if found else (await connection.execute(select(last))).scalar() or 0

    async def between(
        self,
        first: Moment,
        end: Moment,
        *,
        named: Sequence[str] | None,
        min_severity: int,
        newest_first: bool,
        size: int,
    ) -> list[Stored]:
        """List events and lines of agents' logs of a span of time.

        Args:
            first: from when on.
            end: until just before when.
            named: only hosts of these names; None for all.
            min_severity: only those at least this grave.
            newest_first: in which order, and so which ones where there are more than `size`.
            size: how many at the most.
        """
        within = events.c.number % WITHIN_MS
        statement = _numbered().where(
            events.c.unix_ms.between(first.unix_ms, end.unix_ms), events.c.severity >= min_severity,
            events.c.number > 0,
            or_(events.c.unix_ms > first.unix_ms, within >= first.within),
            or_(events.c.unix_ms < end.unix_ms, within < end.within),
        )  # fmt: skip
        if named is not None:
            statement = statement.where(hosts.c.name.in_(named))
        order: tuple[ColumnElement[int], ...] = (events.c.unix_ms, within)
        statement = statement.order_by(*(column.desc() if newest_first else column.asc() for column in order))
        return await self._stored(statement.limit(size))

    async def prune(self, before_ms: int, of_a_host: int) -> None:
        """Let go of events before a time, and of each host's oldest past a number, findings and log lines apart."""
        async with self._engine.begin() as connection:
            # Two that prune side by side would wait for each other.
            await take_turns(connection, "events")
            await connection.execute(delete(events).where(events.c.unix_ms < before_ms))
            each = (events.c.host_uid, events.c.own_log)
            counts = select(*each).group_by(*each).having(func.count() > of_a_host)
            for host_uid, own_log in (await connection.execute(counts)).all():
                mine = and_(events.c.host_uid == host_uid, events.c.own_log.is_(own_log))
                newest = select(events.c.unix_ms).where(mine).order_by(events.c.unix_ms.desc())
                limit = (await connection.execute(newest.offset(of_a_host).limit(1))).scalar()
                await connection.execute(delete(events).where(mine, events.c.unix_ms <= limit))

    async def _stored(self, statement: Select[Any]) -> list[Stored]:
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
        return [Stored(number, host, link_pb2.Event.FromString(record)) for number, host, record in rows]


def _numbered() -> Select[Any]:
    columns = (events.c.number, hosts.c.name, events.c.record)
    return select(*columns).join(hosts, hosts.c.uid == events.c.host_uid)
