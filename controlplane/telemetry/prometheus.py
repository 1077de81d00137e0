"""What Prometheus is shown: Solana metrics of the fleet, and the control plane's own."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from solward.alerts.v1 import alerts_pb2
from solward.hosts.v1 import link_pb2

from common.breaker import breakers
from controlplane.alerts.book import Book
from controlplane.links.registry import Links
from controlplane.telemetry.analysis import Analysis
from controlplane.telemetry.expiries import Expiries, Expiry
from controlplane.telemetry.fleet_page import FleetPage, Seen
from controlplane.telemetry.ingest import OWN, Ingest
from controlplane.telemetry.kept_scores import FLEET
from controlplane.telemetry.kept_scores import scores as known_scores

_BREAKER_STATES = ("closed", "half-open", "open")
_STATES = ("active", "inactive", "failed", "activating", "deactivating", "unknown")


class StateCollector(Collector):
    """Reads at scrape time how hosts, alerts and connections stand."""

    def __init__(self, links: Links, alerts: Book, analysis: Analysis) -> None:
        self._analysis = analysis
        self._alerts = alerts
        self._links = links

    def collect(self) -> Iterator[Metric]:
        """Give every metric of that."""
        yield self._status()
        connected = GaugeMetricFamily("solward_host_connected", "1 while the agent's stream is open.", labels=("host",))
        for known in self._links.known():
            connected.add_metric((known.name,), float(known.connected))
        yield connected
        firing = GaugeMetricFamily(
            "solward_alert_firing", "1 while an alert fires.", labels=("host", "rule", "detail", "severity", "silenced")
        )
        # Two notices of one kind may fire at once, and are one series.
        for labels in dict.fromkeys(map(_alert_labels, self._alerts.open.values())):
            firing.add_metric(labels, 1.0)
        yield firing
        yield _breakers()
        yield from self._health()

    def _health(self) -> Iterator[Metric]:
        scores = GaugeMetricFamily(
            "solana_rpc_health_score", "Health of a JSON-RPC method, 0 to 100.", labels=("host", "method")
        )
        whole = GaugeMetricFamily("solana_rpc_host_health_score", "Health of a host's methods.", labels=("host",))
        unusual = GaugeMetricFamily("solana_rpc_unusual", "1 while a host is unusual.", labels=("host",))
        fleet = GaugeMetricFamily("solana_rpc_fleet_health_score", "Health of all hosts.", labels=())
        families = dict(zip(OWN, (scores, whole, fleet), strict=True))
        for host, (name, labels), value in known_scores(self._analysis):
            about = () if host == FLEET else (host, *(text for _, text in labels))
            families[name].add_metric(about, value)
        for host in self._analysis.scores:
            unusual.add_metric((host,), float(self._analysis.standing(host) is not None))
        yield from (*families.values(), unusual)

    def _status(self) -> Metric:
        status = GaugeMetricFamily(
            "solana_validator_status",
            "State of the validator's unit: 1 for the state it is in; unknown while its agent is not connected.",
            labels=("host", "unit", "state"),
        )
        for host in self._links.known():
            for report in host.units.values():
                now = report.state.active_state if host.connected else "unknown"
                for state in _STATES:
                    status.add_metric((host.name, report.state.unit, state), float(state == now))
        return status


def _alert_labels(alert: alerts_pb2.Alert) -> tuple[str, ...]:
    severity = link_pb2.Severity.Name(alert.severity).removeprefix("SEVERITY_").lower()
    silenced = "true" if alert.silence else "false"
    return alert.host.removeprefix("hosts/"), alert.rule, alert.detail, severity, silenced


def _breakers() -> Metric:
    family = GaugeMetricFamily(
        "solward_breaker_state", "1 for the state that the breaker of a connection is in.", labels=("name", "state")
    )
    for breaker in breakers():
        now = breaker.state
        for state in _BREAKER_STATES:
            family.add_metric((breaker.name, state), float(state == now))
    return family


@dataclass(frozen=True, slots=True)
class Whole:
    """All that a page shows but the process's own metrics, which are read where it is written."""

    seen: Seen
    families: list[Metric]

    def all_families(self) -> list[Metric]:
        """Give every metric beside the fleet's, those of the process too; in any thread."""
        return [*self.families, *REGISTRY.collect()]


class PageSource:
    """Reads what is shown, for whoever scrapes and for whom it is written to.

    Args:
        links: how hosts stand; `alerts`, `expiries` and `analysis` likewise.
        ingest: where the hosts' feeds are.
    """

    def __init__(self, ingest: Ingest, links: Links, alerts: Book, expiries: Expiries, analysis: Analysis) -> None:
        self._state = StateCollector(links, alerts, analysis)
        self._expiries = expiries
        self._fleet = FleetPage(ingest)

    async def read(self) -> Whole:
        """Copy it; on the loop, which writes it."""
        families = [*self._state.collect(), _expiry(await self._expiries.read())]
        return Whole(self._fleet.read(), families)


def _expiry(found: list[Expiry]) -> Metric:
    left = GaugeMetricFamily(
        "solward_certificate_expiry_seconds", "Seconds until a certificate ends.", labels=("kind", "name")
    )
    for kind, name, seconds in found:
        left.add_metric((kind, name), seconds)
    return left
