"""Alertmanager: every alert that fires, sent again each minute while it does, and once more when it is over.

Wire: POST /api/v2/alerts (Alertmanager's api/v2/openapi.yaml). An alert that is not sent again ends there by itself
after `LASTING_S`, also when this control plane is gone.
"""

import asyncio
import datetime as dt
from typing import Any

import aiohttp
import structlog
from prometheus_client import Counter
from solward.alerts.v1 import alerts_pb2 as pb
from solward.hosts.v1 import link_pb2
from yarl import URL

from common.breaker import Breaker, BreakerOpen
from common.clock import now_ms
from common.errors import SolwardError
from controlplane.alerts.book import Book

log = structlog.get_logger(__name__)

CALL_SECONDS = 10.0
# A change is told at once; what does not change is told again this often.
AGAIN_S = 60.0
# After a failure it is tried again this soon, and the breaker decides.
RETRY_S = 2.0
LASTING_S = 4 * AGAIN_S
# In one request; a fleet has more only where everything is down.
MOST_AT_ONCE = 500
# Ends that wait for an Alertmanager that is away; what is forgotten here ends there by itself.
MOST_ENDED = 10_000
_SENT = Counter("solward_alertmanager_alerts", "Alerts sent to Alertmanager, by what became of them.", ("outcome",))

Labels = tuple[tuple[str, str], ...]


class Alertmanager:
    """Sends the book's alerts to one Alertmanager; those that are silenced here are over for it.

    Args:
        book: where the alerts are.
        url: the Alertmanager's own, with its password if it has one; a secret. Empty: nothing is sent.
        cluster: the label that tells this fleet from others.
    """

    def __init__(self, book: Book, url: str, cluster: str) -> None:
        self._book = book
        self._url = URL(url) / "api/v2/alerts" if url else None
        self._cluster = cluster
        self._breaker = Breaker("Alertmanager")
        self._firing: dict[Labels, pb.Alert] = {}
        self._ended: dict[Labels, pb.Alert] = {}

    async def run(self) -> None:
        """Send until cancelled."""
        if self._url is None:
            return
        changed = asyncio.Event()
        watching = asyncio.create_task(self._watch(changed))
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS)) as session:
                await self._send_for_ever(session, self._url, changed)
        finally:
            self._breaker.close()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _send_for_ever(self, session: aiohttp.ClientSession, url: URL, changed: asyncio.Event) -> None:
        while True:
            changed.clear()
            if not await self._send_all(session, url):
                # While nothing gets through, a change is no reason to try sooner.
                await asyncio.sleep(RETRY_S)
                continue
            try:
                async with asyncio.timeout(AGAIN_S):
                    await changed.wait()
            except TimeoutError:
                continue

    async def _watch(self, changed: asyncio.Event) -> None:
        while True:
            try:
                async for _ in self._book.watch(lambda _: True):
                    changed.set()
            except SolwardError:
                # Too slow for a burst of changes; what is sent is the book as it stands, not the changes.
                log.warning("the watch of alerts begins again")
                changed.set()

    async def _send_all(self, session: aiohttp.ClientSession, url: URL) -> bool:
        firing = {labels_of(alert, self._cluster): alert for alert in self._book.open.values() if not alert.silence}
        for labels, alert in self._firing.items():
            if labels not in firing and len(self._ended) < MOST_ENDED:
                self._ended[labels] = alert
        self._firing = firing
        for labels in firing:
            self._ended.pop(labels, None)
        ends = dt.datetime.fromtimestamp(now_ms() / 1000 + LASTING_S, dt.UTC)
        waiting = [(labels, _payload(labels, alert, ends)) for labels, alert in firing.items()]
        over = dt.datetime.fromtimestamp(now_ms() / 1000, dt.UTC)
        waiting += [(labels, _payload(labels, alert, over)) for labels, alert in self._ended.items()]
        for start in range(0, len(waiting), MOST_AT_ONCE):
            part = waiting[start : start + MOST_AT_ONCE]
            if not await self._send(session, url, [payload for _, payload in part]):
                return False
            for labels, _ in part:
                self._ended.pop(labels, None)
        return True

    async def _send(self, session: aiohttp.ClientSession, url: URL, payloads: list[dict[str, Any]]) -> bool:
        try:
            self._breaker.before()
            async with session.post(url, json=payloads, allow_redirects=False) as answer:
                status = answer.status
        except BreakerOpen:
            return False
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._failed(len(payloads), type(error).__name__)
            return False
        if status not in (200, 400):
            self._failed(len(payloads), f"HTTP {status}")
            return False
        self._breaker.succeeded()
        _SENT.labels("sent" if status == 200 else "refused").inc(len(payloads))
        if status == 400:
            # What it calls bad it will call bad again; the rest must not wait for it.
            log.error("Alertmanager calls alerts bad", alerts=len(payloads))
        return True

    def _failed(self, count: int, why: str) -> None:
        self._breaker.failed()
        _SENT.labels("failed").inc(count)
        log.warning("Alertmanager did not take alerts", alerts=count, why=why)


def labels_of(alert: pb.Alert, cluster: str) -> Labels:
    """Give the labels that make an alert itself for Alertmanager; values are those of ctl alerts."""
    subject = pb.AlertSubject.Name(alert.subject).removeprefix("ALERT_SUBJECT_").lower()
    severity = link_pb2.Severity.Name(alert.severity).removeprefix("SEVERITY_").lower()
    labels = {
        "alertname": "".join(map(str.capitalize, alert.rule.split("_"))), "cluster": cluster, "severity": severity,
        "subject": subject, "host": alert.host.removeprefix("hosts/"), "detail": alert.detail,
    }  # fmt: skip
    # An empty label is none.
    return tuple((name, value) for name, value in labels.items() if value)


def _payload(labels: Labels, alert: pb.Alert, ends: dt.datetime) -> dict[str, Any]:
    told = {"summary": alert.summary, "description": alert.evidence, "advice": alert.advice, "alert": alert.name,
            "acknowledged_by": alert.acknowledged_by}  # fmt: skip
    return {
        "labels": dict(labels),
        "annotations": {name: value for name, value in told.items() if value},
        "startsAt": alert.fire_time.ToDatetime(dt.UTC).isoformat(),
        "endsAt": ends.isoformat(),
    }
