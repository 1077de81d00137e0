"""Explanations: once a minute each host is looked at for counters of its kernel and network that move with its RPC."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import structlog

from controlplane.telemetry.correlation import LEAST_SECONDS, Finding, correlate
from controlplane.telemetry.ingest import HostFeed, Ingest
from controlplane.telemetry.live import Floats, HostRing, SeriesKey
from controlplane.telemetry.rpc_report import ERRORS
from controlplane.telemetry.sums import LATENCY

log = structlog.get_logger(__name__)

PERIOD_S = 60.0
IDLE_S = 0.5
WINDOW_SECONDS = 900
# A finding is told for so long after it was last found.
KEPT_S = 3600.0
# Of one host: what is looked at costs the product of both.
MOST_TARGETS, MOST_COUNTERS = 64, 64
# Looks may take so much of a processor; more hosts than that allows are looked at less often.
SHARE = 0.25
TARGETS = (LATENCY, ERRORS)
COUNTERS = "node_"


class Pair(NamedTuple):
    """A latency or an error count, and a counter."""

    target: SeriesKey
    counter: SeriesKey


@dataclass(slots=True)
class Explanation:
    """What was found of a pair: the newest finding, in how many looks, the first and the last (unix seconds)."""

    finding: Finding
    first_s: float
    last_s: float
    looks: int = 1


@dataclass(slots=True)
class Looked:
    """What is known of a host: how often it was looked at, how far back at last, and what was found."""

    feed: HostFeed
    looks: int = 0
    seconds: int = 0
    found: dict[Pair, Explanation] = field(default_factory=dict)


class _Sight(NamedTuple):
    """What one look sees, copied off the ring."""

    targets: list[SeriesKey]
    counters: list[SeriesKey]
    target_values: Floats
    counter_values: Floats


class Explanations:
    """Looks at every host in turn.

    Args:
        ingest: live samples.
    """

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._hosts: dict[str, Looked] = {}
        self._looked: dict[str, float] = {}

    async def run(self) -> None:
        """Look until cancelled, at one host after the other: at that which was looked at longest ago, once a minute."""
        while True:
            host = self._next()
            if host is None:
                await asyncio.sleep(IDLE_S)
                continue
            began = self._looked[host] = time.monotonic()
            try:
                await self.look(host, time.time())
            except Exception:
                log.exception("what moves with a host's RPC could not be looked for", host=host)
            await asyncio.sleep((time.monotonic() - began) * (1 / SHARE - 1))

    def _next(self) -> str | None:
        feeds = self._ingest.feeds
        self._hosts = {name: looked for name, looked in self._hosts.items() if name in feeds}
        self._looked = {name: when for name, when in self._looked.items() if name in feeds}
        never = float("-inf")
        host = min(feeds, key=lambda name: self._looked.get(name, never), default=None)
        due = host is not None and time.monotonic() - self._looked.get(host, never) >= PERIOD_S
        return host if due else None

    def of(self, host: str) -> Looked | None:
        """Give what is known of a host; None before the first look at it."""
        looked = self._hosts.get(host)
        return looked if looked and looked.feed is self._ingest.feeds.get(host) else None

    async def look(self, host: str, now_s: float) -> None:
        """Look at a host once.

        Args:
            host: its name; nothing happens where it sends no samples.
            now_s: the time, unix seconds.
        """
        feed = self._ingest.feeds.get(host)
        if feed is None:
            return
        sight = _sight(feed.ring)
        seconds, findings = len(sight.target_values), []
        if seconds >= LEAST_SECONDS:
            findings = await asyncio.to_thread(correlate, sight.target_values, sight.counter_values)
        looked = self._hosts.get(host)
        if looked is None or looked.feed is not feed:
            looked = self._hosts[host] = Looked(feed)
        looked.looks += 1
        looked.seconds = seconds
        for finding in findings:
            _note(looked, Pair(sight.targets[finding.target], sight.counters[finding.counter]), finding, now_s)
        looked.found = {pair: one for pair, one in looked.found.items() if now_s - one.last_s < KEPT_S}


def _note(looked: Looked, pair: Pair, finding: Finding, now_s: float) -> None:
    known = looked.found.get(pair)
    if known is None:
        looked.found[pair] = Explanation(finding, now_s, now_s)
    else:
        known.finding, known.last_s, known.looks = finding, now_s, known.looks + 1


def _sight(ring: HostRing) -> _Sight:
    """Copy what there is of the last minutes; on the loop, which writes it."""
    targets: list[tuple[SeriesKey, int]] = []
    counters: list[tuple[SeriesKey, int]] = []
    for key, column in ring.series:
        if key[0] in TARGETS and len(targets) < MOST_TARGETS:
            targets.append((key, column))
        elif key[0].startswith(COUNTERS) and ring.grows(column) and len(counters) < MOST_COUNTERS:
            counters.append((key, column))
    seconds = min(WINDOW_SECONDS, ring.seconds)
    values = ring.window([column for _, column in targets], seconds)
    others = ring.window([column for _, column in counters], seconds)
    # The first samples of a host that has just come are where its window begins.
    there = np.isfinite(values).any(axis=1)
    first = int(np.argmax(there)) if there.any() else seconds
    for column, (key, _) in enumerate(targets):
        if key[0] == ERRORS:
            # No error is told of a second without one.
            values[:, column] = np.where(there, np.nan_to_num(values[:, column]), np.nan)
    return _Sight([key for key, _ in targets], [key for key, _ in counters], values[first:], others[first:])
