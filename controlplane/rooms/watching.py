"""What is measured and found: telemetry, what is made of it, and the alerts it raises."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from controlplane.alerts.alertmanager import Alertmanager
from controlplane.alerts.book import Book
from controlplane.alerts.engine import AlertEngine
from controlplane.alerts.findings import Findings
from controlplane.alerts.notices import Notices
from controlplane.links.registry import Links
from controlplane.mev.bus import TOPIC, BundleBus
from controlplane.operations import topic
from controlplane.rooms.records import Records
from controlplane.settings import Settings
from controlplane.telemetry.analysis import Analysis
from controlplane.telemetry.explanations import Explanations
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.kept_scores import keep_scores
from controlplane.telemetry.logs.running import Logs
from controlplane.telemetry.topic_makers import TopicMakers
from controlplane.telemetry.topics import Topics


class Watching:
    """Live telemetry and its analysis, findings, logs and alerts.

    Args:
        busy_hosts: names the hosts on which something was asked for, whose alerts mean less.
    """

    def __init__(self, settings: Settings, records: Records, links: Links, busy_hosts: Callable[[], set[str]]) -> None:
        self.ingest = Ingest(settings.live_seconds, settings.remote_write.counts_natively)
        self.book = Book(records.alerts)
        self.notices = Notices(self.book)
        rules = settings.alerts.in_force()
        self.alerts = AlertEngine(rules, records.hosts, links, self.ingest, self.book, busy_hosts)
        self.logs = Logs(settings.loki, records.events, records.marks, settings.trust_domain)
        self.findings = Findings(records.events, records.alerts, self.alerts, self.logs.feed)
        self.analysis = Analysis(self.ingest, self.alerts.take)
        self.explanations = Explanations(self.ingest)
        self.bundles = BundleBus(time.time_ns() // 1_000)
        makers = TopicMakers(self.ingest, self.analysis, lambda: self.book.open).by_kind()
        self.topics = Topics(makers, pushed=(TOPIC, self.bundles))
        self.topics.add(topic.TOPIC, topic.OperationsTopic(records.operations).make)
        self.alertmanager = Alertmanager(self.book, settings.alertmanager_url.get_secret_value(), settings.trust_domain)

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Give what goes on in the background."""
        return [
            self.alerts.run(), self.findings.run(), self.alertmanager.run(),
            self.analysis.run(), self.explanations.run(), keep_scores(self.analysis, self.ingest), self.logs.run(),
        ]  # fmt: skip
