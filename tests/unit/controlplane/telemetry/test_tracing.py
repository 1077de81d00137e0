"""Spans on their way to a collector."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from common.breaker import breakers
from controlplane.telemetry.tracing import Patient


class Collector(SpanExporter):
    """In place of the exporter: fails as long as it is told to."""

    def __init__(self) -> None:
        self.down = True
        self.asked = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked += 1
        return SpanExportResult.FAILURE if self.down else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.asked = -1


def shown() -> list[str]:
    return [one.state for one in breakers() if one.name == "the OTLP collector"]


def test_a_collector_that_does_not_answer_is_left_alone_and_shown() -> None:
    collector = Collector()
    patient = Patient(collector)
    try:
        results = [patient.export([]) for _ in range(5)]
        assert results == [SpanExportResult.FAILURE] * 5
        assert (collector.asked, shown()) == (2, ["open"])
    finally:
        patient.shutdown()
    assert (collector.asked, shown()) == (-1, [])


def test_a_collector_that_answers_is_asked_each_time() -> None:
    collector = Collector()
    patient = Patient(collector)
    collector.down = False
    assert [patient.export([]) for _ in range(3)] == [SpanExportResult.SUCCESS] * 3
    assert (collector.asked, shown()) == (3, ["closed"])
    patient.shutdown()
