"""Spans that have ended, of this control plane and of the agents, and which of them are made at all."""

import random
from collections.abc import Mapping
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from common import traceparent
from common.traceparent import Trace
from controlplane.telemetry.otlp.outbox import Outbox
from controlplane.telemetry.otlp.resource import SCHEMA
from controlplane.telemetry.otlp.settings import OtlpSettings

Attributes = Mapping[str, str | int | float | bool]
_SCOPE = InstrumentationScope("solward", schema_url=SCHEMA)
# Of a status, in characters.
_MOST_TEXT = 512


class Ended(NamedTuple):
    """A span that has ended.

    Attributes:
        trace: itself.
        parent_id: the span that it is a part of; empty: it is the root.
        start_ns: when it began, nanoseconds since the epoch.
        end_ns: when it ended.
        error: why it failed; None where it did not.
        remote: whether the parent is of another program.
    """

    name: str
    trace: Trace
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    error: str | None = None
    kind: SpanKind = SpanKind.INTERNAL
    remote: bool = False


class Traces:
    """Decides what is sampled, and takes spans as they end.

    Args:
        settings: whether traces are sent, and the ratios.
        resource: this control plane.
    """

    def __init__(self, settings: OtlpSettings, resource: Resource) -> None:
        self.on = settings.sends("traces")
        self.environment = settings.environment
        self._settings = settings
        self._resource = resource
        self.outbox: Outbox[ReadableSpan] = Outbox("traces", _encode)

    def root(self, text: str, *, reads: bool) -> tuple[Trace, Trace | None] | None:
        """Begin the span of a call, under the caller's where it sent one.

        Args:
            text: the caller's traceparent; empty or malformed: it sent none.
            reads: whether the call changes nothing.

        Returns: the span and its parent; None where it is not sampled.
        """
        if not self.on:
            return None
        parent = traceparent.parse(text) if text else None
        if not (parent.sampled if parent else self.chosen(reads=reads)):
            return None
        return (parent.child(), parent) if parent else (traceparent.begin(), None)

    def chosen(self, *, reads: bool) -> bool:
        """Whether chance picks a call that no caller has decided on."""
        ratio = self._settings.read_ratio if reads else self._settings.sample_ratio
        return random.random() < ratio  # noqa: S311

    def add(self, ended: Ended, resource: Resource | None = None) -> None:
        """Take a span; one of an agent with the agent's resource."""
        if not self.on:
            return
        trace_id = int(ended.trace.trace_id, 16)
        flags = TraceFlags(TraceFlags.SAMPLED)
        parent = SpanContext(trace_id, int(ended.parent_id, 16), ended.remote, flags) if ended.parent_id else None
        status = Status() if ended.error is None else Status(StatusCode.ERROR, ended.error[:_MOST_TEXT])
        self.outbox.add(
            ReadableSpan(
                ended.name,
                SpanContext(trace_id, int(ended.trace.span_id, 16), False, flags),
                parent,
                resource or self._resource,
                dict(ended.attributes),
                kind=ended.kind,
                status=status,
                start_time=ended.start_ns,
                end_time=ended.end_ns,
                instrumentation_scope=_SCOPE,
            )
        )


def _encode(spans: list[ReadableSpan]) -> bytes:
    return encode_spans(spans).SerializeToString()
