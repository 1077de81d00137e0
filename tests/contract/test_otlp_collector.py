"""What is sent, read by a collector that is not ours."""

import time
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Gauge

from common import logs, traceparent
from controlplane.telemetry.fleet_page import FleetPage
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.otlp.running import Otlp
from controlplane.telemetry.otlp.settings import OtlpSettings
from controlplane.telemetry.otlp.spans import Ended
from controlplane.telemetry.prometheus import Whole
from tests.support.rotel import rotel_server


class Page:
    """One gauge of its own beside the process's registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        Gauge("solward_toy", "A toy.", ("colour",), registry=self._registry).labels("red").set(3.5)
        self._fleet = FleetPage(Ingest(900))

    async def read(self) -> Whole:
        return Whole(self._fleet.read(), list(self._registry.collect()))


async def test_a_collector_of_others_reads_traces_metrics_and_logs(tmp_path: Path) -> None:
    logs.configure("info", json=True)
    try:
        async with rotel_server(tmp_path) as collector:
            otlp = Otlp(OtlpSettings(endpoint=collector.endpoint, metrics_seconds=1, environment="lab"))
            async with otlp.running(Page()):
                trace, now = traceparent.begin(), time.time_ns()
                otlp.traces.add(
                    Ended("toy.v1.Toys/Play", trace, "", now - 5_000_000, now, {"rpc.system.name": "grpc"}, "GONE")
                )
                structlog.get_logger("toy").warning("a toy line", colour="red")
                words = (trace.trace_id, "toy.v1.Toys/Play", "GONE", "solward_toy", "a toy line", "lab")
                for word in words:
                    await collector.until(lambda said, word=word: word in said)
                assert all(word in collector.log for word in words)
    finally:
        structlog.reset_defaults()
