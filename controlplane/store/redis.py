"""One Redis: short deadlines, no retries behind the caller, and a breaker, so that a dead one costs nobody time."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from common.breaker import Breaker, BreakerOpen

CALL_SECONDS = 2.0
MAX_CONNECTIONS = 32
Result = TypeVar("Result")


class RedisDown(Exception):
    """Redis did not answer, or refused, or is left alone after it failed too often; the words hold no URL."""


class RedisStore:
    """A Redis that several control planes may share.

    Args:
        url: redis://, rediss:// or unix://, with its password; a secret.
    """

    def __init__(self, url: str) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            socket_timeout=CALL_SECONDS,
            socket_connect_timeout=CALL_SECONDS,
            # More calls than connections wait for one, and are no failure of the server's.
            max_connections=MAX_CONNECTIONS,
            timeout=CALL_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self.client: Redis = Redis(connection_pool=pool)
        self.breaker = Breaker("Redis")

    async def call(self, ask: Callable[[Redis], Awaitable[Result]]) -> Result:
        """Make one call, or several in a pipeline; raises RedisDown."""
        try:
            self.breaker.before()
            result = await ask(self.client)
        except BreakerOpen as error:
            raise RedisDown(str(error)) from None
        except (RedisError, OSError, TimeoutError) as error:
            # What Redis says may repeat the command, and a command may hold a token.
            self.breaker.failed()
            raise RedisDown(f"Redis does not answer ({type(error).__name__})") from None
        self.breaker.succeeded()
        return result

    async def close(self) -> None:
        """Close every connection."""
        self.breaker.close()
        await self.client.aclose()
        await self.client.connection_pool.disconnect()
