"""Turns: what must not happen side by side in the store happens one after the other."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection


async def take_turns(connection: AsyncConnection, thing: str) -> None:
    """Let transactions about the same thing follow each other; a turn ends with its transaction.

    What a transaction reads once it has its turn, no other one about this thing changes meanwhile.

    Args:
        connection: its transaction has done nothing yet.
        thing: what it is about; as a rule the uid of what changes.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(thing, 0))))
    else:
        # SQLite lets one transaction write at a time; this one does from now on, not from its first write.
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
