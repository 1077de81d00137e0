"""Tracing and metrics: every call is timed, counted by outcome, and a span where it is traced.

A traced call's time names its span as an exemplar, which OpenMetrics shows.
"""

import time
from typing import NamedTuple

from opentelemetry.trace import SpanKind
from prometheus_client import Histogram
from solward.policy.v1 import policy_pb2

from common import traceparent
from common.errors import SolwardError
from common.traceparent import Trace
from controlplane.guard.chain import Link
from controlplane.guard.context import Call
from controlplane.telemetry.otlp.spans import Ended, Traces

_CALLS = Histogram(
    "solward_grpc_call_seconds",
    "Time to serve a call, by method and status code.",
    ("method", "code"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
# Of a server's span these are errors; the others are the caller's own.
# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
_ERRORS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


class _Began(NamedTuple):
    seconds: float
    unix_ns: int
    trace: Trace
    parent: Trace | None


class Observe(Link):
    """Measures each call; streams are timed from opening to end.

    Args:
        traces: where spans go; None where nothing is traced.
    """

    def __init__(self, traces: Traces | None = None) -> None:
        self._traces = traces if traces is not None and traces.on else None
        self._started: dict[str, float | _Began] = {}

    async def enter(self, call: Call) -> None:
        """Start the clock and the span, under the caller's trace where it sent one."""
        self._started[call.id] = time.perf_counter()
        # A stream up is an agent's link or a person's reflection: it lasts for days, or says nothing.
        if self._traces is None or call.rule.client_streaming:
            return
        reads = call.rule.policy.risk == policy_pb2.RISK_READ
        begun = self._traces.root(call.metadata.get(traceparent.KEY, ""), reads=reads)
        if begun is None:
            return
        self._started[call.id] = _Began(time.perf_counter(), time.time_ns(), *begun)
        traceparent.current.set(begun[0])
        call.send_after(traceparent.RESPONSE_KEY, str(begun[0]))

    async def leave(self, call: Call, error: BaseException | None) -> None:
        """Stop both."""
        began = self._started.pop(call.id)
        code = _code(error)
        seconds = began if isinstance(began, float) else began.seconds
        kept = isinstance(began, _Began) and self._end(call, began, code, error)
        exemplar = None
        if kept and isinstance(began, _Began):
            exemplar = {"trace_id": began.trace.trace_id, "span_id": began.trace.span_id}
        _CALLS.labels(call.rule.name, code).observe(time.perf_counter() - seconds, exemplar)

    def _end(self, call: Call, began: _Began, code: str, error: BaseException | None) -> bool:
        """Hand the span over; tells whether it is kept."""
        traces = self._traces
        stranger = call.principal.kind == policy_pb2.PRINCIPAL_KIND_ANONYMOUS
        # Whoever is not known does not decide what is kept here.
        if traces is None or (stranger and began.parent is not None and not traces.chosen(reads=True)):
            return False
        kind = policy_pb2.PrincipalKind.Name(call.principal.kind).removeprefix("PRINCIPAL_KIND_").lower()
        attributes = {
            "rpc.system.name": "grpc", "rpc.method": call.rule.name, "rpc.response.status_code": code,
            "solward.principal.kind": kind,
        }  # fmt: skip
        if isinstance(error, SolwardError):
            attributes["solward.reason"] = error.reason
        failed = code if code in _ERRORS else None
        if failed:
            attributes["error.type"] = failed
        parent_id = began.parent.span_id if began.parent else ""
        traces.add(
            Ended(
                call.rule.name, began.trace, parent_id, began.unix_ns, time.time_ns(), attributes, failed,
                SpanKind.SERVER, began.parent is not None,
            )
        )  # fmt: skip
        return True


def _code(error: BaseException | None) -> str:
    if error is None:
        return "OK"
    if isinstance(error, SolwardError):
        return error.code.name
    return "INTERNAL" if isinstance(error, Exception) else "CANCELLED"
