"""Which pipelines mend themselves, and what they tried lately."""

from typing import NamedTuple

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.tables import recoveries, recovery_tries

# Budgets and back-off look back an hour; the newest attempt is shown for as long.
KEPT_MS = 24 * 3600 * 1000


class Switch(NamedTuple):
    """Whether a pipeline mends itself, who said so, and when (milliseconds since the epoch)."""

    enabled: bool
    set_by: str
    set_ms: int


class Try(NamedTuple):
    """One attempt: its uid, which hop and how, and when it began (milliseconds since the epoch)."""

    uid: str
    hop: str
    step: str
    begun_ms: int


class RecoveryRepository:
    """Reads and writes both."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def switches(self) -> dict[str, Switch]:
        """Give every switch that was ever set, by pipeline."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(recoveries))).all()
        return {row.pipeline: Switch(row.enabled, row.set_by, row.set_ms) for row in rows}

    async def set(self, pipeline: str, switch: Switch) -> None:
        """Turn a pipeline's recovery on or off."""
        async with self._engine.begin() as connection:
            changed = update(recoveries).where(recoveries.c.pipeline == pipeline).values(**switch._asdict())
            if not (await connection.execute(changed)).rowcount:
                await connection.execute(insert(recoveries).values(pipeline=pipeline, **switch._asdict()))

    async def tries(self, pipeline: str, since_ms: int) -> list[Try]:
        """Give what a pipeline tried since a moment, the oldest first."""
        wanted = (recovery_tries.c.pipeline == pipeline) & (recovery_tries.c.begun_ms >= since_ms)
        query = select(recovery_tries).where(wanted).order_by(recovery_tries.c.begun_ms)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [Try(row.uid, row.hop, row.step, row.begun_ms) for row in rows]

    async def drop(self, uid: str) -> None:
        """Forget an attempt of which nothing was begun."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(recovery_tries).where(recovery_tries.c.uid == uid))

    async def add(self, pipeline: str, switch: Switch, tried: Try, after: str, since_ms: int) -> bool:
        """Note an attempt, before it begins; what is older than a day is let go of.

        Args:
            switch: in whose name it was decided.
            after: the uid of the newest attempt since `since_ms` that the caller decided by; empty: none.

        Returns: False, and nothing is noted, where somebody has turned the recovery off or on since, or another
            control plane has tried.
        """
        async with self._engine.begin() as connection:
            stored = select(recoveries).where(recoveries.c.pipeline == pipeline).with_for_update()
            lately = (recovery_tries.c.pipeline == pipeline) & (recovery_tries.c.begun_ms >= since_ms)
            newest = select(recovery_tries.c.uid).where(lately).order_by(recovery_tries.c.begun_ms.desc()).limit(1)
            row = (await connection.execute(stored)).first()
            if row is None or not row.enabled or Switch(row.enabled, row.set_by, row.set_ms) != switch:
                return False
            if ((await connection.execute(newest)).scalar() or "") != after:
                return False
            old = recovery_tries.c.begun_ms < tried.begun_ms - KEPT_MS
            await connection.execute(delete(recovery_tries).where(old))
            await connection.execute(insert(recovery_tries).values(pipeline=pipeline, **tried._asdict()))
            return True
