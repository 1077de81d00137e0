"""The live stream: every durable entry goes to a Redis stream, in order; the log never waits for it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from prometheus_client import Gauge
from redis.asyncio import Redis

from common.auditlog import Entry
from common.errors import SolwardError
from controlplane.audit.log import AuditLog
from controlplane.store.redis import RedisDown, RedisStore

STREAM = "solward:audit"
# What Redis keeps, about; a consumer that was away for longer asks for the rest by RPC.
LENGTH = 100_000
AGAIN_S = 0.5
LONGEST_S = 10.0
_BATCH = 100
_POSITION = Gauge("solward_audit_published_sequence", "The last entry that is in the Redis stream.")
_BEHIND = Gauge("solward_audit_publish_behind", "Durable entries that the Redis stream does not have yet.")
log = structlog.get_logger(__name__)


class Publisher:
    """Copies the log into a Redis stream; an entry's id there is its sequence number, so that none comes twice.

    Args:
        audit: the log.
        redis: where the stream is; None: there is none.
        length: how many entries Redis keeps, about.
    """

    def __init__(self, audit: AuditLog, redis: RedisStore | None, length: int = LENGTH) -> None:
        self._audit = audit
        self._redis = redis
        self._length = length

    async def run(self) -> None:
        """Publish until cancelled; after Redis or the store was down, go on where the stream ends."""
        if self._redis is not None:
            await self._publish(self._redis)

    async def _publish(self, redis: RedisStore) -> None:
        wait_s = AGAIN_S
        while True:
            try:
                position = await self._position(redis)
                wait_s = AGAIN_S
                async for entries in self._audit.follow(position):
                    for begin in range(0, len(entries), _BATCH):
                        await self._add(redis, entries[begin : begin + _BATCH])
            except (RedisDown, SolwardError) as error:
                if (task := asyncio.current_task()) and task.cancelling():
                    # The client may take a cancellation for its own deadline.
                    return
                _BEHIND.set(self._audit.size - _value(_POSITION))
                log.warning("audit_not_published", why=str(error), again_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(LONGEST_S, wait_s * 2)

    async def _position(self, redis: RedisStore) -> int:
        """Find where the stream ends; one that is not of this very log is set aside."""
        earliest = max(self._audit.first - 1, self._audit.size - self._length)
        newest: list[tuple[bytes, dict[bytes, bytes]]] = await redis.call(_newest)
        if not newest:
            return earliest
        name, fields = newest[0]
        position, digest = int(name.split(b"-")[0]), fields.get(b"hash", b"").decode()
        if position <= self._audit.size and await self._is_ours(position, digest):
            return max(position, self._audit.first - 1)
        aside = f"{STREAM}:{position}:{digest[:16]}"
        log.critical("the Redis stream is of another history of the audit log; it is set aside", kept_as=aside)
        await redis.call(lambda client: client.rename(STREAM, aside))
        return earliest

    async def _is_ours(self, sequence: int, digest: str) -> bool:
        if sequence < self._audit.first:
            return True
        page = await self._audit.list(limit=1, before=sequence + 1)
        return [entry.hash.hex() for entry in page.entries] == [digest]

    async def _add(self, redis: RedisStore, entries: Sequence[Entry]) -> None:
        async def send(client: Redis) -> object:
            async with client.pipeline(transaction=False) as pipe:
                for entry in entries:
                    pipe.xadd(STREAM, _fields(entry), id=f"{entry.sequence}-0", maxlen=self._length, approximate=True)
                return await pipe.execute()

        await redis.call(send)
        _POSITION.set(entries[-1].sequence)
        _BEHIND.set(self._audit.size - entries[-1].sequence)


async def _newest(redis: Redis) -> Any:
    return await redis.xrevrange(STREAM, count=1)


def _fields(entry: Entry) -> dict[Any, Any]:
    return {
        "sequence": entry.sequence,
        "body": entry.body,
        "hash": entry.hash.hex(),
        "mac": entry.mac.hex(),
    }


def _value(gauge: Gauge) -> int:
    return int(next(iter(gauge.collect())).samples[0].value)
