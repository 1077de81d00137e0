"""Marks: how far whoever reads the events one after the other has come."""

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from controlplane.store.tables import marks

# The mark of the numbers themselves.
_GIVEN = "events"


class MarkRepository:
    """Reads and writes marks."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, name: str) -> int | None:
        """Give the number of the last event that a reader is done with; None for a reader that never began."""
        async with self._engine.connect() as connection:
            return (await connection.execute(select(marks.c.number).where(marks.c.name == name))).scalar()

    async def put(self, name: str, number: int) -> None:
        """Note that a reader is done with every event up to a number."""
        async with self._engine.begin() as connection:
            changed = await connection.execute(update(marks).where(marks.c.name == name).values(number=number))
            if not changed.rowcount:
                await connection.execute(insert(marks).values(name=name, number=number))


async def take_numbers(connection: AsyncConnection, count: int) -> int:
    """Take the next numbers for events; give the first of them.

    Whoever takes the next ones waits until this transaction has ended: numbers become visible in their own order, so
    that a reader who has seen one has seen all before it.
    """
    taken = update(marks).where(marks.c.name == _GIVEN).values(number=marks.c.number + count)
    last: int = (await connection.execute(taken.returning(marks.c.number))).scalar_one()
    return last - count + 1
