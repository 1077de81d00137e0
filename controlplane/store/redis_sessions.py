"""Sessions in Redis, where several control planes share them; what ends there by itself needs no sweeping."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from controlplane.store.redis import RedisStore
from controlplane.store.sessions import Session

# Redis ends a key this long after it was over, so that a late use is told apart from an unknown token.
AFTER_MS = 60_000
# No session is longer.
LONGEST_MS = 8 * 24 * 3_600_000


class RedisSessions:
    """Keeps sessions in Redis, under solward:session:ID, sessions:USER, ended:USER, and {refresh,proof,ticket}:HASH.

    Every method raises RedisDown; nothing is let in then.
    """

    def __init__(self, redis: RedisStore) -> None:
        self._redis = redis
        self._scripts = {text: redis.client.register_script(text) for text in (_FIND, _SET, _ADD, _USE, _SPEND, _OPEN)}

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
        found = await self._run(_FIND, _session(session_id))
        if not found:
            return None
        fields, ended = found
        pairs = zip(map(bytes.decode, fields[::2]), map(bytes.decode, fields[1::2]), strict=True)
        session = Session(**{name: _value(name, text) for name, text in pairs})
        over = session.ended_ms is None and ended and session.created_ms <= int(ended)
        return session._replace(ended_ms=int(ended)) if over else session

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
        keys = (f"solward:refresh:{token_hash}", _session(session_id))
        await self._run(_ADD, *keys, args=(json.dumps([session_id, expires_ms]), expires_ms))

    async def use_refresh(self, token_hash: str, now: int) -> tuple[str, bool] | None:
        """Use a refresh token.

        Returns: its session's id, and whether this was its first use in time; None for an unknown token.
        """
        used = await self._run(_USE, f"solward:refresh:{token_hash}", args=(now,))
        return (used[0].decode(), bool(used[1])) if used else None

    async def add_proof(self, proof_hash: str, session_id: str, call_digest: str, expires_ms: int) -> None:
        """Store a proof for one call, hashed."""
        value, until = json.dumps([session_id, call_digest, expires_ms]), expires_ms + AFTER_MS
        await self._redis.call(lambda redis: redis.set(f"solward:proof:{proof_hash}", value, pxat=until))

    async def spend_proof(self, proof_hash: str, session_id: str, call_digest: str, now: int) -> bool:
        """Use up a proof if it is of this session and call, in time and unspent."""
        key = f"solward:proof:{proof_hash}"
        return bool(await self._run(_SPEND, key, args=(session_id, call_digest, now)))

    async def add_ticket(self, ticket_hash: str, session_id: str, until_ms: int, expires_ms: int) -> None:
        """Store a ticket for the live door, hashed; `until_ms`: when what it opens is over at the latest."""
        value, until = json.dumps([session_id, until_ms, expires_ms]), expires_ms + AFTER_MS
        await self._redis.call(lambda redis: redis.set(f"solward:ticket:{ticket_hash}", value, pxat=until))

    async def spend_ticket(self, ticket_hash: str, now: int) -> tuple[str, int] | None:
        """Use up a ticket if it is in time and unspent.

        Returns: its session's id, and when what it opens is over at the latest; None for any that is not good.
        """
        kept = await self._run(_OPEN, f"solward:ticket:{ticket_hash}", args=(now,))
        if not kept:
            return None
        session_id, until_ms, _ = json.loads(kept)
        return session_id, until_ms

    async def prune(self, before_ms: int) -> None:
        """Do nothing: what is over ends in Redis by itself."""

    async def _listed(self, key: str, now: int) -> list[Session]:
        ids: list[Any] = await self._redis.call(lambda redis: redis.zrevrange(key, 0, -1))
        found = [await self.get(one.decode()) for one in ids]
        gone = [one for one, session in zip(ids, found, strict=True) if session is None]
        if gone:
            await self._redis.call(lambda redis: redis.zrem(key, *gone))
        return [one for one in found if one is not None and one.ended_ms is None and one.expires_ms > now]

    async def _set(self, session_id: str, name: str, value: int) -> None:
        await self._run(_SET, _session(session_id), args=(name, value))

    async def _run(self, script: str, *keys: str, args: Sequence[str | int] = ()) -> Any:
        return await self._redis.call(lambda redis: self._scripts[script](keys=keys, args=args, client=redis))


# Each of these is one question to Redis, and atomic over all control planes.

# A session's fields, and when every session of its user was ended. A field alone is a late write to one that is over.
_FIND = """
local user = redis.call('HGET', KEYS[1], 'user_uid')
return user and {redis.call('HGETALL', KEYS[1]), redis.call('GET', 'solward:ended:' .. user) or ''}
"""
# A late write must not make a session again that Redis has let go, without its end.
_SET = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end"
# A used token is remembered as long as its session may last: its second use must end the session.
_ADD = f"""
local until_ms = redis.call('HGET', KEYS[2], 'expires_ms') or ARGV[2]
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', string.format('%.0f', until_ms + {AFTER_MS}))
"""
# Whoever sets the key beside it is the first to use what a key stands for.
_TAKE = "redis.call('SET', KEYS[1] .. ':used', 1, 'NX', 'PX', math.max(1, redis.call('PTTL', KEYS[1])))"
_USE = f"""
local stored = redis.call('GET', KEYS[1])
if not stored then return false end
local id, ends = unpack(cjson.decode(stored))
if ends <= tonumber(ARGV[1]) or not {_TAKE} then return {{id, 0}} end
local session = 'solward:session:' .. id
if redis.call('EXISTS', session) == 1 then redis.call('HSET', session, 'used_ms', ARGV[1]) end
return {{id, 1}}
"""
_SPEND = f"""
local stored = redis.call('GET', KEYS[1])
if not stored then return 0 end
local session, call, ends = unpack(cjson.decode(stored))
local good = session == ARGV[1] and call == ARGV[2] and ends > tonumber(ARGV[3])
return good and {_TAKE} and 1 or 0
"""
_OPEN = f"""
local stored = redis.call('GET', KEYS[1])
if not stored or cjson.decode(stored)[3] <= tonumber(ARGV[1]) then return false end
return {_TAKE} and stored
"""
_TEXTS = ("id", "user_uid", "peer", "idp_sid")


def _session(session_id: str) -> str:
    return f"solward:session:{session_id}"


def _of_user(user_uid: str) -> str:
    return f"solward:sessions:{user_uid}"


def _ended(user_uid: str) -> str:
    return f"solward:ended:{user_uid}"


def _of_idp(idp_sid: str) -> str:
    return f"solward:idp:{hashlib.sha256(idp_sid.encode()).hexdigest()}"


def _text(value: str | int | None) -> str:
    return "" if value is None else str(value)


def _value(name: str, text: str) -> Any:
    if name in _TEXTS:
        return text
    return int(text) if text else None
