"""Rows of the team's own roles, of grants, and of calls that other people approve."""

import json
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.tables import call_approvals, call_approvers, grants, roles
from controlplane.store.turns import take_turns


class GrantRow(NamedTuple):
    """A role that one user has somewhere."""

    uid: str
    user_uid: str
    role: str
    scope: str
    host_uid: str
    expires_ms: int | None
    ended_ms: int | None
    creator: str
    created_ms: int


class ApprovalRow(NamedTuple):
    """A call that waits for other people, or may be made now."""

    uid: str
    method: str
    call_digest: str
    request: str
    requester_uid: str
    wanted: int
    created_ms: int
    expires_ms: int
    used_ms: int | None = None


_GRANT = [grants.c[name] for name in GrantRow._fields]
_APPROVAL = [call_approvals.c[name] for name in ApprovalRow._fields]


class AccessRepository:
    """Reads and writes roles and grants."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def roles(self) -> dict[str, frozenset[str]]:
        """Give the team's own roles with their permissions, by name."""
        statement = select(roles.c.name, roles.c.permissions).order_by(roles.c.name)
        async with self._engine.connect() as connection:
            return {name: frozenset(json.loads(held)) for name, held in await connection.execute(statement)}

    async def add_role(self, name: str, permissions: list[str], creator: str, now: int) -> bool:
        """Store a role; False where the name is taken."""
        row = {"name": name, "permissions": json.dumps(permissions), "creator": creator, "created_ms": now}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(roles).values(**row))
        except IntegrityError:
            return False
        return True

    async def delete_role(self, name: str) -> bool:
        """Take a role away; False where there is none."""
        async with self._engine.begin() as connection:
            return (await connection.execute(delete(roles).where(roles.c.name == name))).rowcount == 1

    async def add_grant(self, row: GrantRow) -> None:
        """Store a grant."""
        async with self._engine.begin() as connection:
            await connection.execute(insert(grants).values(**row._asdict()))

    async def grant(self, uid: str) -> GrantRow | None:
        """Find a grant."""
        found = await self._grants(grants.c.uid == uid)
        return found[0] if found else None

    async def grants(self, now: int, user_uid: str = "") -> list[GrantRow]:
        """List the grants that hold, the newest first."""
        conditions = [grants.c.ended_ms.is_(None), or_(grants.c.expires_ms.is_(None), grants.c.expires_ms > now)]
        if user_uid:
            conditions.append(grants.c.user_uid == user_uid)
        return await self._grants(*conditions)

    async def end_grant(self, uid: str, now: int) -> bool:
        """End a grant; False where it had ended."""
        mine = (grants.c.uid == uid, grants.c.ended_ms.is_(None))
        async with self._engine.begin() as connection:
            return (await connection.execute(update(grants).where(*mine).values(ended_ms=now))).rowcount == 1

    async def _grants(self, *conditions: ColumnElement[bool]) -> list[GrantRow]:
        statement = select(*_GRANT).where(*conditions).order_by(grants.c.created_ms.desc())
        async with self._engine.connect() as connection:
            return [GrantRow(*row) for row in await connection.execute(statement)]


class ApprovalRepository:
    """Reads and writes approvals of calls."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, row: ApprovalRow) -> None:
        """Store a call that waits."""
        async with self._engine.begin() as connection:
            await connection.execute(insert(call_approvals).values(**row._asdict()))

    async def get(self, uid: str) -> ApprovalRow | None:
        """Find a call that waits or waited."""
        found = await self._list(call_approvals.c.uid == uid)
        return found[0] if found else None

    async def open(self, now: int, requester_uid: str = "", call_digest: str = "") -> list[ApprovalRow]:
        """List the calls that are neither made nor void, the newest first."""
        conditions = [call_approvals.c.used_ms.is_(None), call_approvals.c.expires_ms > now]
        if requester_uid:
            conditions.append(call_approvals.c.requester_uid == requester_uid)
        if call_digest:
            conditions.append(call_approvals.c.call_digest == call_digest)
        return await self._list(*conditions)

    async def approve(self, uid: str, user_uid: str, now: int) -> bool:
        """Add one person's approval; False where it is there already."""
        row = {"approval_uid": uid, "user_uid": user_uid, "time_ms": now}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(call_approvers).values(**row))
        except IntegrityError:
            return False
        return True

    async def approvers(self, uid: str) -> list[str]:
        """List the uids of who has approved, in order."""
        mine = call_approvers.c.approval_uid == uid
        statement = select(call_approvers.c.user_uid).where(mine).order_by(call_approvers.c.time_ms)
        async with self._engine.connect() as connection:
            return list((await connection.execute(statement)).scalars())

    async def use(self, uid: str, now: int) -> bool:
        """Let the call in, once; atomic over replicas."""
        mine = (call_approvals.c.uid == uid, call_approvals.c.used_ms.is_(None), call_approvals.c.expires_ms > now)
        async with self._engine.begin() as connection:
            return (await connection.execute(update(call_approvals).where(*mine).values(used_ms=now))).rowcount == 1

    async def prune(self, before_ms: int) -> None:
        """Let go of calls that were void before a time."""
        void = select(call_approvals.c.uid).where(call_approvals.c.expires_ms < before_ms)
        async with self._engine.begin() as connection:
            # Two that prune side by side would wait for each other.
            await take_turns(connection, "call_approvals")
            await connection.execute(delete(call_approvers).where(call_approvers.c.approval_uid.in_(void)))
            await connection.execute(delete(call_approvals).where(call_approvals.c.expires_ms < before_ms))

    async def _list(self, *conditions: ColumnElement[bool]) -> list[ApprovalRow]:
        statement = select(*_APPROVAL).where(*conditions).order_by(call_approvals.c.created_ms.desc())
        async with self._engine.connect() as connection:
            return [ApprovalRow(*row) for row in await connection.execute(statement)]
