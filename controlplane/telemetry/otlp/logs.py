"""The control plane's own log lines as OTLP log records, as the JSON log has them."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.sdk.resources import Resource
from structlog.typing import EventDict

from common import traceparent
from common.traceparent import Trace
from controlplane.telemetry.otlp.outbox import Outbox
from controlplane.telemetry.otlp.resource import SCHEMA, on_wire

# https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
_SEVERITY = {"info": 9, "warning": 13, "error": 17, "exception": 17, "critical": 21}
# Of a line or an attribute, in characters.
_MOST_TEXT = 8192
_MOST_ATTRIBUTES = 32
_OWN = ("event", "level", "timestamp")


class Line(NamedTuple):
    """One line, as far as it is sent."""

    unix_ns: int
    level: str
    text: str
    logger: str
    attributes: dict[str, str | int | float | bool]
    trace: Trace | None


class Logs:
    """A processor of structlog that keeps a copy of each line.

    Nothing is sent while a line is written, so that what the sending itself logs cannot come round again.

    Args:
        resource: this control plane.
    """

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self.outbox: Outbox[Line] = Outbox("logs", self._encode)

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        """Take a line, and write on it which trace it is of."""
        trace = traceparent.current.get()
        level = str(event.get("level", method))
        if level in _SEVERITY:
            text = _bounded(event.get("event", ""))
            self.outbox.add(
                Line(time.time_ns(), level, str(text), str(getattr(logger, "name", "")), _attributes(event), trace)
            )
        if trace is not None:
            event = {**event, "trace_id": trace.trace_id, "span_id": trace.span_id}
        return event

    def _encode(self, lines: list[Line]) -> bytes:
        request = ExportLogsServiceRequest()
        whole = request.resource_logs.add(resource=on_wire(self._resource), schema_url=SCHEMA)
        scopes: dict[str, Any] = {}
        for line in lines:
            if line.logger not in scopes:
                scope = InstrumentationScope(name=line.logger or "solward")
                scopes[line.logger] = whole.scope_logs.add(scope=scope, schema_url=SCHEMA)
            record = scopes[line.logger].log_records.add(
                time_unix_nano=line.unix_ns, observed_time_unix_nano=line.unix_ns,
                severity_number=_SEVERITY[line.level], severity_text=line.level.upper(),
            )  # fmt: skip
            record.body.string_value = line.text
            for key, value in line.attributes.items():
                _set(record.attributes.add(key=key).value, value)
            if line.trace is not None:
                record.trace_id, record.span_id = bytes.fromhex(line.trace.trace_id), bytes.fromhex(line.trace.span_id)
                record.flags = 1
        return request.SerializeToString()


def _attributes(event: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    found = {key: _bounded(value) for key, value in event.items() if key not in _OWN}
    if "exception" in found:
        found["exception.stacktrace"] = found.pop("exception")
    return dict(list(found.items())[:_MOST_ATTRIBUTES])


def _bounded(value: object) -> str | int | float | bool:
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    return str(value).encode("utf-8", "replace").decode()[:_MOST_TEXT]


def _set(any_value: Any, value: str | int | float | bool) -> None:
    if isinstance(value, bool):
        any_value.bool_value = value
    elif isinstance(value, int):
        any_value.int_value = value
    elif isinstance(value, float):
        any_value.double_value = value
    else:
        any_value.string_value = value
