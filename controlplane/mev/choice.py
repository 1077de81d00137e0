"""Which region a bundle goes to, and why; no I/O.

A region's worth is a product: the chance that it lands bundles, by what became of ours of late; that the bundle is
there in time, which falls by a factor e with each slot that the round trip and the wait for the region's limit take;
and a factor where the next leader is known to be of another region. That last one is a choice of ours, and nothing that
was measured: it lets a leader's region win over one that is up to 90 ms nearer.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

# A slot of Solana.
SLOT_MS = 400.0
# A leader's turn.
TURN_SLOTS = 4
ELSEWHERE = 0.8
# A region of which no round trip is known is held to be as far as the farthest there is.
FAR_MS = 400.0
# Bundles' worth of the usual rate that stand beside a region's own outcomes.
USUAL_COUNT = 8.0


class Standing(NamedTuple):
    """How one region stands for one host.

    Attributes:
        region: its name.
        rtt_ms: the median round trip; None: not known.
        wait_s: seconds until its limit lets a call pass.
        left_alone: it failed, and its breaker is open.
        leader: the next leader is of it; None: nobody has told of late.
        slots: until the turn of the next leader, of whichever region; below 0 while it is that leader's; None where
            nobody has told.
        landed: bundles of ours that landed of late, those of long ago counting less.
        known: those of which it is known whether they landed, counted alike.
    """

    region: str
    rtt_ms: float | None = None
    wait_s: float = 0.0
    left_alone: bool = False
    leader: bool | None = None
    slots: int | None = None
    landed: float = 0.0
    known: float = 0.0

    @property
    def left_ms(self) -> float | None:
        """Milliseconds until that leader's turn is over, to a slot or two."""
        return None if self.slots is None else (self.slots + TURN_SLOTS) * SLOT_MS


class Choice(NamedTuple):
    """A region as it stands, with its worth, 0 to 1, and the reasons in words."""

    standing: Standing
    worth: float
    reasons: tuple[str, ...]

    @property
    def region(self) -> str:
        """Its name."""
        return self.standing.region


def rank(standings: Iterable[Standing]) -> list[Choice]:
    """Put regions in order, the best first; one that is left alone is behind every other."""
    found = list(standings)
    usual = _usual(found)
    ranked = sorted(found, key=lambda one: (one.left_alone, -worth(one, usual), one.region))
    return [Choice(one, worth(one, usual), _reasons(one, usual)) for one in ranked]


def worth(one: Standing, usual: float) -> float:
    """Give the worth of a region: never falls with its landing, never grows with its distance or wait.

    Args:
        usual: the landing rate of all regions together.
    """
    if one.left_alone:
        return 0.0
    away_ms = (FAR_MS if one.rtt_ms is None else max(0.0, one.rtt_ms)) + max(0.0, one.wait_s) * 1000
    return _rate(one, usual) * math.exp(-away_ms / SLOT_MS) * (ELSEWHERE if one.leader is False else 1.0)


def _usual(standings: list[Standing]) -> float:
    return (sum(one.landed for one in standings) + 1) / (sum(one.known for one in standings) + 2)


def _rate(one: Standing, usual: float) -> float:
    return (one.landed + usual * USUAL_COUNT) / (one.known + USUAL_COUNT)


def _reasons(one: Standing, usual: float) -> tuple[str, ...]:
    words = [f"round trip {one.rtt_ms:.0f} ms" if one.rtt_ms is not None else "no round trip is known"]
    if one.left_alone:
        words.insert(0, "left alone after failures")
    if one.wait_s >= 0.05:
        words.append(f"its limit lets a call pass in {one.wait_s:.1f} s")
    if one.leader:
        words.append("the next leader is here" + (f", in {max(0, one.slots)} slots" if one.slots is not None else ""))
    elif one.leader is False:
        words.append("the next leader is elsewhere")
    if one.known >= 0.5:
        words.append(f"landed {one.landed / one.known:.0%} of about {one.known:.0f} of late")
    else:
        words.append(f"no bundle of late; taken as usual, {usual:.0%}")
    return tuple(words)
