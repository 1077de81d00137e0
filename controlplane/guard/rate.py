"""Rate limit: each call draws from its caller's budget and from that of its address."""

import math

import grpc
from solward.policy.v1 import policy_pb2

from common.errors import SolwardError
from controlplane.guard.budgets import Budgets, Rate, Verdict
from controlplane.guard.chain import Link
from controlplane.guard.context import NOBODY, Call
from controlplane.guard.peers import address_bucket
from controlplane.settings import RateLimits

# Trailing metadata with which the caller, and the gateway for its headers, learns how its budget stands.
RATE_LIMIT_KEY = "ratelimit"


class RateLimit(Link):
    """Counts calls by principal, or by address while nobody is known, and besides all calls of an address together.

    REST and gRPC share the budgets. A method with a rate of its own has a budget of its own.
    """

    def __init__(self, limits: RateLimits, budgets: Budgets) -> None:
        self._budgets = budgets
        self._address = Rate.of(limits.address)
        self._methods = {name: Rate.of(text) for name, text in limits.methods.items()}
        self._classes = {
            policy_pb2.RATE_CLASS_CREDENTIAL: Rate.of(limits.credential),
            policy_pb2.RATE_CLASS_READ: Rate.of(limits.read),
            policy_pb2.RATE_CLASS_WRITE: Rate.of(limits.write),
            policy_pb2.RATE_CLASS_STREAM: Rate.of(limits.stream),
        }

    async def enter(self, call: Call) -> None:
        """Refuse with RESOURCE_EXHAUSTED and the time to wait, once a budget is spent."""
        await self._spend(call, *self._rate(call))

    async def spend_as_over(self, call: Call) -> None:
        """As `enter`, of a call with a credential that was good and is over: who forgot to renew guesses nothing.

        Its budget is as small, and another one: it keeps nobody at the same address from signing in.
        """
        await self._spend(call, "OVER", self._classes[policy_pb2.RATE_CLASS_CREDENTIAL])

    async def _spend(self, call: Call, group: str, rate: Rate) -> None:
        address = address_bucket(call.peer)
        spent = [
            rate.budget(f"{group}:{call.principal.uid or address}"),
            self._address.budget(f"address:{address}"),
        ]
        verdict = await self._budgets.spend(spent)
        tightest = spent[verdict.tightest]
        call.send_after(RATE_LIMIT_KEY, _figures(tightest.limit, verdict))
        if verdict.allowed:
            return
        scope = "address" if verdict.tightest else "caller"
        whose = "from this address together" if verdict.tightest else "of this kind"
        raise SolwardError(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "RATE_LIMITED",
            f"too many calls {whose}: at most {tightest.text}; try again in {verdict.wait_s:.1f} s",
            {"limit": tightest.text, "scope": scope, "retry_after_seconds": f"{verdict.wait_s:.1f}"},
            retry_after_s=verdict.wait_s,
        )

    def _rate(self, call: Call) -> tuple[str, Rate]:
        rate = call.rule.policy.rate
        if call.principal is NOBODY and policy_pb2.PRINCIPAL_KIND_ANONYMOUS not in call.rule.policy.principals:
            # About to be refused, and recorded: knocking at closed doors is as dear as guessing.
            rate = policy_pb2.RATE_CLASS_CREDENTIAL
        elif call.rule.name in self._methods:
            return call.rule.name, self._methods[call.rule.name]
        return policy_pb2.RateClass.Name(rate), self._classes[rate]


def _figures(limit: int, verdict: Verdict) -> str:
    return f"limit={limit}, remaining={verdict.remaining}, reset={math.ceil(verdict.wait_s)}"
