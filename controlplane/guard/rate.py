"""Rate limit: one budget for each caller and rate class."""

import grpc
from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from solward.policy.v1 import policy_pb2

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.guard.chain import Link
from controlplane.guard.context import NOBODY, Call
from controlplane.guard.peers import address_bucket
from controlplane.settings import RateLimits


class RateLimit(Link):
    """Counts calls by principal, or by address while nobody is known; REST and gRPC share the budget."""

    def __init__(self, limits: RateLimits, storage: Storage) -> None:
        self._limiter = FixedWindowRateLimiter(storage)
        self._items: dict[int, RateLimitItem] = {
            policy_pb2.RATE_CLASS_CREDENTIAL: parse(limits.credential),
            policy_pb2.RATE_CLASS_READ: parse(limits.read),
            policy_pb2.RATE_CLASS_WRITE: parse(limits.write),
            policy_pb2.RATE_CLASS_STREAM: parse(limits.stream),
        }

    async def enter(self, call: Call) -> None:
        """Refuse with RESOURCE_EXHAUSTED and the time to wait, once the budget is spent."""
        rate = call.rule.policy.rate
        if call.principal is NOBODY and policy_pb2.PRINCIPAL_KIND_ANONYMOUS not in call.rule.policy.principals:
            # About to be refused, and recorded: knocking at closed doors is as dear as guessing.
            rate = policy_pb2.RATE_CLASS_CREDENTIAL
        item = self._items[rate]
        key = (policy_pb2.RateClass.Name(rate), call.principal.uid or address_bucket(call.peer))
        if await self._limiter.hit(item, *key):
            return
        stats = await self._limiter.get_window_stats(item, *key)
        wait_s = max(0.0, stats.reset_time - now_ms() / 1000)
        raise SolwardError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "RATE_LIMITED",
            f"too many calls: at most {item}; try again in {wait_s:.1f} s",
            {"limit": str(item), "retry_after_seconds": f"{wait_s:.1f}"},
            retry_after_s=wait_s,
        )
