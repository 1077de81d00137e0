"""Rows of leases: who leads, in which term, and until when by the store's own clock."""

from sqlalchemy import extract, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import now_ms
from controlplane.store.tables import leases
from controlplane.store.turns import take_turns


class LeaseRepository:
    """Reads and writes leases."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def take(self, name: str, holder: str, ttl_ms: int, *, sure: bool = False) -> int | None:
        """Take a lease for a holder that has none.

        Args:
            holder: names one life of one process.
            ttl_ms: how long it holds.
            sure: the caller knows that no earlier holder lives, so that it need not run out.

        Returns: the new term; None while another holds it.
        """
        async with self._engine.begin() as connection:
            await take_turns(connection, f"lease/{name}")
            now = await _now_ms(connection)
            found = (await connection.execute(select(leases).where(leases.c.name == name))).first()
            if found and found.expires_ms > now and not sure:
                return None
            row = {"holder": holder, "term": found.term + 1 if found else 1, "expires_ms": now + ttl_ms}
            if found:
                await connection.execute(update(leases).where(leases.c.name == name).values(**row))
            else:
                await connection.execute(insert(leases).values(name=name, **row))
            return int(row["term"])

    async def renew(self, name: str, term: int, ttl_ms: int) -> bool:
        """Hold a lease longer; False if somebody else has taken it since."""
        async with self._engine.begin() as connection:
            now = await _now_ms(connection)
            mine = update(leases).where(leases.c.name == name, leases.c.term == term)
            return bool((await connection.execute(mine.values(expires_ms=now + ttl_ms))).rowcount)

    async def give_up(self, name: str, term: int) -> None:
        """Let the next one have a lease at once."""
        async with self._engine.begin() as connection:
            mine = update(leases).where(leases.c.name == name, leases.c.term == term)
            await connection.execute(mine.values(expires_ms=0))


async def _now_ms(connection: AsyncConnection) -> int:
    """Read the clock that all holders share."""
    if connection.dialect.name != "postgresql":
        return now_ms()
    seconds = (await connection.execute(select(extract("epoch", func.clock_timestamp())))).scalar()
    return int(float(seconds or 0) * 1000)
