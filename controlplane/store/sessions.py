"""Rows of sessions, their refresh tokens, and proofs for single calls."""

from typing import NamedTuple, Protocol

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.store.tables import call_proofs, refresh_tokens, sessions
from controlplane.store.turns import take_turns


class Session(NamedTuple):
    """One session."""

    id: str
    user_uid: str
    expires_ms: int
    ended_ms: int | None
    second_factor_ms: int
    created_ms: int = 0
    used_ms: int = 0
    peer: str = ""
    idp_sid: str = ""


# A ticket is a proof, not for a call but for the live door until a time; the digest of a call is hexadecimal.
_TICKET = "live until "
_COLUMNS = [sessions.c[name] for name in Session._fields]


class SessionStore(Protocol):
    """What keeps sessions, wherever they are; every method is atomic over replicas."""

    async def open(self, session: Session, now: int) -> None:
        """Store a new session."""

    async def get(self, session_id: str) -> Session | None:
        """Find a session."""

    async def of_user(self, user_uid: str, now: int) -> list[Session]:
        """List a user's sessions that go on, the newest first."""

    async def end(self, session_id: str, now: int) -> None:
        """End a session; its refresh tokens end with it."""

    async def end_all(self, user_uid: str, now: int) -> int:
        """End every session of a user; gives how many there were."""

    async def end_idp(self, idp_sid: str, now: int) -> int:
        """End the sessions that an identity provider knows under a name; gives how many there were."""

    async def confirm(self, session_id: str, now: int) -> None:
        """Record that the session proved its second factor."""

    async def add_refresh(self, token_hash: str, session_id: str, expires_ms: int) -> None:
        """Store a refresh token, hashed."""

    async def use_refresh(self, token_hash: str, now: int) -> tuple[str, bool] | None:
        """Use a refresh token.

        Returns: its session's id, and whether this was its first use in time; None for an unknown token.
        """

    async def prune(self, before_ms: int) -> None:
        """Let go of sessions, and of what belongs to them, that were over before a time."""

    async def add_proof(self, proof_hash: str, session_id: str, call_digest: str, expires_ms: int) -> None:
        """Store a proof for one call, hashed."""

    async def spend_proof(self, proof_hash: str, session_id: str, call_digest: str, now: int) -> bool:
        """Use up a proof if it is of this session and call, in time and unspent."""

    async def add_ticket(self, ticket_hash: str, session_id: str, until_ms: int, expires_ms: int) -> None:
        """Store a ticket for the live door, hashed; `until_ms`: when what it opens is over at the latest."""

    async def spend_ticket(self, ticket_hash: str, now: int) -> tuple[str, int] | None:
        """Use up a ticket if it is in time and unspent.

        Returns: its session's id, and when what it opens is over at the latest; None for any that is not good.
        """


