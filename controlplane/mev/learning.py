"""What is learnt of bundles, kept over restarts, and asked what a tip is worth."""

import asyncio
import math
from typing import TypedDict

import structlog
from solward.jito.v1 import jito_pb2 as pb

from controlplane.mev.advisor import Advice, Advisor, Opportunity, TipValue
from controlplane.mev.choice import Standing
from controlplane.mev.tip_feed import TipFeed
from controlplane.store.bundles import uid_of
from controlplane.store.models import ModelRepository

log = structlog.get_logger(__name__)

NAME = "landing"
SAVE_SECONDS = 60.0
AGAIN_SECONDS = 1.0
_LEARNT = {pb.BUNDLE_STATE_FINALIZED: True, pb.BUNDLE_STATE_EXPIRED: False}


class Learning:
    """Keeps an advisor's state in the store, and tells it of each bundle.

    Args:
        tips: what others tip.
        stored: where it is saved; what cannot be read of it is begun anew.
    """

    def __init__(self, tips: TipFeed, stored: ModelRepository) -> None:
        self._tips = tips
        self._stored = stored
        self._advisor = Advisor()
        self._saved = self._version = 0

    async def run(self) -> None:
        """Take up what was learnt, and save it again and again until cancelled."""
        while True:
            if await self._take_up():
                break
            await asyncio.sleep(AGAIN_SECONDS)
        try:
            while True:
                await asyncio.sleep(SAVE_SECONDS)
                await self._save()
        finally:
            await self._save()

    def sent(self, bundle: pb.Bundle, way: Standing | None = None) -> None:
        """Note a bundle that is about to be sent, in which region if that is known, and with which chance to land."""
        floor = self._tips.newest
        if floor and bundle.profit_lamports > 0 and not self._tips.stale:
            opportunity = Opportunity(
                bundle.profit_lamports, bundle.strategy, bundle.fee_lamports, compute_units=bundle.compute_units,
                transactions=len(bundle.signatures), **_known(way),
            )  # fmt: skip
            bundle.expected_landing = self._advisor.sent(uid_of(bundle), opportunity, floor, bundle.tip_lamports)

    def forget(self, bundle: pb.Bundle) -> None:
        """Forget a bundle that is not sent after all."""
        self._advisor.forget(uid_of(bundle))

    def ended(self, bundle: pb.Bundle) -> None:
        """Learn from a bundle's end whether its first send landed it; one of which nothing is known teaches nothing."""
        landed = _LEARNT.get(bundle.state)
        self._advisor.ended(uid_of(bundle), landed and bundle.sends <= 1)

    def expected_value(
        self, request: pb.GetExpectedValueRequest, budget: pb.Budget, way: Standing | None = None
    ) -> pb.ExpectedValue | None:
        """Say what tips are worth for an opportunity; None where nobody has told what others tip.

        Args:
            request: the opportunity.
            budget: bounds what is advised.
            way: the region that it would be sent in; None: no one in particular.

        Raises: ValueError, which names the field.
        """
        floor = self._tips.newest
        if floor is None:
            return None
        opportunity = Opportunity(
            request.profit_lamports, request.strategy, request.fee_lamports, request.tip_lamports,
            request.cap_lamports, compute_units=request.compute_units, transactions=request.transactions or 1,
            **_known(way),
        )  # fmt: skip
        advice = self._advisor.expected_value(opportunity, floor, _left(budget))
        return _told(advice, self._tips, budget)

    async def _take_up(self) -> bool:
        """Go on from what is stored; says whether the store answered."""
        try:
            saved = await self._stored.get(NAME)
        except Exception:
            log.exception("what was learnt of bundles cannot be read yet; trying again")
            return False
        if saved is None:
            log.info("what is learnt of bundles begins anew")
            self._version = 0
            return True
        self._version = saved.version
        try:
            self._advisor.load(saved.state)
        except ValueError as error:
            log.warning("what was learnt of bundles cannot be read; it begins anew", why=str(error))
        self._saved = self._advisor.learnt
        return True

    async def _save(self) -> None:
        if self._advisor.learnt == self._saved:
            return
        learnt, state = self._advisor.learnt, self._advisor.save()
        try:
            if await self._stored.put(NAME, state, self._version):
                self._saved, self._version = learnt, self._version + 1
                return
        except Exception:
            log.exception("what is learnt of bundles cannot be saved; trying again")
            return
        # Another control plane has led since: what it has learnt counts.
        log.warning("what is learnt of bundles was saved by another control plane; that is taken up")
        await self._take_up()


class _Way(TypedDict, total=False):
    """What an opportunity's features say of the way to the block engine."""

    rtt_ms: float | None
    left_ms: float | None
    slots_to_leader: int | None
    same_region: bool | None


def _known(way: Standing | None) -> _Way:
    if way is None:
        return _Way()
    until = None if way.slots is None else max(0, way.slots)
    return _Way(rtt_ms=way.rtt_ms, left_ms=way.left_ms, slots_to_leader=until, same_region=way.leader)


def _left(budget: pb.Budget) -> int | None:
    """Give what one bundle may tip now; None where no budget is set, which is a matter of its own."""
    if not budget.daily_lamports:
        return None
    left = max(0, budget.daily_lamports - budget.spent_lamports - budget.reserved_lamports)
    return min(left, budget.bundle_lamports) if budget.bundle_lamports else left


def _told(advice: Advice, tips: TipFeed, budget: pb.Budget) -> pb.ExpectedValue:
    found = pb.ExpectedValue(
        break_even_lamports=advice.break_even, reasons=advice.reasons, learnt=advice.learnt,
    )  # fmt: skip
    if advice.best:
        found.best.CopyFrom(_value(advice.best))
    if advice.asked:
        found.asked.CopyFrom(_value(advice.asked))
    if tips.stale:
        age = f"{tips.age_s:.0f} s" if math.isfinite(tips.age_s) else "long"
        found.reasons.append(f"what others tip was told {age} ago, and may be wrong by now")
    if not budget.daily_lamports:
        found.reasons.append("no budget is set: nothing is sent")
    return found


def _value(one: TipValue) -> pb.TipValue:
    return pb.TipValue(
        tip_lamports=one.tip, landing=one.landing, landing_low=one.landing_low, landing_high=one.landing_high,
        value_lamports=one.value, value_low_lamports=one.value_low, value_high_lamports=one.value_high,
    )  # fmt: skip
