"""Rows of alerts and silences: each holds the whole message as it stands."""

from collections.abc import Callable
from typing import Any

from solward.alerts.v1 import alerts_pb2 as pb
from sqlalchemy import Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.tables import alerts, silences

_INSERT: dict[str, Callable[[Table], postgresql.Insert | sqlite.Insert]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}


class AlertRepository:
    """Reads and writes alerts and silences."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, alert: pb.Alert) -> None:
        """Store an alert as it stands now."""
        values = {
            "host": alert.host, "firing": alert.state == pb.ALERT_STATE_FIRING,
            "fire_ms": alert.fire_time.ToMilliseconds(), "record": alert.SerializeToString(),
        }  # fmt: skip
        await self._put(alerts, alert.name, values)

    async def get(self, name: str) -> pb.Alert | None:
        """Find an alert."""
        async with self._engine.connect() as connection:
            record = (await connection.execute(select(alerts.c.record).where(alerts.c.name == name))).scalar()
        return pb.Alert.FromString(record) if record else None

    async def firing(self) -> list[pb.Alert]:
        """List what fires, the newest first."""
        statement = select(alerts.c.record).where(alerts.c.firing).order_by(alerts.c.fire_ms.desc())
        async with self._engine.connect() as connection:
            return [pb.Alert.FromString(row[0]) for row in await connection.execute(statement)]

    async def page(
        self, host: str, *, resolved: bool, after: tuple[int, int, str] | None, size: int
    ) -> list[tuple[tuple[int, int, str], pb.Alert]]:
        """List alerts, those that fire first, then the newest, each with the key that the next page begins after."""
        statement = select(alerts.c.firing, alerts.c.fire_ms, alerts.c.name, alerts.c.record)
        if host:
            statement = statement.where(alerts.c.host == host)
        if not resolved:
            statement = statement.where(alerts.c.firing)
        if after:
            firing, fire_ms, name = after
            older = (alerts.c.fire_ms < fire_ms) | ((alerts.c.fire_ms == fire_ms) & (alerts.c.name < name))
            same = alerts.c.firing.is_(bool(firing))
            statement = statement.where((same & older) | alerts.c.firing.is_(False) if firing else same & older)
        order = (alerts.c.firing.desc(), alerts.c.fire_ms.desc(), alerts.c.name.desc())
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement.order_by(*order).limit(size))).all()
        return [((int(row[0]), row[1], row[2]), pb.Alert.FromString(row[3])) for row in rows]

    async def prune(self, before_ms: int) -> None:
        """Let go of alerts that were resolved, and fired before a time."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(alerts).where(alerts.c.firing.is_(False), alerts.c.fire_ms < before_ms))

    async def save_silence(self, silence: pb.Silence) -> None:
        """Store a silence as it stands now."""
        values = {"end_ms": silence.end_time.ToMilliseconds(), "record": silence.SerializeToString()}
        await self._put(silences, silence.name, values)

    async def silences(self, now: int) -> list[pb.Silence]:
        """List the silences that hold."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(silences.c.record).where(silences.c.end_ms > now))
            return [pb.Silence.FromString(row[0]) for row in rows]

    async def _put(self, table: Table, name: str, values: dict[str, Any]) -> None:
        insert = _INSERT[self._engine.dialect.name](table).values(name=name, **values)
        async with self._engine.begin() as connection:
            await connection.execute(insert.on_conflict_do_update(index_elements=[table.c.name], set_=values))
