"""Traces: spans of every call go to an OTLP collector where one is configured."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from common.breaker import Breaker, BreakerOpen


class Patient(SpanExporter):
    """Leaves a collector that does not answer alone for a while; what was to be sent then is lost.

    Args:
        inner: sends, with a deadline and retries of its own.
    """

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        # Its own retries make each failure a long one.
        self._breaker = Breaker("the OTLP collector", failures=2)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, in the exporter's own thread."""
        try:
            self._breaker.before()
        except BreakerOpen:
            return SpanExportResult.FAILURE
        result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._breaker.succeeded()
        else:
            self._breaker.failed()
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._breaker.close()
        self._inner.shutdown()


@contextmanager
def tracing(service: str, endpoint: str) -> Iterator[None]:
    """Export spans to a collector while the block runs.

    Args:
        service: the name that the spans carry.
        endpoint: the collector's OTLP/gRPC address ("http://host:4317"); empty exports nothing.
    """
    if not endpoint:
        yield
        return
    # Imported here, since few installations trace and the exporter is slow to import.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(Patient(OTLPSpanExporter(endpoint=endpoint))))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()
