"""Log lines as OTLP records."""

from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from common import logs, traceparent
from common.traceparent import Trace
from controlplane.telemetry.otlp.logs import Logs
from controlplane.telemetry.otlp.resource import own_resource
from tests.peers.otlp import plain

TRACE = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


@pytest.fixture
def taken() -> Iterator[Logs]:
    logs.configure("debug", json=True)
    made = Logs(own_resource(""))
    with logs.tapped(made):
        yield made
    structlog.reset_defaults()


def sent(made: Logs) -> list[LogRecord]:
    request = ExportLogsServiceRequest.FromString(made._encode(list(made.outbox._waiting)))
    return [record for scope in request.resource_logs[0].scope_logs for record in scope.log_records]


def test_lines_become_records_by_the_data_model(taken: Logs) -> None:
    log = structlog.get_logger("controlplane.toy")
    log.debug("not sent")
    log.info("began", host="sol-1", count=3, share=0.5, well=True, big=2**70, bad="\ud800", many=["a"])
    log.warning("went on")
    log.error("ended")
    records = sent(taken)
    assert [(one.severity_number, one.severity_text) for one in records] == [
        (9, "INFO"), (13, "WARNING"), (17, "ERROR"),
    ]  # fmt: skip
    assert records[0].body.string_value == "began"
    assert plain(records[0].attributes) == {
        "host": "sol-1", "count": 3, "share": 0.5, "well": True, "big": str(2**70), "bad": "?", "many": "['a']",
    }  # fmt: skip
    assert records[0].time_unix_nano > 0
    assert records[0].trace_id == b""


def test_a_line_says_its_trace_here_and_there(taken: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    token = traceparent.current.set(TRACE)
    try:
        structlog.get_logger().info("within")
    finally:
        traceparent.current.reset(token)
    (record,) = sent(taken)
    assert (record.trace_id.hex(), record.span_id.hex(), record.flags) == (TRACE.trace_id, TRACE.span_id, 1)
    assert TRACE.trace_id in capsys.readouterr().err


def test_failures_carry_their_traceback_and_long_ones_are_cut(taken: Logs) -> None:
    try:
        raise ValueError("x" * 100_000)
    except ValueError:
        structlog.get_logger().exception("failed")
    (record,) = sent(taken)
    assert record.severity_number == 17
    trace = plain(record.attributes)["exception.stacktrace"]
    assert "test_logs.py" in trace
    assert len(trace) <= 8192
