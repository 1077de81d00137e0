"""The alert engine: looks at every host again and again, takes findings in, and keeps the book."""

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc
import structlog
from solward.alerts.v1 import alerts_pb2 as pb
from solward.hosts.v1 import link_pb2

from common.clock import now_ms, timestamp
from common.errors import SolwardError
from common.names import host_name
from controlplane.alerts.book import Book
from controlplane.alerts.evaluate import series_holds
from controlplane.alerts.rules import SEVERITIES, Rule
from controlplane.alerts.track import Change, Track
from controlplane.links.registry import Links
from controlplane.store.hosts import ACTIVE, HostRepository, HostRow
from controlplane.telemetry.ingest import Ingest

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
# Above this many hosts each is looked at every few seconds, so that a look never costs more than a moment.
HOSTS_AT_ONCE = 200
HOSTS_AGAIN_SECONDS = 5.0
# Samples older than this tell nothing of now.
STALE_MS = 10_000
# After an operation a validator has this long to become what its rules expect.
SETTLE_MS = 30_000
# A finding that has been quiet for so long is watched no more.
FORGET_MS = 3_600_000
# Kinds of findings of one host that one rule tells apart.
MAX_DETAILS = 32
OTHER = "other"
SUBJECTS = {
    "validator": pb.ALERT_SUBJECT_VALIDATOR, "monitor": pb.ALERT_SUBJECT_MONITOR,
    "pipeline": pb.ALERT_SUBJECT_PIPELINE, "bundles": pb.ALERT_SUBJECT_BUNDLES,
}  # fmt: skip


class Look(NamedTuple):
    """What one look at a rule's condition told."""

    holds: bool | None
    evidence: str


@dataclass(slots=True)
class _Watched:
    """One rule on one host, for one detail of it."""

    rule: Rule
    host: HostRow
    detail: str = ""
    track: Track = field(default_factory=Track)
    alert: pb.Alert | None = None
    # For findings: when each came, and how often.
    findings: deque[tuple[int, int]] = field(default_factory=deque)
    evidence: str = ""
    summary: str = ""
    advice: str = ""


# A rule's name and the detail.
Key = tuple[str, str]


