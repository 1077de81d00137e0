"""What to tip for an opportunity, and what was learnt of it; no I/O, no clock."""

import math
from collections import OrderedDict
from dataclasses import dataclass

from controlplane.mev.expected_value import Stake, choose
from controlplane.mev.landing.features import Context
from controlplane.mev.landing.model import Forecast, Model
from controlplane.mev.tips import LEAST_TIP, Floor

MOST_AWAITED = 10_000


@dataclass(frozen=True, slots=True)
class Opportunity:
    """What may be sent, in lamports where not said.

    Attributes:
        profit: what it earns if it lands, before tip and fees; above 0.
        strategy: the model knows each by itself.
        fees: what landing costs besides the tip.
        tip: one to judge besides the best; 0: none.
        cap: never tip more; 0: no cap.
        failure_cost: what it costs when it does not land.
        compute_units: of the bundle; 0: not known.
        transactions: 1 to 5.
        rtt_ms: round trip to the region it is sent in; None: not known. So with the rest.
        left_ms: until the leader's turn is over.
        slots_to_leader: until the next leader that takes bundles.
        same_region: the leader is of the region it is sent in.
        leader_runs_jito: the next leader takes bundles.
        blockhash_age_s: since its blockhash was made.

    Raises: ValueError, which names the field.
    """

    profit: int
    strategy: str = ""
    fees: int = 0
    tip: int = 0
    cap: int = 0
    failure_cost: int = 0
    compute_units: int = 0
    transactions: int = 1
    rtt_ms: float | None = None
    left_ms: float | None = None
    slots_to_leader: int | None = None
    same_region: bool | None = None
    leader_runs_jito: bool | None = None
    blockhash_age_s: float | None = None

    def __post_init__(self) -> None:
        if self.profit <= 0:
            raise ValueError("profit: an amount above 0")
        for name in ("fees", "tip", "cap", "failure_cost", "compute_units"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: no amount below 0")
        if not 1 <= self.transactions <= 5:
            raise ValueError("transactions: 1 to 5")
        for name in ("rtt_ms", "left_ms", "blockhash_age_s"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name}: a finite number, or None")

    def context(self) -> Context:
        """Give what the model looks at."""
        return Context(
            self.strategy, self.profit, self.compute_units, self.transactions, self.rtt_ms, self.left_ms,
            self.slots_to_leader, self.same_region, self.leader_runs_jito, self.blockhash_age_s,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a bundle.

    Attributes:
        opportunity: as it was when the bundle was sent.
        floor: as it was then.
        tip: that it offered, in lamports.
        landed: None where it is not known, which is not failed and is not learnt from.
    """

    opportunity: Opportunity
    floor: Floor
    tip: int
    landed: bool | None


@dataclass(frozen=True, slots=True)
class TipValue:
    """What one tip is worth: chances 0 to 1 with their interval of 90 %, the rest in lamports."""

    tip: int
    landing: float
    landing_low: float
    landing_high: float
    value: int
    value_low: int
    value_high: int


@dataclass(frozen=True, slots=True)
class Advice:
    """What tips are worth.

    Attributes:
        best: the tip that is worth the most; None where none is worth sending.
        asked: the tip that was asked about; None where none was.
        break_even: the tip at which landing earns nothing, in lamports; 0 where fees are above the profit.
        reasons: which bound held, how sure the model is, what it expects of rivals.
        learnt: outcomes that the model has learnt from.
    """

    best: TipValue | None
    asked: TipValue | None
    break_even: int
    reasons: tuple[str, ...]
    learnt: int


class Advisor:
    """Says what tips are worth and learns from what became of bundles; for one thread.

    Args:
        margin: what is to remain of the profit at least, in lamports.
        least_value: nothing is advised that is worth less on average, in lamports.
    """

    def __init__(self, margin: int = 0, least_value: int = 1) -> None:
        self._model = Model()
        self._margin = margin
        self._least_value = least_value
        self._awaited: OrderedDict[str, tuple[Opportunity, Floor, int]] = OrderedDict()

    @property
    def learnt(self) -> int:
        """Outcomes that were learnt from."""
        return self._model.learnt

    def expected_value(self, opportunity: Opportunity, floor: Floor, budget: int | None = None) -> Advice:
        """Say which tip is worth the most.

        Args:
            floor: what others tipped, as last told.
            budget: what may be tipped for this bundle, in lamports; None: no budget.
        """
        stake = Stake(
            opportunity.profit, opportunity.fees, opportunity.failure_cost, self._margin,
            opportunity.cap or None, budget, self._least_value,
        )  # fmt: skip
        context = opportunity.context()
        choice = choose(stake, lambda tips: self._model.chances(context, floor, tips))
        reasons = list(choice.reasons)
        best = asked = None
        if choice.tip is not None:
            forecast = self._model.forecast(context, floor, choice.tip)
            best = _valued(stake, choice.tip, forecast)
            reasons += _in_words(choice.tip, forecast)
        if opportunity.tip:
            asked, words = self._asked(stake, context, floor, opportunity.tip)
            reasons += words
        none = f", none of strategy {opportunity.strategy}" if not self._model.knows(opportunity.strategy) else ""
        reasons.append(f"the model has learnt from {self.learnt} outcomes{none if opportunity.strategy else ''}")
        return Advice(best, asked, max(0, stake.break_even), tuple(reasons), self.learnt)

    def sent(self, bundle: str, opportunity: Opportunity, floor: Floor, tip: int) -> float:
        """Remember what a bundle was sent with until `ended` is told of it; gives the chance that it lands, 0 to 1."""
        if tip < LEAST_TIP:
            return 0.0
        self._awaited[bundle] = (opportunity, floor, tip)
        if len(self._awaited) > MOST_AWAITED:
            self._awaited.popitem(last=False)
        return self._model.forecast(opportunity.context(), floor, tip).chance

    def forget(self, bundle: str) -> None:
        """Forget a bundle that `sent` was told of and that is not sent."""
        self._awaited.pop(bundle, None)

    def ended(self, bundle: str, landed: bool | None) -> bool:
        """Learn what became of a bundle that `sent` was told of; says whether anything was learnt."""
        awaited = self._awaited.pop(bundle, None)
        return awaited is not None and self.learn(Outcome(*awaited, landed))

    def learn(self, outcome: Outcome) -> bool:
        """Learn from an outcome; says whether it did: not if unknown, nor from less than the least tip."""
        if outcome.landed is None or outcome.tip < LEAST_TIP:
            return False
        self._model.learn(outcome.opportunity.context(), outcome.floor, outcome.tip, outcome.landed)
        return True

    def save(self) -> bytes:
        """Give what was learnt, as bytes that `load` takes; of bundles under way nothing."""
        return self._model.save()

    def load(self, saved: bytes) -> None:
        """Take up what `save` gave.

        Raises: ValueError, which says what is wrong with the bytes; nothing has changed then.
        """
        self._model.load(saved)

    def _asked(self, stake: Stake, context: Context, floor: Floor, tip: int) -> tuple[TipValue, list[str]]:
        if tip < LEAST_TIP:
            nothing = TipValue(tip, 0.0, 0.0, 0.0, *(-stake.failure_cost,) * 3)
            return nothing, [f"a tip of {tip} lamports is below the least, {LEAST_TIP}, and does not land"]
        most, bound = stake.most
        words = [f"a tip of {tip} lamports is above what {bound} allows, {max(0, most)}"] if tip > most else []
        return _valued(stake, tip, self._model.forecast(context, floor, tip)), words


def _valued(stake: Stake, tip: int, forecast: Forecast) -> TipValue:
    values = sorted(stake.value(tip, chance) for chance in (forecast.low, forecast.chance, forecast.high))
    low, middle, high = (math.floor(value) for value in values)
    return TipValue(tip, forecast.chance, forecast.low, forecast.high, middle, low, high)


def _in_words(tip: int, forecast: Forecast) -> list[str]:
    rivals = f"{forecast.crowd + forecast.hunters:.2f} rivals expected above {tip} lamports"
    return [
        f"{rivals}: {forecast.crowd:.2f} of the market, {forecast.hunters:.2f} after this profit",
        f"no tip buys a chance above {forecast.ceiling:.2f}",
        f"lands with a chance of {forecast.chance:.2f}, {forecast.low:.2f} to {forecast.high:.2f}",
    ]
