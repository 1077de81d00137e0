"""Whether bundles fare as they are used to, host by host; what is wrong is told as findings; no I/O."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb

from common.names import host_name
from controlplane.mev import figures
from controlplane.mev.spend import wilson

# Rates are of so many bundles of a host, the newest.
RATED = 500
# A collapse: the newest few against those before, where so few acceptances would come by chance less often than this.
NEWEST, BEFORE_LEAST = 40, 80
CHANCE = 1e-4
# As many that a block engine received in a row, and of which nothing was ever told nor seen.
SHADOWED = 8
_LANDED = (pb.BUNDLE_STATE_LANDED, pb.BUNDLE_STATE_FINALIZED)
_WON = ("accepted", "processed", "finalized")


@dataclass(frozen=True, slots=True)
class _Outcome:
    observed: bool
    accepted: bool
    landed: bool
    known: bool
    silent: bool


@dataclass(slots=True)
class _Host:
    outcomes: deque[_Outcome] = field(default_factory=lambda: deque(maxlen=RATED))


class Watch:
    """Judges each bundle that has ended."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    def take(self, bundle: pb.Bundle, unix_ms: int, *, shown: bool = True) -> list[link_pb2.Event]:
        """Take an end in; gives what is wrong of its host now.

        Args:
            shown: its rates are shown; not of a host that was cut off, whose last bundles may end later.
        """
        outcome = _outcome(bundle)
        if outcome is None:
            return []
        host = self._hosts.setdefault(bundle.host, _Host())
        host.outcomes.append(outcome)
        if shown:
            self._show(bundle.host.removeprefix("hosts/"), host)
        found = [*_shadowed(host), *_collapsed(host)]
        for event in found:
            event.unix_ms = unix_ms
        return found

    def forget(self, host: str) -> None:
        """Drop what is held and shown of a host, by its id."""
        self._hosts.pop(host_name(host), None)
        for shown in (figures.ACCEPTANCE, figures.LANDING, figures.ENDED):
            shown.remove_by_labels({"host": host})

    def _show(self, name: str, host: _Host) -> None:
        observed = [one for one in host.outcomes if one.observed]
        known = [one for one in host.outcomes if one.known]
        if observed:
            figures.ACCEPTANCE.labels(name).set(sum(one.accepted for one in observed) / len(observed))
        if known:
            figures.LANDING.labels(name).set(sum(one.landed for one in known) / len(known))


def _outcome(bundle: pb.Bundle) -> _Outcome | None:
    """Say what counts of a bundle; None of one that no block engine received."""
    if bundle.state in (pb.BUNDLE_STATE_FAILED, pb.BUNDLE_STATE_CHECKED):
        return None
    told = [event.kind for event in bundle.events if event.kind != "sent"]
    landed = bundle.state in _LANDED
    return _Outcome(
        observed=bundle.observed, accepted=any(kind in _WON for kind in told), landed=landed,
        known=bundle.state != pb.BUNDLE_STATE_UNKNOWN, silent=bundle.observed and not told and not landed,
    )  # fmt: skip


def partial(bundle: pb.Bundle) -> Iterator[link_pb2.Event]:
    """Give what is wrong of a bundle of which a part landed by itself."""
    if bundle.state == pb.BUNDLE_STATE_PARTIAL:
        yield finding("jito.partial", f"{bundle.name}: {bundle.message}")


def _shadowed(host: _Host) -> Iterator[link_pb2.Event]:
    last = list(host.outcomes)[-SHADOWED:]
    if len(last) == SHADOWED and all(one.silent for one in last):
        words = f"the last {SHADOWED} bundles were received, and nothing was told of them nor landed"
        yield finding("jito.shadow_drop", words)


def _collapsed(host: _Host) -> Iterator[link_pb2.Event]:
    observed = [one.accepted for one in host.outcomes if one.observed]
    newest, before = observed[-NEWEST:], observed[:-NEWEST]
    if len(before) < BEFORE_LEAST:
        return
    # Against the low end of what was usual: bundles come one by one, and each is a look of its own.
    if _so_few(sum(newest), len(newest), wilson(sum(before), len(before))[0]) < CHANCE:
        words = f"{sum(newest)} of the last {len(newest)} bundles were accepted, {sum(before)} of {len(before)} before"
        yield finding("jito.acceptance_collapse", words)


def _so_few(successes: int, tries: int, rate: float) -> float:
    """Give the chance of at most so many successes at a rate (the binomial law)."""
    return sum(math.comb(tries, one) * rate**one * (1 - rate) ** (tries - one) for one in range(successes + 1))


def finding(kind: str, message: str) -> link_pb2.Event:
    """Make a finding about bundles; how grave it is, its alert rule says."""
    return link_pb2.Event(kind=kind, severity=link_pb2.SEVERITY_INFO, message=message, area="mev", times=1)
