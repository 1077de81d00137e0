"""Tracing and metrics: every call is timed, counted by outcome, and a span where traces are collected.

A call's time names its trace as an exemplar, which OpenMetrics shows.
"""

import time

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from prometheus_client import Histogram

from common.errors import SolwardError
from controlplane.guard.chain import Link
from controlplane.guard.context import Call

_CALLS = Histogram(
    "solward_grpc_call_seconds",
    "Time to serve a call, by method and status code.",
    ("method", "code"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)


class Observe(Link):
    """Measures each call; streams are timed from opening to end."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("solward.controlplane")
        self._started: dict[str, tuple[float, trace.Span]] = {}

    async def enter(self, call: Call) -> None:
        """Start the clock and the span, under the caller's trace where it sent one."""
        parent = propagate.extract(call.metadata) if "traceparent" in call.metadata else otel_context.Context()
        span = self._tracer.start_span(call.rule.name, parent, kind=trace.SpanKind.SERVER)
        self._started[call.id] = (time.perf_counter(), span)

    async def leave(self, call: Call, error: BaseException | None) -> None:
        """Stop both."""
        started, span = self._started.pop(call.id)
        code = _code(error)
        _CALLS.labels(call.rule.name, code).observe(time.perf_counter() - started, _exemplar(span))
        span.set_attribute("rpc.grpc.status", code)
        span.end()


def _exemplar(span: trace.Span) -> dict[str, str] | None:
    """Name the trace that a collector was sent; None where it was sent none."""
    about = span.get_span_context()
    if not (about.is_valid and about.trace_flags.sampled and span.is_recording()):
        return None
    return {"trace_id": trace.format_trace_id(about.trace_id), "span_id": trace.format_span_id(about.span_id)}


def _code(error: BaseException | None) -> str:
    if error is None:
        return "OK"
    if isinstance(error, SolwardError):
        return error.code.name
    return "INTERNAL" if isinstance(error, Exception) else "CANCELLED"
