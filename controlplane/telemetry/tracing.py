"""Traces: spans of every call go to an OTLP collector where one is configured."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


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
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()
