"""Spans of a command, as plain tuples: the control plane exports them, so that the agent carries no exporter."""

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from solward.hosts.v1 import link_pb2

from common import traceparent
from common.traceparent import Trace

# Of one command; what is beyond is not recorded.
MOST_SPANS = 32
# Of a reason or an attribute, in characters.
MOST_TEXT = 128
# Commands whose spans are still at hand when they are asked for again.
KEPT = 16


class Span(NamedTuple):
    """One span that has ended; `reason` is empty where it went well."""

    span_id: str
    parent_id: str
    name: str
    start_ns: int
    end_ns: int
    reason: str
    attributes: dict[str, str]


class Recorder:
    """Records the spans of one command.

    Args:
        command: the span that the command came from.
    """

    def __init__(self, command: Trace) -> None:
        self._command = command
        self._open = [command.span_id]
        self._reasons: dict[str, str] = {}
        self._spans: list[Span] = []

    @contextmanager
    def span(self, name: str, attributes: dict[str, str]) -> Iterator[None]:
        """Record a span; what leaves it by raising is its reason."""
        span_id, parent_id, start_ns = traceparent.new_span_id(), self._open[-1], time.time_ns()
        self._open.append(span_id)
        try:
            yield
        except BaseException as error:
            self._reasons.setdefault(span_id, str(getattr(error, "reason", type(error).__name__)))
            raise
        finally:
            self._open.remove(span_id)
            reason = self._reasons.pop(span_id, "")[:MOST_TEXT]
            if len(self._spans) < MOST_SPANS:
                self._spans.append(Span(span_id, parent_id, name, start_ns, time.time_ns(), reason, attributes))

    def fail(self, reason: str) -> None:
        """Say why the innermost open span did not go well."""
        self._reasons[self._open[-1]] = reason or "FAILED"

    def report(self, operation: str, step: str) -> link_pb2.SpanReport:
        """Give what was recorded, as the link does."""
        spans = [
            link_pb2.AgentSpan(
                span_id=span.span_id, parent_id=span.parent_id, name=span.name, start_unix_ns=span.start_ns,
                end_unix_ns=span.end_ns, reason=span.reason,
                attributes={key: value[:MOST_TEXT] for key, value in span.attributes.items()},
            )
            for span in self._spans
        ]  # fmt: skip
        return link_pb2.SpanReport(operation=operation, step=step, traceparent=str(self._command), spans=spans)


class Recent:
    """The spans of the last commands: one whose receipt was lost is asked for again, and its spans are, too."""

    def __init__(self) -> None:
        self._reports: OrderedDict[tuple[str, str], link_pb2.SpanReport] = OrderedDict()

    def keep(self, report: link_pb2.SpanReport) -> link_pb2.SpanReport:
        """Keep a command's spans, and give them with those of its earlier sendings in the same trace."""
        key = (report.operation, report.step)
        earlier = self._reports.pop(key, None)
        if earlier is not None and earlier.traceparent == report.traceparent:
            report.spans.MergeFrom(earlier.spans[: MOST_SPANS - len(report.spans)])
        self._reports[key] = report
        while len(self._reports) > KEPT:
            self._reports.popitem(last=False)
        return report


_recorder: ContextVar[Recorder | None] = ContextVar("solward_spans", default=None)


@contextmanager
def recording(command: link_pb2.Command) -> Iterator[Recorder | None]:
    """Record what the current task does for a command, where its sender traces it."""
    trace = traceparent.parse(command.traceparent)
    recorder = Recorder(trace) if trace and trace.sampled else None
    token = _recorder.set(recorder)
    try:
        yield recorder
    finally:
        _recorder.reset(token)


@contextmanager
def span(name: str, **attributes: str) -> Iterator[None]:
    """Record a span around the block, where the current command is traced."""
    recorder = _recorder.get()
    if recorder is None:
        yield
        return
    with recorder.span(name, attributes):
        yield


def fail(reason: str) -> None:
    """Say why the span that is open did not go well, where the current command is traced."""
    recorder = _recorder.get()
    if recorder is not None:
        recorder.fail(reason)
