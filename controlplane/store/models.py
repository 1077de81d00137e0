"""What models have learnt, as each of them saves itself."""

from typing import NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.tables import models


class SavedModel(NamedTuple):
    """A model as it was saved last, and how often it was."""

    version: int
    state: bytes


class ModelRepository:
    """Reads and writes models."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, name: str) -> SavedModel | None:
        """Give a model as it was saved last; None for one that never was."""
        query = select(models.c.version, models.c.state).where(models.c.name == name)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return SavedModel(row.version, row.state) if row else None

    async def put(self, name: str, state: bytes, after: int) -> bool:
        """Save a model, unless another has saved it since.

        Args:
            state: as the model gives it.
            after: the version that it was taken up from; 0: there was none. The new one is the next.

        Returns: whether it was saved.
        """
        here = (models.c.name == name) & (models.c.version == after)
        async with self._engine.begin() as connection:
            if after:
                changed = await connection.execute(update(models).where(here).values(version=after + 1, state=state))
                return bool(changed.rowcount)
            try:
                await connection.execute(insert(models).values(name=name, version=1, state=state))
            except IntegrityError:
                return False
            return True
