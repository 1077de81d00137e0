"""Spans of operations: made of what is stored, so that every life of the control plane makes the same."""

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from solward.operations.v1 import operations_pb2 as pb

from common.clock import timestamp
from controlplane.operations.tracing import OperationSpans, operation_span, step_span
from controlplane.telemetry.otlp.resource import own_resource
from controlplane.telemetry.otlp.settings import OtlpSettings
from controlplane.telemetry.otlp.spans import Traces

ASKED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def operation(**changes: object) -> pb.Operation:
    made = pb.Operation(
        name="operations/1", kind="validator.restart", host="hosts/sol-1", state=pb.OPERATION_STATE_RUNNING,
        traceparent=ASKED, create_time=timestamp(1000),
        steps=[pb.Step(id="check", start_time=timestamp(1100)), pb.Step(id="act", start_time=timestamp(1200))],
    )  # fmt: skip
    made.MergeFrom(pb.Operation(**changes))  # type: ignore[arg-type]
    return made


def traces() -> Traces:
    return Traces(OtlpSettings(endpoint="http://localhost:4317"), own_resource(""))


def ended(made: Traces) -> list[ReadableSpan]:
    return list(made.outbox._waiting)


def after(before: pb.Operation) -> pb.Operation:
    made = pb.Operation()
    made.CopyFrom(before)
    return made


def test_steps_and_the_whole_end_once_each_under_their_parents() -> None:
    made = traces()
    spans, first = OperationSpans(made), operation()
    second = after(first)
    second.steps[0].verdict = pb.VERDICT_PASS
    second.steps[0].end_time.FromMilliseconds(1150)
    spans.changed(first, second)
    third = after(second)
    third.steps[1].verdict, third.steps[1].message = pb.VERDICT_FAIL, "NOT_ON_ALLOWLIST: this host does not let it"
    third.steps[1].end_time.FromMilliseconds(1300)
    third.state = pb.OPERATION_STATE_FAILED
    third.error.message = "act: NOT_ON_ALLOWLIST"
    third.end_time.FromMilliseconds(1400)
    spans.changed(second, third)
    spans.changed(third, after(third))
    check, act, whole = ended(made)
    assert [one.name for one in (check, act, whole)] == ["step check", "step act", "validator.restart"]
    assert [one.status.status_code for one in (check, act, whole)] == [
        StatusCode.UNSET, StatusCode.ERROR, StatusCode.ERROR,
    ]  # fmt: skip
    assert (act.attributes or {})["error.type"] == "NOT_ON_ALLOWLIST"
    assert (check.start_time, check.end_time) == (1_100_000_000, 1_150_000_000)
    assert check.parent is not None
    assert whole.parent is not None
    assert whole.context is not None
    assert check.parent.span_id == whole.context.span_id
    assert f"{whole.parent.span_id:016x}" == "b7ad6b7169203331"


def test_a_span_has_the_same_name_in_every_life_and_another_in_every_attempt() -> None:
    one, other = operation(), operation()
    assert operation_span(one) == operation_span(other)
    assert step_span(one, one.steps[1]) == step_span(other, other.steps[1])
    other.steps[1].figures["attempt"] = "1"
    assert step_span(one, one.steps[1]) != step_span(other, other.steps[1])
    other.retries = 1
    assert operation_span(one) != operation_span(other)


def test_an_operation_that_nobody_traces_makes_no_span() -> None:
    made = traces()
    before = operation()
    before.traceparent = ""
    ending = after(before)
    ending.end_time.FromMilliseconds(5000)
    OperationSpans(made).changed(before, ending)
    assert ended(made) == []
    assert operation_span(before) is None