class AlertEngine:
    """Judges rules.

    Args:
        rules: those in force.
        hosts: to know which hosts there should be.
        links: who is connected.
        ingest: live samples.
        book: where alerts are kept.
        busy: names of hosts on which an operation is at work.
    """

    def __init__(
        self, rules: list[Rule], hosts: HostRepository, links: Links, ingest: Ingest, book: Book,
        busy: Callable[[], set[str]],
    ) -> None:  # fmt: skip
        self.rules = rules
        self._hosts = hosts
        self._links = links
        self._ingest = ingest
        self._book = book
        self._busy = busy
        self._busy_ms: dict[str, int] = {}
        # By the host's uid.
        self._watched: dict[str, dict[Key, _Watched]] = {}
        self._known: dict[str, HostRow] = {}
        self._changing = asyncio.Lock()

    def must_know(self, name: str) -> None:
        """Make sure that a rule exists; SolwardError RULE_NOT_FOUND if it does not. Every rule: the empty name."""
        names = sorted(rule.name for rule in self.rules)
        if name and name not in names:
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "RULE_NOT_FOUND", f"there is no rule {name}; there are {', '.join(names)}",
                {"rule": name},
            )  # fmt: skip

    async def start(self) -> None:
        """Take up what fired when the last process ended."""
        await self._book.load()
        await self._learn_hosts()
        rules = {rule.name: rule for rule in self.rules}
        for alert in list(self._book.open.values()):
            if alert.subject == pb.ALERT_SUBJECT_CONTROL_PLANE:
                continue
            rule, host = rules.get(alert.rule), self._known.get(alert.host.removeprefix("hosts/"))
            if rule is None or host is None:
                await self._book.put([_resolved(alert, now_ms())])
                continue
            watched = self._watch(rule, host, alert.detail)
            watched.alert, watched.evidence = alert, alert.evidence
            watched.track = Track(
                alert.start_time.ToMilliseconds(), alert.fire_time.ToMilliseconds(), now_ms(), 0, alert.times
            )

    async def run(self) -> None:
        """Look until cancelled; a store that is down for a moment is tried again."""
        while True:
            began = time.monotonic()
            try:
                await self.tick(now_ms())
            except Exception:
                log.exception("alerts could not be judged; trying again")
            pause = LOOK_SECONDS if len(self._known) <= HOSTS_AT_ONCE else HOSTS_AGAIN_SECONDS
            await asyncio.sleep(max(0.1, pause - (time.monotonic() - began)))

    async def tick(self, now: int) -> None:
        """Judge every rule on every host once."""
        await self._learn_hosts()
        self._busy_ms.update(dict.fromkeys(self._busy(), now))
        async with self._changing:
            changed: list[pb.Alert] = []
            for number, host in enumerate(list(self._known.values())):
                changed += self._judge(host, now)
                if number % 50 == 49:
                    await asyncio.sleep(0)
            changed += self._forget_gone(now)
            await self._book.put(changed)
            await self._book.expire(now)
            await self._book.save_rest()

    async def take(self, host: str, events: Iterable[link_pb2.Event]) -> None:
        """Take a host's findings in; an alert fires at once where one is due.

        Args:
            host: the host's name.
            events: what its agent found.
        """
        now = now_ms()
        async with self._changing:
            row = self._known.get(host)
            if row is None:
                await self._learn_hosts()
                row = self._known.get(host)
            if row is None:
                return
            changed = [alert for event in events for alert in self._found(row, event, now)]
            await self._book.put(changed)

    def _found(self, host: HostRow, event: link_pb2.Event, now: int) -> Iterable[pb.Alert]:
        for rule in self.rules:
            if rule.events is None or not rule.events.matches(event) or not self._may_judge(rule, host, now):
                continue
            watched = self._watch(rule, host, self._detail(rule, host, event.kind))
            watched.findings.append((now, max(1, event.times)))
            watched.evidence, watched.summary, watched.advice = event.message, event.meaning, event.advice
            yield from self._observe(watched, self._look(watched, now), now)

    def _detail(self, rule: Rule, host: HostRow, kind: str) -> str:
        """Give the detail that a finding counts under; kinds that an agent makes up without end share one."""
        mine = self._watched.get(host.uid, {})
        known = [detail for name, detail in mine if name == rule.name]
        return kind if kind in known or len(known) < MAX_DETAILS else OTHER

    def _judge(self, host: HostRow, now: int) -> list[pb.Alert]:
        changed: list[pb.Alert] = []
        for rule in self.rules:
            if rule.events is None:
                watched = self._watch(rule, host, "")
                changed += self._observe(watched, self._look(watched, now), now)
        mine = self._watched.get(host.uid, {})
        for key, watched in [each for each in mine.items() if each[1].rule.events]:
            changed += self._observe(watched, self._look(watched, now), now)
            if watched.track.idle and not watched.findings and now - watched.track.resolve_ms > FORGET_MS:
                del mine[key]
        return changed

    def _look(self, watched: _Watched, now: int) -> Look:
        rule, host = watched.rule, watched.host
        if not self._may_judge(rule, host, now):
            return Look(None, "")
        known = self._links.get(host.uid)
        connected = known is not None and known.connected
        if rule.link:
            if rule.link.state == "offline":
                return Look(not connected, "no stream is open")
            return Look(self._is_stale(host, now), "no sample came") if connected else Look(False, "")
        if rule.events:
            while watched.findings and now - watched.findings[0][0] > rule.events.window_seconds * 1000:
                watched.findings.popleft()
            came = sum(times for _, times in watched.findings)
            return Look(came >= rule.events.times, watched.evidence)
        if not connected or self._is_stale(host, now) or rule.series is None:
            return Look(None, "")
        return Look(*series_holds(rule.series, self._ingest.feeds[host.name].ring))

    def _may_judge(self, rule: Rule, host: HostRow, now: int) -> bool:
        if not rule.during_operations and now - self._busy_ms.get(host_name(host.name), 0) < SETTLE_MS:
            return False
        mine = self._watched.get(host.uid, {})
        return not any((other := mine.get((name, ""))) and other.track.start_ms for name in rule.hold)

    def _is_stale(self, host: HostRow, now: int) -> bool:
        feed = self._ingest.feeds.get(host.name)
        return feed is None or now - feed.ring.received_ms > STALE_MS

    def _observe(self, watched: _Watched, look: Look, now: int) -> list[pb.Alert]:
        same = watched.track.same(watched.rule, now)
        change = watched.track.observe(watched.rule, look.holds, now)
        if change is Change.NOTHING:
            return []
        if change is Change.FIRED:
            name = watched.alert.name if watched.alert and same else f"alerts/{uuid.uuid4().hex}"
            watched.alert = _fired(watched, name, look.evidence)
            log.warning("alert", rule=watched.rule.name, host=watched.host.name, severity=watched.rule.severity,
                        subject=watched.rule.subject, detail=watched.detail)  # fmt: skip
        if watched.alert is None:
            return []
        alert = watched.alert
        alert.unsure = watched.track.unsure
        alert.evidence = look.evidence or alert.evidence
        alert.last_time.FromMilliseconds(watched.track.last_ms)
        return [_resolved(alert, now)] if change is Change.RESOLVED else [alert]

    def _watch(self, rule: Rule, host: HostRow, detail: str) -> _Watched:
        mine = self._watched.setdefault(host.uid, {})
        watched = mine.get((rule.name, detail))
        if watched is None:
            watched = mine[rule.name, detail] = _Watched(rule, host, detail)
        watched.host = host
        return watched

    async def _learn_hosts(self) -> None:
        self._known = {row.name: row for row in await self._hosts.page("", 100_000) if row.state == ACTIVE}

    def _forget_gone(self, now: int) -> list[pb.Alert]:
        """Resolve what fires on a host that was cut off: it is not ours to watch any more."""
        uids = {row.uid for row in self._known.values()}
        gone = [uid for uid in self._watched if uid not in uids]
        ended = [each for mine in map(self._watched.pop, gone) for each in mine.values() if each.track.fire_ms]
        return [_resolved(watched.alert, now) for watched in ended if watched.alert]


def _fired(watched: _Watched, name: str, evidence: str) -> pb.Alert:
    rule, track = watched.rule, watched.track
    return pb.Alert(
        name=name, rule=rule.name, host=host_name(watched.host.name), group=watched.host.host_group,
        detail=watched.detail, subject=SUBJECTS[rule.subject], severity=SEVERITIES[rule.severity],
        state=pb.ALERT_STATE_FIRING, evidence=evidence,
        summary=watched.summary or rule.summary, advice=watched.advice or rule.advice,
        start_time=timestamp(track.start_ms), fire_time=timestamp(track.fire_ms), last_time=timestamp(track.last_ms),
        times=track.times,
    )  # fmt: skip


def _resolved(alert: pb.Alert, now: int) -> pb.Alert:
    alert.state, alert.unsure = pb.ALERT_STATE_RESOLVED, False
    alert.resolve_time.FromMilliseconds(now)
    return alert
