"""One verdict for each host, made of all its series: what alerts are made of.

Among thousands of series one is always unusual. The series of a host are joined by Simes' test (1986): of n series the
k-th most surprising one tells of a surprise of its own less log10(n / k), and the host has the greatest of these. It
holds for series that depend on each other positively, as those of one host do. A host is anomalous when that stays
beyond a level for some of the last seconds, and until it has been calm for a while.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.telemetry.anomaly.bank import Bank, Reason
from controlplane.telemetry.anomaly.rarity import Narrow

# A host's surprise (-log10) from which a second counts against it, in how many of the last seconds, and how long it
# must be calm to be well again.
LEVEL = 4.7
_SECONDS = 8
_OF_THEM = 5
CALM_S = 60.0
# A series' own surprise from which it is a suspect, and how many of them a verdict names.
SUSPECT_LEVEL = 3.0
SUSPECTS_MOST = 5
_COUNT_BITS = np.array([bits.bit_count() for bits in range(1 << _SECONDS)], dtype=np.int8)
_NEVER = -np.inf


@dataclass(frozen=True)
class Suspect:
    """A series that is unusual, since when (unix seconds), and why."""

    row: int
    since_s: float
    reason: Reason


@dataclass(frozen=True)
class Verdict:
    """A host that became anomalous, or (`over`) is so no more; its most surprising series first."""

    host: int
    since_s: float
    surprise: float
    suspects: tuple[Suspect, ...]
    over: bool = False


class Verdicts:
    """Follows up to `hosts` hosts, whose series are rows of a bank."""

    def __init__(self, capacity: int, hosts: int) -> None:
        self._host = np.full(capacity, -1, dtype=np.int32)
        self._since = np.full(capacity, _NEVER)
        self._unusual = np.full(capacity, _NEVER)
        self._quiet = np.zeros(capacity, dtype=np.bool_)
        self._bits = np.zeros(hosts, dtype=np.int64)
        self._last_over = np.full(hosts, _NEVER)
        self._open: dict[int, Verdict] = {}

    @property
    def anomalous(self) -> list[Verdict]:
        """The verdicts that stand."""
        return list(self._open.values())

    def standing(self, host: int) -> Verdict | None:
        """The verdict that stands on a host."""
        return self._open.get(host)

    def place(self, rows: NDArray[np.int64], host: int) -> None:
        """Say whose series some rows are, from now on; -1 for nobody's."""
        self._host[rows] = host
        self._since[rows] = self._unusual[rows] = _NEVER
        self._quiet[rows] = False

    def forget(self, host: int) -> NDArray[np.int64]:
        """Drop a host; give its rows, to be reset in the bank."""
        rows = np.flatnonzero(self._host == host)
        self.place(rows, -1)
        self._bits[host] = 0
        self._last_over[host] = _NEVER
        self._open.pop(host, None)
        return rows

    def acknowledge(self, host: int) -> list[int]:
        """Be quiet about what is unusual of a host now, while it lasts; other series of it still count.

        Returns: the rows that are quiet now.
        """
        rows = np.flatnonzero((self._host == host) & (self._unusual > _NEVER))
        self._quiet[rows] = True
        self._bits[host] = 0
        self._open.pop(host, None)
        return [int(row) for row in rows]

    def update(self, bank: Bank, scores: Narrow, now_s: float) -> list[Verdict]:
        """Take the scores of one second.

        Args:
            bank: where the scores are from; it tells the reasons.
            scores: what the bank's update gave, shape (n,).
            now_s: the time, unix seconds.

        Returns: the verdicts that have changed: new ones, and those that are over.
        """
        self._follow_series(scores, now_s)
        surprise = self._surprise(scores)
        over = surprise >= LEVEL
        self._last_over[over] = now_s
        self._bits = (self._bits << 1 | over) & ((1 << _SECONDS) - 1)
        struck = np.flatnonzero(over & (_COUNT_BITS[self._bits] >= _OF_THEM)).tolist()
        changed = [self._begin(bank, scores, host, float(surprise[host])) for host in struck if host not in self._open]
        for host, verdict in list(self._open.items()):
            if now_s - self._last_over[host] >= CALM_S:
                del self._open[host]
                changed.append(Verdict(host, verdict.since_s, verdict.surprise, verdict.suspects, over=True))
        return changed

    def _follow_series(self, scores: Narrow, now_s: float) -> None:
        unusual = np.flatnonzero(scores >= SUSPECT_LEVEL)
        fresh = unusual[self._unusual[unusual] == _NEVER]
        self._since[fresh] = now_s
        self._unusual[unusual] = now_s
        calm = (self._unusual > _NEVER) & (now_s - self._unusual >= CALM_S)
        self._unusual[calm] = _NEVER
        self._quiet[calm] = False

    def _surprise(self, scores: Narrow) -> NDArray[np.float64]:
        """Join the series of each host by Simes' test."""
        surprise = np.zeros(len(self._bits))
        count = len(scores)
        counted = (self._host[:count] >= 0) & ~self._quiet[:count]
        at = np.flatnonzero(counted & (scores >= SUSPECT_LEVEL))
        if not len(at):
            return surprise
        series = np.bincount(self._host[:count][counted], minlength=len(surprise))
        at = at[np.lexsort((-scores[at], self._host[at]))]
        hosts = self._host[at]
        first = np.searchsorted(hosts, hosts)
        place = np.arange(len(at)) - first + 1
        np.maximum.at(surprise, hosts, scores[at] - np.log10(series[hosts] / place))
        return surprise

    def _begin(self, bank: Bank, scores: Narrow, host: int, surprise: float) -> Verdict:
        rows = np.flatnonzero((self._host[: len(scores)] == host) & ~self._quiet[: len(scores)])
        rows = rows[np.argsort(-scores[rows], kind="stable")][:SUSPECTS_MOST]
        rows = rows[scores[rows] >= SUSPECT_LEVEL]
        suspects = tuple(Suspect(row, float(self._since[row]), bank.reason(row)) for row in rows.tolist())
        verdict = Verdict(host, min(suspect.since_s for suspect in suspects), surprise, suspects)
        self._open[host] = verdict
        return verdict
