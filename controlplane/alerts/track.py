"""The course of one alert, from the first sign to its end. Pure: time is given, nothing is read or written."""

from dataclasses import dataclass
from enum import Enum

from controlplane.alerts.rules import Rule


class Change(Enum):
    """What an observation changed."""

    NOTHING = "nothing"
    FIRED = "fired"
    RESOLVED = "resolved"
    UNSURE = "unsure"


@dataclass(slots=True)
class Track:
    """Where one rule stands for one host. Times are milliseconds since the epoch; 0 is never.

    Attributes:
        start_ms: since when the condition has held.
        fire_ms: since when it fires; 0 while it does not.
        last_ms: when it was last seen to hold.
        resolve_ms: when it was last resolved.
        times: how often it has fired within the cooldown.
        unsure: it fires, and nobody can tell whether it still holds.
    """

    start_ms: int = 0
    fire_ms: int = 0
    last_ms: int = 0
    resolve_ms: int = 0
    times: int = 0
    unsure: bool = False

    @property
    def idle(self) -> bool:
        """Whether it has nothing to remember."""
        return not self.start_ms and not self.fire_ms

    def same(self, rule: Rule, now: int) -> bool:
        """Whether what fires now is the alert that was resolved a moment ago."""
        return self.resolve_ms > 0 and now - self.resolve_ms <= rule.cooldown_seconds * 1000

    def observe(self, rule: Rule, holds: bool | None, now: int) -> Change:
        """Take one look into account.

        Args:
            rule: the rule.
            holds: whether its condition holds; None where nobody can tell.
            now: the time of the look.
        """
        if self.fire_ms:
            return self._while_firing(rule, holds, now)
        if not holds:
            # What was not seen without a break has not held for the time that the rule asks.
            self.start_ms = 0
            return Change.NOTHING
        self.start_ms = self.start_ms or now
        self.last_ms = now
        if now - self.start_ms < rule.for_seconds * 1000:
            return Change.NOTHING
        self.times = self.times + 1 if self.same(rule, now) else 1
        self.fire_ms, self.unsure = now, False
        return Change.FIRED

    def _while_firing(self, rule: Rule, holds: bool | None, now: int) -> Change:
        if holds is None:
            was, self.unsure = self.unsure, True
            # Time in which nobody could see is no time in which it was well.
            self.last_ms = now
            return Change.NOTHING if was else Change.UNSURE
        was, self.unsure = self.unsure, False
        if holds:
            self.last_ms = now
        elif now - self.last_ms >= rule.resolve_seconds * 1000:
            self.start_ms = self.fire_ms = 0
            self.resolve_ms = now
            return Change.RESOLVED
        return Change.UNSURE if was else Change.NOTHING
