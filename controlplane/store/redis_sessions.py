"""Sessions in Redis, where several control planes share them; what ends there by itself needs no sweeping."""

import hashlib
import json
from typing import Any

from redis.asyncio import Redis

from controlplane.store.redis import RedisStore
from controlplane.store.sessions import Session

# Redis ends a key this long after it was over, so that a late use is told apart from an unknown token.
AFTER_MS = 60_000
# No session is longer.
LONGEST_MS = 8 * 24 * 3_600_000


class RedisSessions:
    """Keeps sessions in Redis, under solward:session:ID, sessions:USER, ended:USER, refresh:HASH and proof:HASH.

    Every method raises RedisDown; nothing is let in then.
    """

    def __init__(self, redis: RedisStore) -> None:
        self._redis = redis

    async def open(self, session: Session, now: int) -> None:
        """Store a new session."""
        row = session._replace(created_ms=now, used_ms=now)

        async def ask(redis: Redis) -> None:
            until = row.expires_ms + AFTER_MS
            async with redis.pipeline(transaction=True) as pipe:
                pipe.hset(_session(row.id), mapping={name: _text(value) for name, value in row._asdict().items()})
                pipe.pexpireat(_session(row.id), until)
                for listed in (_of_user(row.user_uid), *([_of_idp(row.idp_sid)] if row.idp_sid else [])):
                    pipe.zadd(listed, {row.id: now})
                    # As long as the longest of them: NX for the first, GT for those after it.
                    pipe.pexpireat(listed, until, nx=True)
                    pipe.pexpireat(listed, until, gt=True)
                await pipe.execute()

        await self._redis.call(ask)

    async def get(self, session_id: str) -> Session | None:
        """Find a session."""
        found: dict[bytes, bytes] = await self._redis.call(lambda redis: _whole(redis, session_id))
        # A field alone is a late write to a session that is over.
        if b"user_uid" not in found:
            return None
        session = Session(**{name.decode(): _value(name.decode(), text.decode()) for name, text in found.items()})
        if session.ended_ms is not None:
            return session
        ended = await self._redis.call(lambda redis: redis.get(_ended(session.user_uid)))
        return session._replace(ended_ms=int(ended)) if ended and session.created_ms <= int(ended) else session

    async def of_user(self, user_uid: str, now: int) -> list[Session]:
        """List a user's sessions that go on, the newest first."""
        return await self._listed(_of_user(user_uid), now)

    async def end(self, session_id: str, now: int) -> None:
        """End a session; its refresh tokens end with it."""
        session = await self.get(session_id)
        if session is not None and session.ended_ms is None:
            await self._set(session_id, "ended_ms", now)

    async def end_all(self, user_uid: str, now: int) -> int:
        """End every session of a user; gives how many there were."""
        going_on = await self.of_user(user_uid, now)
        # Also those that no list names: one that is being opened, or whose list Redis has let go.
        await self._redis.call(lambda redis: redis.set(_ended(user_uid), now, px=LONGEST_MS))
        for session in going_on:
            await self._set(session.id, "ended_ms", now)
        return len(going_on)

    async def end_idp(self, idp_sid: str, now: int) -> int:
        """End the sessions that an identity provider knows under a name; gives how many there were."""
        going_on = await self._listed(_of_idp(idp_sid), now)
        for session in going_on:
            await self._set(session.id, "ended_ms", now)
        return len(going_on)

    async def confirm(self, session_id: str, now: int) -> None:
        """Record that the session proved its second factor."""
        await self._set(session_id, "second_factor_ms", now)

    async def add_refresh(self, token_hash: str, session_id: str, expires_ms: int) -> None:
        """Store a refresh token, hashed."""
        # A used token is remembered as long as its session may last: its second use must end the session.
        session = await self.get(session_id)
        kept_until = session.expires_ms if session else expires_ms
        await self._put(f"solward:refresh:{token_hash}", [session_id, expires_ms], kept_until + AFTER_MS)

    async def use_refresh(self, token_hash: str, now: int) -> tuple[str, bool] | None:
        """Use a refresh token.

        Returns: its session's id, and whether this was its first use in time; None for an unknown token.
        """
        key = f"solward:refresh:{token_hash}"
        stored = await self._redis.call(lambda redis: redis.get(key))
        if stored is None:
            return None
        session_id, expires_ms = json.loads(stored)
        first = expires_ms > now and await self._take(key)
        if first:
            await self._set(session_id, "used_ms", now)
        return session_id, first

    async def add_proof(self, proof_hash: str, session_id: str, call_digest: str, expires_ms: int) -> None:
        """Store a proof for one call, hashed."""
        await self._put(f"solward:proof:{proof_hash}", [session_id, call_digest, expires_ms], expires_ms + AFTER_MS)

    async def spend_proof(self, proof_hash: str, session_id: str, call_digest: str, now: int) -> bool:
        """Use up a proof if it is of this session and call, in time and unspent."""
        key = f"solward:proof:{proof_hash}"
        stored = await self._redis.call(lambda redis: redis.get(key))
        if stored is None:
            return False
        of_session, of_call, expires_ms = json.loads(stored)
        return (of_session, of_call) == (session_id, call_digest) and expires_ms > now and await self._take(key)

    async def prune(self, before_ms: int) -> None:
        """Do nothing: what is over ends in Redis by itself."""

    async def _listed(self, key: str, now: int) -> list[Session]:
        ids: list[Any] = await self._redis.call(lambda redis: redis.zrevrange(key, 0, -1))
        found = [await self.get(one.decode()) for one in ids]
        gone = [one for one, session in zip(ids, found, strict=True) if session is None]
        if gone:
            await self._redis.call(lambda redis: redis.zrem(key, *gone))
        return [one for one in found if one is not None and one.ended_ms is None and one.expires_ms > now]

    async def _take(self, key: str) -> bool:
        """Be the first to use what a key stands for: one SET NX decides, over all replicas."""
        ttl: int = await self._redis.call(lambda redis: redis.pttl(key))
        taken = await self._redis.call(lambda redis: redis.set(f"{key}:used", b"1", nx=True, px=max(1, ttl)))
        return bool(taken)

    async def _put(self, key: str, value: list[Any], end_ms: int) -> None:
        await self._redis.call(lambda redis: redis.set(key, json.dumps(value), pxat=end_ms))

    async def _set(self, session_id: str, name: str, value: int) -> None:
        await self._redis.call(lambda redis: redis.eval(_SET_IF_THERE, 1, _session(session_id), name, str(value)))


# A late write must not make a session again that Redis has let go, without its end.
_SET_IF_THERE = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end"
_TEXTS = ("id", "user_uid", "peer", "idp_sid")


def _session(session_id: str) -> str:
    return f"solward:session:{session_id}"


def _of_user(user_uid: str) -> str:
    return f"solward:sessions:{user_uid}"


def _ended(user_uid: str) -> str:
    return f"solward:ended:{user_uid}"


def _of_idp(idp_sid: str) -> str:
    return f"solward:idp:{hashlib.sha256(idp_sid.encode()).hexdigest()}"


async def _whole(redis: Redis, session_id: str) -> dict[bytes, bytes]:
    found: dict[Any, Any] = await redis.hgetall(_session(session_id))
    return found


def _text(value: str | int | None) -> str:
    return "" if value is None else str(value)


def _value(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text
    return int(text) if text else None
