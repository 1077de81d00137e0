"""An OTLP/gRPC collector that keeps what it is sent, to be looked at."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def plain(pairs: Any) -> dict[str, Any]:
    """Read attributes."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}


@dataclass(frozen=True)
class SeenSpan:
    """One span, with the resource that it came from."""

    span: Span
    resource: dict[str, Any]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.span.name

    @property
    def id(self) -> str:
        """Its id."""
        return self.span.span_id.hex()

    @property
    def parent(self) -> str:
        """Its parent's id; empty for a root."""
        return self.span.parent_span_id.hex()

    @property
    def failed(self) -> bool:
        """Whether its status is an error."""
        return self.span.status.code == Status.STATUS_CODE_ERROR

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes."""
        return plain(self.span.attributes)


@dataclass
class OtlpPeer:
    """What came.

    Attributes:
        refuse_with: the status that every request ends with; None: it is taken.
        sizes: of each request, in bytes.
    """

    port: int = 0
    spans: list[SeenSpan] = field(default_factory=list)
    metrics: dict[str, Metric] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)
    lines: list[LogRecord] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    refuse_with: grpc.StatusCode | None = None
    asked: int = 0

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def trace(self, trace_id: str) -> list[SeenSpan]:
        """Give the spans of one trace, in the order in which they began."""
        found = [seen for seen in self.spans if seen.span.trace_id.hex() == trace_id]
        return sorted(found, key=lambda seen: seen.span.start_time_unix_nano)

    async def until(self, holds: Callable[[], object], seconds: float = 15.0) -> None:
        """Wait until something holds of what came."""
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.05)

    async def met(self, request: Any, context: Any) -> None:
        """Note a request, or refuse it."""
        self.asked += 1
        if self.refuse_with is not None:
            await context.abort(self.refuse_with, "not now")
        self.sizes.append(request.ByteSize())
        self.metadata.append(dict(context.invocation_metadata()))


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, peer: OtlpPeer) -> None:
        self._peer = peer

    async def Export(self, request: Any, context: Any) -> trace_service_pb2.ExportTraceServiceResponse:
        await self._peer.met(request, context)
        for whole in request.resource_spans:
            resource = plain(whole.resource.attributes)
            self._peer.resources.append(resource)
            self._peer.spans += [SeenSpan(span, resource) for scope in whole.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, peer: OtlpPeer) -> None:
        self._peer = peer

    async def Export(self, request: Any, context: Any) -> metrics_service_pb2.ExportMetricsServiceResponse:
        await self._peer.met(request, context)
        for whole in request.resource_metrics:
            self._peer.resources.append(plain(whole.resource.attributes))
            self._peer.metrics |= {metric.name: metric for scope in whole.scope_metrics for metric in scope.metrics}
        return metrics_service_pb2.ExportMetricsServiceResponse()


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, peer: OtlpPeer) -> None:
        self._peer = peer

    async def Export(self, request: Any, context: Any) -> logs_service_pb2.ExportLogsServiceResponse:
        await self._peer.met(request, context)
        for whole in request.resource_logs:
            self._peer.resources.append(plain(whole.resource.attributes))
            self._peer.lines += [record for scope in whole.scope_logs for record in scope.log_records]
        return logs_service_pb2.ExportLogsServiceResponse()


@asynccontextmanager
async def otlp_peer(port: int = 0, credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[OtlpPeer]:
    """Run a collector, with TLS where it is given credentials."""
    peer = OtlpPeer()
    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(peer), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(peer), server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(_Logs(peer), server)
    address = f"127.0.0.1:{port}"
    peer.port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield peer
    finally:
        await server.stop(0)
