"""Rows of users: who may sign in, and which code was last accepted."""

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.tables import users


class User(NamedTuple):
    """One local user."""

    uid: str
    name: str
    password_hash: str
    totp_seed: bytes
    role: str
    disabled: bool
    failed_logins: int
    locked_until_ms: int


_COLUMNS = [users.c[name] for name in User._fields]


class UserRepository:
    """Reads and writes users."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, *, uid: str, name: str, password_hash: str, totp_seed: bytes, role: str, now: int) -> None:
        """Add a user; IntegrityError where the name is taken."""
        row = {"uid": uid, "name": name, "password_hash": password_hash, "totp_seed": totp_seed, "role": role}
        async with self._engine.begin() as connection:
            await connection.execute(insert(users).values(created_ms=now, **row))

    async def by_name(self, name: str) -> User | None:
        """Find a user by name."""
        return await self._one(users.c.name == name)

    async def by_uid(self, uid: str) -> User | None:
        """Find a user by uid."""
        return await self._one(users.c.uid == uid)

    async def any(self) -> bool:
        """Whether there is any user at all."""
        async with self._engine.connect() as connection:
            return (await connection.execute(select(users.c.uid).limit(1))).first() is not None

    async def take_step(self, uid: str, step: int) -> bool:
        """Accept a time step's code if no code of it or of a later one was accepted; atomic over replicas."""
        statement = update(users).where(users.c.uid == uid, users.c.totp_last_step < step)
        async with self._engine.begin() as connection:
            return (await connection.execute(statement.values(totp_last_step=step))).rowcount == 1

    async def take_attempt(self, uid: str, now: int, lock_ms: Callable[[int], int]) -> bool:
        """Count an attempt before it is judged; False while the account is locked. Atomic over replicas.

        Args:
            uid: whose account.
            now: milliseconds since the epoch.
            lock_ms: for how long so many attempts in a row lock it.
        """
        mine = update(users).where(users.c.uid == uid)
        counted = mine.where(users.c.locked_until_ms <= now).values(failed_logins=users.c.failed_logins + 1)
        async with self._engine.begin() as connection:
            failed = (await connection.execute(counted.returning(users.c.failed_logins))).scalar()
            if failed is None:
                return False
            lock = lock_ms(failed)
            if lock:
                await connection.execute(mine.values(locked_until_ms=now + lock))
        return True

    async def set_failures(self, uid: str, failed: int, locked_until_ms: int) -> None:
        """Record failed attempts and until when the account is locked."""
        values = {"failed_logins": failed, "locked_until_ms": locked_until_ms}
        async with self._engine.begin() as connection:
            await connection.execute(update(users).where(users.c.uid == uid).values(**values))

    async def _one(self, condition: Any) -> User | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(*_COLUMNS).where(condition))).first()
        return User(*row) if row else None
