"""A bundle is sent: the same signed transactions however often, until a region has it or its blockhash is dead.

A bundle's transactions land once at the most, since the chain takes a signature once. So what is not known to have
arrived is sent again, in another region or by the other way; nothing else is ever sent in its place.
"""

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING

import structlog
from solward.hosts.v1 import link_pb2

from agent.actions.base import Outcome, Tell
from agent.allowlist import Bundles
from agent.jito.verdicts import SendFailed, Verdict
from agent.permits import Refusal
from common.clock import now_ms

if TYPE_CHECKING:
    # Loaded where a block engine is known, and only there.
    from agent.jito.engine import Engine
    from agent.jito.send import Ack, Way

log = structlog.get_logger(__name__)

DONE, FAILED = link_pb2.RECEIPT_RESULT_DONE, link_pb2.RECEIPT_RESULT_FAILED
MOST_TRIES = 16
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0
# Whether a region has it cannot be told: the chain will.
SEND_UNKNOWN = "SEND_UNKNOWN"


class BundleAct:
    """One bundle.

    Args:
        engine: None where the agent's settings name no block engine.
        allowed: what root allows.
    """

    def __init__(self, engine: "Engine | None", action: link_pb2.BundleAction, allowed: Bundles | None) -> None:
        self._engine = engine
        self._action = action
        self._regions = frozenset(allowed.regions) if allowed else frozenset()
        self._tries = 0
        self._tried: Counter[str] = Counter()
        self._maybe = self._in_flight = False
        self._figures = {"bundle": action.bundle}

    async def look(self) -> link_pb2.UnitState:
        """Give nothing: no unit is touched."""
        return link_pb2.UnitState()

    async def precondition(self, now: link_pb2.UnitState) -> None:
        """Refuse what cannot be sent."""
        engine = self._engine
        if engine is None:
            raise Refusal("ENGINE_UNKNOWN", "agent.yaml has no `jito`, so no block engine is known")
        if self._action.region and self._action.region not in engine.regions:
            raise Refusal("REGION_UNKNOWN", f"agent.yaml knows {', '.join(engine.regions)}")
        if not engine.ranked(self._regions):
            raise Refusal("REGION_NOT_ALLOWED", "root allows none of the regions that agent.yaml knows")
        if self._left_s() <= 0:
            raise Refusal("DEADLINE_PASSED", "its blockhash is dead by now")

    def already_done(self, before: link_pb2.UnitState, now: link_pb2.UnitState) -> bool:
        """Whether an earlier attempt can only be seen through: it is too late to send again."""
        # It may have been sent by then, whatever is said of what is sent now.
        self._maybe = True
        return self._left_s() <= 0

    async def see_through(self, now: link_pb2.UnitState) -> Outcome:
        """Say that an earlier life of this agent may have sent it."""
        return self._over(Verdict("INTERRUPTED", "the agent died while it sent it"))

    async def act(self, tell: Tell) -> Outcome:
        """Send it until a region has it, it is refused for good, or its time is over."""
        if self._engine is None:
            return Outcome(FAILED, "ENGINE_UNKNOWN", "agent.yaml has no `jito`", figures=self._figures)
        last = Verdict("DEADLINE_PASSED", "its time was over before it could be sent")
        try:
            async with asyncio.timeout(self._left_s()):
                while self._tries < MOST_TRIES:
                    if self._tries:
                        await asyncio.sleep(self._wait_s())
                    try:
                        return await self._try(self._engine)
                    except SendFailed as failed:
                        last = failed.verdict
                    tell(f"try {self._tries} in {self._figures['region']}: {last.reason}")
                    if not last.retry:
                        break
        except TimeoutError:
            # Cut off in the middle of a try, that one may have arrived.
            self._maybe = self._maybe or self._in_flight
        return self._over(last)

    async def _try(self, engine: "Engine") -> Outcome:
        names = (
            [self._action.region] if self._action.region else engine.ranked(self._regions, self._action.region_order)
        )
        # The best of those that were tried the least; the second time by the other way.
        name = min(names, key=lambda one: self._tried[one])
        way: Way = "http" if self._tried[name] % 2 else "grpc"
        self._tried[name] += 1
        self._tries += 1
        self._figures |= {"region": name, "via": way, "tries": str(self._tries)}

        def begun() -> None:
            self._in_flight = True
            up = "up" if engine.streams[name].up else "down"
            self._figures |= {"sent_unix_ms": str(now_ms()), "stream": up}

        try:
            ack = await engine.send(
                name, self._action.bundle, self._action.transactions, way, begun, urgent=not self._action.again
            )
        except SendFailed as failed:
            self._in_flight = False
            self._maybe = self._maybe or failed.verdict.received == "maybe"
            if failed.verdict.received == "yes":
                return self._landed(failed.verdict)
            raise
        return self._acknowledged(ack)

    def _acknowledged(self, ack: "Ack") -> Outcome:
        self._figures |= {"ack_unix_ms": str(ack.unix_ms), "waited_ms": f"{ack.waited_s * 1000:.0f}"}
        if ack.ident != self._action.bundle:
            self._figures["engine_bundle"] = ack.ident[:128]
        log.info("bundle acknowledged", **self._figures)
        return Outcome(DONE, figures=self._figures)

    def _landed(self, verdict: Verdict) -> Outcome:
        """A transaction of it is on the chain: an earlier try, or another region, has landed it."""
        self._figures["ack_unix_ms"] = str(now_ms())
        return Outcome(DONE, verdict.reason, verdict.message, figures=self._figures)

    def _over(self, last: Verdict) -> Outcome:
        if self._maybe or last.received == "maybe":
            message = f"a region may have it, and none says so; the chain will tell. Last: {last.message}"
            return Outcome(FAILED, SEND_UNKNOWN, message, figures=self._figures | {"last": last.reason})
        return Outcome(FAILED, last.reason, last.message, figures=self._figures)

    def _left_s(self) -> float:
        return (self._action.deadline_unix_ms - now_ms()) / 1000

    def _wait_s(self) -> float:
        # What a limit asks for is waited for where the next call is let through.
        ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(self._tries, 10))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311