class SessionRepository:
    """Keeps sessions in the state's database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def open(self, session: Session, now: int) -> None:
        """Store a new session."""
        async with self._engine.begin() as connection:
            row = session._replace(created_ms=now, used_ms=now)._asdict()
            await connection.execute(insert(sessions).values(**row))

    async def get(self, session_id: str) -> Session | None:
        """Find a session."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(*_COLUMNS).where(sessions.c.id == session_id))).first()
        return Session(*row) if row else None

    async def of_user(self, user_uid: str, now: int) -> list[Session]:
        """List a user's sessions that go on, the newest first."""
        statement = select(*_COLUMNS).where(*_going_on(user_uid, now)).order_by(sessions.c.created_ms.desc())
        async with self._engine.connect() as connection:
            return [Session(*row) for row in await connection.execute(statement)]

    async def end_all(self, user_uid: str, now: int) -> int:
        """End every session of a user; gives how many there were."""
        statement = update(sessions).where(*_going_on(user_uid, now)).values(ended_ms=now)
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount

    async def end_idp(self, idp_sid: str, now: int) -> int:
        """End the sessions that an identity provider knows under a name; gives how many there were."""
        named = (sessions.c.idp_sid == idp_sid, sessions.c.ended_ms.is_(None), sessions.c.expires_ms > now)
        async with self._engine.begin() as connection:
            return (await connection.execute(update(sessions).where(*named).values(ended_ms=now))).rowcount

    async def end(self, session_id: str, now: int) -> None:
        """End a session; its refresh tokens end with it."""
        statement = update(sessions).where(sessions.c.id == session_id, sessions.c.ended_ms.is_(None))
        async with self._engine.begin() as connection:
            await connection.execute(statement.values(ended_ms=now))

    async def confirm(self, session_id: str, now: int) -> None:
        """Record that the session proved its second factor."""
        statement = update(sessions).where(sessions.c.id == session_id)
        async with self._engine.begin() as connection:
            await connection.execute(statement.values(second_factor_ms=now))

    async def add_refresh(self, token_hash: str, session_id: str, expires_ms: int) -> None:
        """Store a refresh token, hashed."""
        row = {"hash": token_hash, "session_id": session_id, "expires_ms": expires_ms}
        async with self._engine.begin() as connection:
            await connection.execute(insert(refresh_tokens).values(**row))

    async def use_refresh(self, token_hash: str, now: int) -> tuple[str, bool] | None:
        """Use a refresh token.

        Returns: its session's id, and whether this was its first use in time; None for an unknown token.
        """
        fresh = update(refresh_tokens).where(
            refresh_tokens.c.hash == token_hash,
            refresh_tokens.c.used_ms.is_(None),
            refresh_tokens.c.expires_ms > now,
        )
        owner = select(refresh_tokens.c.session_id).where(refresh_tokens.c.hash == token_hash)
        async with self._engine.begin() as connection:
            taken = (await connection.execute(fresh.values(used_ms=now))).rowcount == 1
            session_id = (await connection.execute(owner)).scalar()
            if taken:
                await connection.execute(update(sessions).where(sessions.c.id == session_id).values(used_ms=now))
        return (session_id, taken) if session_id else None

    async def add_proof(self, proof_hash: str, session_id: str, call_digest: str, expires_ms: int) -> None:
        """Store a proof for one call, hashed."""
        row = {"hash": proof_hash, "session_id": session_id, "call_digest": call_digest, "expires_ms": expires_ms}
        async with self._engine.begin() as connection:
            await connection.execute(insert(call_proofs).values(**row))

    async def spend_proof(self, proof_hash: str, session_id: str, call_digest: str, now: int) -> bool:
        """Use up a proof if it is of this session and call, in time and unspent."""
        statement = update(call_proofs).where(
            call_proofs.c.hash == proof_hash,
            call_proofs.c.session_id == session_id,
            call_proofs.c.call_digest == call_digest,
            call_proofs.c.expires_ms > now,
            call_proofs.c.used_ms.is_(None),
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(statement.values(used_ms=now))).rowcount == 1

    async def add_ticket(self, ticket_hash: str, session_id: str, until_ms: int, expires_ms: int) -> None:
        """Store a ticket for the live door, hashed; `until_ms`: when what it opens is over at the latest."""
        await self.add_proof(ticket_hash, session_id, f"{_TICKET}{until_ms}", expires_ms)

    async def spend_ticket(self, ticket_hash: str, now: int) -> tuple[str, int] | None:
        """Use up a ticket if it is in time and unspent.

        Returns: its session's id, and when what it opens is over at the latest; None for any that is not good.
        """
        statement = update(call_proofs).where(
            call_proofs.c.hash == ticket_hash,
            call_proofs.c.call_digest.startswith(_TICKET, autoescape=True),
            call_proofs.c.expires_ms > now,
            call_proofs.c.used_ms.is_(None),
        )
        kept = select(call_proofs.c.session_id, call_proofs.c.call_digest).where(call_proofs.c.hash == ticket_hash)
        async with self._engine.begin() as connection:
            if (await connection.execute(statement.values(used_ms=now))).rowcount != 1:
                return None
            session_id, about = (await connection.execute(kept)).one()
        return session_id, int(about.removeprefix(_TICKET))

    async def prune(self, before_ms: int) -> None:
        """Let go of sessions, and of what belongs to them, that were over before a time."""
        over = select(sessions.c.id).where(sessions.c.expires_ms < before_ms)
        async with self._engine.begin() as connection:
            # Two that prune side by side would wait for each other.
            await take_turns(connection, "sessions")
            await connection.execute(delete(call_proofs).where(call_proofs.c.expires_ms < before_ms))
            await connection.execute(delete(refresh_tokens).where(refresh_tokens.c.session_id.in_(over)))
            await connection.execute(delete(sessions).where(sessions.c.expires_ms < before_ms))


def _going_on(user_uid: str, now: int) -> tuple[ColumnElement[bool], ...]:
    return sessions.c.user_uid == user_uid, sessions.c.ended_ms.is_(None), sessions.c.expires_ms > now
