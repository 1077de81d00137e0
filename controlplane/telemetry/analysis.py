"""Analysis: once a second every host's RPC methods are scored, and whatever is unusual about the host is found."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import structlog
from numpy.typing import NDArray
from solward.hosts.v1 import link_pb2

from common.clock import now_ms
from controlplane.telemetry.anomaly.bank import Bank
from controlplane.telemetry.anomaly.hosts import Verdict, Verdicts
from controlplane.telemetry.health import WINDOW_SECONDS, Summary, summary
from controlplane.telemetry.ingest import HostFeed, Ingest
from controlplane.telemetry.live import Floats, SeriesKey
from controlplane.telemetry.rpc_health import Counts, HostScores, fleet_p50, score_host
from controlplane.telemetry.sums import LATENCY

log = structlog.get_logger(__name__)

PERIOD_S = 1.0
# Series that are judged, of one host and in all; further ones are not, and that is said.
MOST_OF_A_HOST = 128
CAPACITY, HOSTS = 20_000, 2_000
# More hosts are scored in turns, so that a turn never costs the loop more than a moment.
HOSTS_AT_ONCE = 50
# While a host is anomalous this is told again, so that its alert stands.
TOLD_AGAIN_S = 30.0
JUDGED = (LATENCY, "solana_rpc_connect_seconds", "solana_ws_delay_seconds")
KIND = "rpc.unusual"
Tell = Callable[[str, Iterable[link_pb2.Event]], Awaitable[None]]


@dataclass(slots=True)
class _Host:
    """A host that is followed: its place among hosts, and the rows of its series in the bank by column of its ring."""

    feed: HostFeed
    place: int
    known: int = 0
    seen_second: int = 0
    rows: dict[int, int] = field(default_factory=dict)
    told_s: float = 0.0


class Analysis:
    """Follows every host that sends samples.

    Args:
        ingest: live samples.
        tell: takes findings of a host, by its name.
    """

    def __init__(self, ingest: Ingest, tell: Tell, *, capacity: int = CAPACITY, hosts: int = HOSTS) -> None:
        self._ingest, self._tell = ingest, tell
        self._bank, self._verdicts = Bank(capacity), Verdicts(capacity, hosts)
        self._surprise = np.full((WINDOW_SECONDS, capacity), np.nan, dtype=np.float32)
        self._free_rows, self._free_places = list(range(capacity))[::-1], list(range(hosts))[::-1]
        self._hosts: dict[str, _Host] = {}
        self._keys: dict[int, tuple[str, SeriesKey]] = {}
        self._turn = 0
        self._full_said = False
        self.scores: dict[str, HostScores] = {}

    async def run(self) -> None:
        """Analyse until cancelled."""
        while True:
            began = time.monotonic()
            try:
                await self.tick(now_ms() / 1000)
            except Exception:
                log.exception("telemetry could not be analysed; trying again")
            await asyncio.sleep(max(0.05, PERIOD_S - (time.monotonic() - began)))

    async def tick(self, now_s: float) -> None:
        """Take the newest second of every host in."""
        self._follow()
        surprise = self._bank.update(self._newest())
        self._turn += 1
        self._surprise[self._turn % WINDOW_SECONDS, : len(surprise)] = surprise
        self._verdicts.update(self._bank, surprise, now_s)
        await self._score()
        await self._tell_of(now_s)

    def fleet(self) -> Summary:
        """Give the scores of all hosts as one."""
        return summary(np.array([one.whole.mean for one in self.scores.values()]))

    def standing(self, host: str) -> Verdict | None:
        """Give what is unusual of a host now."""
        followed = self._hosts.get(host)
        return self._verdicts.standing(followed.place) if followed else None

    def series(self, row: int) -> SeriesKey:
        """Name the series of a row."""
        return self._keys[row][1]

    def acknowledge(self, host: str) -> list[SeriesKey]:
        """Be quiet about what is unusual of a host, while it lasts; gives which series that is."""
        followed = self._hosts.get(host)
        return [self.series(row) for row in self._verdicts.acknowledge(followed.place)] if followed else []

    def _follow(self) -> None:
        feeds = self._ingest.feeds
        for gone in [name for name, host in self._hosts.items() if feeds.get(name) is not host.feed]:
            self._forget(gone)
        for name, feed in feeds.items():
            if name not in self._hosts:
                if not self._free_places:
                    self._say_full()
                    continue
                self._hosts[name] = _Host(feed, self._free_places.pop())
            self._learn(name, self._hosts[name])

    def _learn(self, name: str, host: _Host) -> None:
        keys = list(host.feed.ring.series)
        if len(keys) == host.known:
            return
        for key, column in keys[host.known :]:
            if key[0] in JUDGED and len(host.rows) < MOST_OF_A_HOST:
                if not self._free_rows:
                    self._say_full()
                    break
                row = host.rows[column] = self._free_rows.pop()
                self._keys[row] = (name, key)
                self._verdicts.place(np.array([row]), host.place)
        host.known = len(keys)

    def _forget(self, name: str) -> None:
        host = self._hosts.pop(name)
        rows = self._verdicts.forget(host.place)
        self._bank.reset(rows)
        self._surprise[:, rows] = np.nan
        for row in rows.tolist():
            del self._keys[row]
        self._free_rows += rows.tolist()
        self._free_places.append(host.place)
        self.scores.pop(name, None)

    def _say_full(self) -> None:
        if not self._full_said:
            self._full_said = True
            log.warning("there are more hosts or series than are analysed", series=CAPACITY, hosts=HOSTS)

    def _newest(self) -> Floats:
        """Give the newest second of every row; latencies as logarithms, NaN where a host has sent nothing new."""
        values = np.full(max(self._keys, default=-1) + 1, np.nan)
        for host in self._hosts.values():
            ring = host.feed.ring
            if ring.newest_second == host.seen_second or not host.rows:
                continue
            host.seen_second = ring.newest_second
            columns, rows = (np.fromiter(part, dtype=np.int64) for part in (host.rows.keys(), host.rows.values()))
            seconds = ring.window(columns, 1)[0]
            values[rows] = np.log(np.where(seconds > 0, seconds, np.nan))
        return values

    async def _score(self) -> None:
        names = sorted(self._hosts)
        turns = max(1, -(-len(names) // HOSTS_AT_ONCE))
        fleet = fleet_p50(self.scores)
        for name in names[self._turn % turns :: turns]:
            # Others have the loop between two hosts; one may be cut off meanwhile.
            await asyncio.sleep(0)
            if host := self._hosts.get(name):
                self.scores[name] = score_host(Counts.of(host.feed.ring, self._surprise_of(host)), fleet)

    def _surprise_of(self, host: _Host) -> dict[str, NDArray[np.float64]]:
        found = {}
        for row in host.rows.values():
            name, labels = self._keys[row][1]
            if name == LATENCY:
                found[dict(labels).get("method", "")] = self._surprise[:, row].astype(np.float64)
        return found

    async def _tell_of(self, now_s: float) -> None:
        for name, host in self._hosts.items():
            verdict = self.standing(name)
            if verdict is None:
                host.told_s = 0.0
            elif now_s - host.told_s >= TOLD_AGAIN_S:
                host.told_s = now_s
                await self._tell(name, [self._event(verdict)])

    def _event(self, verdict: Verdict) -> link_pb2.Event:
        first = verdict.suspects[0]
        return link_pb2.Event(
            unix_ms=round(verdict.since_s * 1000), kind=KIND, severity=link_pb2.SEVERITY_WARNING,
            message=f"{_words(self.series(first.row))}: {', '.join(first.reason.looks)}",
        )  # fmt: skip


def _words(key: SeriesKey) -> str:
    name, labels = key
    return f"{name}{{{','.join(f'{label}={value}' for label, value in labels)}}}" if labels else name
