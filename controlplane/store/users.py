"""Rows of users: who may sign in, and which code was last accepted."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.tables import recovery_codes, users
from controlplane.store.turns import take_turns


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
    email: str = ""
    subject: str = ""
    totp_pending: bytes | None = None
    invitation_hash: str = ""
    invitation_expires_ms: int = 0
    created_ms: int = 0

    @property
    def has_second_factor(self) -> bool:
        """Whether an authenticator is set up."""
        return bool(self.totp_seed)


_COLUMNS = [users.c[name] for name in User._fields]


class UserRepository:
    """Reads and writes users."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(
        self, *, uid: str, name: str, password_hash: str, totp_seed: bytes, role: str, now: int, email: str = "",
        subject: str = "",
    ) -> None:  # fmt: skip
        """Add a user; IntegrityError where the name or the subject is taken."""
        row = {"uid": uid, "name": name, "password_hash": password_hash, "totp_seed": totp_seed, "role": role}
        async with self._engine.begin() as connection:
            await connection.execute(insert(users).values(created_ms=now, email=email, subject=subject, **row))

    async def all(self) -> list[User]:
        """List every user, by name."""
        async with self._engine.connect() as connection:
            return [User(*row) for row in await connection.execute(select(*_COLUMNS).order_by(users.c.name))]

    async def by_subject(self, subject: str) -> User | None:
        """Find the account of an identity provider's subject."""
        return await self._one(users.c.subject == subject) if subject else None

    async def by_invitation(self, invitation_hash: str) -> User | None:
        """Find whom an invitation is for."""
        return await self._one(users.c.invitation_hash == invitation_hash) if invitation_hash else None

    async def set(self, uid: str, **values: Any) -> None:
        """Change columns of a user."""
        async with self._engine.begin() as connection:
            await connection.execute(update(users).where(users.c.uid == uid).values(**values))

    async def set_unless_last(self, uid: str, of_role: str, /, **values: Any) -> bool:
        """Change columns of a user, unless it is the last one of a role who can sign in; atomic over replicas."""
        able = (users.c.role == of_role, users.c.disabled.is_(False))
        others = select(users.c.uid).where(*able, users.c.totp_seed != b"", users.c.uid != uid).limit(1)
        async with self._engine.begin() as connection:
            await take_turns(connection, f"role {of_role}")
            last = (await connection.execute(others)).first() is None
            if last and (await connection.execute(select(users.c.uid).where(*able, users.c.uid == uid))).first():
                return False
            await connection.execute(update(users).where(users.c.uid == uid).values(**values))
        return True

    async def take_invitation(self, user: User, **values: Any) -> bool:
        """Change columns by an invitation, if it and the password are still as they were seen; atomic."""
        mine = (
            users.c.uid == user.uid,
            users.c.invitation_hash == user.invitation_hash,
            users.c.password_hash == user.password_hash,
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(update(users).where(*mine).values(**values))).rowcount == 1

    async def take_pending(self, user: User, step: int, **values: Any) -> bool:
        """Put the authenticator that was shown in force, with other columns, if it is still the one; atomic."""
        mine = (users.c.uid == user.uid, users.c.totp_pending == user.totp_pending, users.c.totp_pending.is_not(None))
        changed = {"totp_seed": user.totp_pending, "totp_pending": None, "totp_last_step": step} | values
        async with self._engine.begin() as connection:
            return (await connection.execute(update(users).where(*mine).values(**changed))).rowcount == 1

    async def renew_recovery(self, uid: str, hashes: Sequence[str]) -> None:
        """Put new recovery codes, hashed, in the place of a user's old ones."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(recovery_codes).where(recovery_codes.c.user_uid == uid))
            if hashes:
                rows = [{"hash": one, "user_uid": uid} for one in hashes]
                await connection.execute(insert(recovery_codes).values(rows))

    async def use_recovery(self, uid: str, code_hash: str, now: int) -> bool:
        """Use up a recovery code; atomic over replicas."""
        mine = (
            recovery_codes.c.user_uid == uid,
            recovery_codes.c.hash == code_hash,
            recovery_codes.c.used_ms.is_(None),
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(update(recovery_codes).where(*mine).values(used_ms=now))).rowcount == 1

    async def recovery_left(self, uid: str) -> int:
        """Count a user's recovery codes that are left."""
        mine = (recovery_codes.c.user_uid == uid, recovery_codes.c.used_ms.is_(None))
        async with self._engine.connect() as connection:
            counted = await connection.execute(select(func.count()).select_from(recovery_codes).where(*mine))
            return int(counted.scalar_one())

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
