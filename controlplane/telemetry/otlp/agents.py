"""The spans of agents: taken for a command that was sent in a trace, and for nothing else."""

import re
from collections import OrderedDict

from opentelemetry.trace import SpanKind
from solward.hosts.v1 import link_pb2

from common import traceparent
from common.traceparent import Trace
from controlplane.telemetry.otlp.resource import agent_resource
from controlplane.telemetry.otlp.spans import Ended, Traces

MOST_SPANS = 64
_MOST_ATTRIBUTES = 8
_MOST_TEXT = 128
_SPAN_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9 ._/-]{1,64}", re.ASCII)
_LATEST_NS = 2**63 - 1
# Spans that were taken lately, and are not taken twice.
_REMEMBERED = 4096


class AgentSpans:
    """Takes the spans of agents.

    Args:
        traces: where they go.
    """

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self._taken: OrderedDict[tuple[str, str], None] = OrderedDict()

    def take(self, asked: str, host: tuple[str, str, str], report: link_pb2.SpanReport) -> int:
        """Export what an agent recorded of a command.

        Its times are its own clock's. What it says is bounded and checked: it can add to the trace that it was asked
        in, below the span that asked, and nowhere else. It says all again where a receipt may have been lost.

        Args:
            asked: the traceparent that the command was sent with.
            host: the host's name and uid, and its agent's version.
            report: as it came.

        Returns: how many of them were taken.
        """
        command = traceparent.parse(asked)
        if command is None or report.traceparent != asked or len(report.spans) > MOST_SPANS:
            return 0
        known = {span.span_id for span in report.spans} | {command.span_id}
        resource = agent_resource(*host, self._traces.environment)
        found = [span for span in report.spans if _is_sound(span, known, command) and self._is_new(command, span)]
        for span in found:
            self._traces.add(_ended(span, command, host[0], report), resource)
        return len(found)

    def _is_new(self, command: Trace, span: link_pb2.AgentSpan) -> bool:
        key = (command.trace_id, span.span_id)
        if key in self._taken:
            return False
        self._taken[key] = None
        if len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)
        return True


def _is_sound(span: link_pb2.AgentSpan, known: set[str], command: Trace) -> bool:
    named = _SPAN_ID.fullmatch(span.span_id) and span.span_id.strip("0") and span.span_id != command.span_id
    timed = 0 < span.start_unix_ns <= span.end_unix_ns <= _LATEST_NS
    placed = span.parent_id in known and span.parent_id != span.span_id
    return bool(named and timed and placed and _NAME.fullmatch(span.name))


def _ended(span: link_pb2.AgentSpan, command: Trace, host: str, report: link_pb2.SpanReport) -> Ended:
    is_first = span.parent_id == command.span_id
    own = sorted(span.attributes.items())[:_MOST_ATTRIBUTES]
    attributes = {f"solward.{key[:_MOST_TEXT]}": value[:_MOST_TEXT] for key, value in own}
    attributes |= {"solward.host": host, "solward.operation": report.operation, "solward.step": report.step}
    if span.reason:
        attributes["error.type"] = span.reason[:_MOST_TEXT]
    return Ended(
        span.name, command._replace(span_id=span.span_id), span.parent_id, span.start_unix_ns, span.end_unix_ns,
        attributes, span.reason or None, SpanKind.CONSUMER if is_first else SpanKind.INTERNAL, is_first,
    )  # fmt: skip
