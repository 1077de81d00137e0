"""Spans of operations and their steps, made of what is stored of them: a restart in between changes none."""

from google.protobuf.timestamp_pb2 import Timestamp
from solward.operations.v1 import operations_pb2 as pb

from common import traceparent
from common.traceparent import Trace
from controlplane.telemetry.otlp.spans import Ended, Traces

_BAD = (pb.VERDICT_FAIL, pb.VERDICT_ERROR, pb.VERDICT_INCONCLUSIVE)


def operation_span(operation: pb.Operation) -> Trace | None:
    """Name an operation's span, the same one in every life of the control plane; None where it is not traced."""
    asked = traceparent.parse(operation.traceparent)
    return asked.child(operation.name, operation.retries) if asked else None


def step_span(operation: pb.Operation, step: pb.Step) -> Trace | None:
    """Name the span of a step; each attempt has its own."""
    asked = traceparent.parse(operation.traceparent)
    if asked is None:
        return None
    return asked.child(operation.name, operation.retries, step.id, step.figures.get("attempt", ""))


class OperationSpans:
    """Tells the collector what has ended.

    Args:
        traces: where spans go.
    """

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def changed(self, before: pb.Operation, after: pb.Operation) -> None:
        """Look at a change of an operation that has been stored."""
        if not after.traceparent or not self._traces.on:
            return
        whole = operation_span(after)
        if whole is None:
            return
        open_before = {step.id for step in before.steps if not step.HasField("end_time")}
        for step in after.steps:
            if step.id in open_before and step.HasField("end_time"):
                self._step(after, step, whole)
        if after.HasField("end_time") and not before.HasField("end_time"):
            self._operation(after, whole)

    def _step(self, operation: pb.Operation, step: pb.Step, whole: Trace) -> None:
        trace = step_span(operation, step)
        if trace is None:
            return
        verdict = _verdict(step.verdict)
        attributes = {
            "solward.operation": operation.name, "solward.step": step.id, "solward.verdict": verdict,
            **_host(operation),
        }  # fmt: skip
        error = step.message if step.verdict in _BAD else None
        if error is not None:
            attributes["error.type"] = _reason(error, verdict)
        start = step.start_time if step.HasField("start_time") else step.end_time
        self._traces.add(
            Ended(f"step {step.id}", trace, whole.span_id, _ns(start), _ns(step.end_time), attributes, error)
        )

    def _operation(self, operation: pb.Operation, whole: Trace) -> None:
        asked = traceparent.parse(operation.traceparent)
        if asked is None:
            return
        state = _state(operation.state)
        attributes = {
            "solward.operation": operation.name, "solward.kind": operation.kind, "solward.state": state,
            **_host(operation),
        }  # fmt: skip
        error = (operation.error.message or state) if operation.state == pb.OPERATION_STATE_FAILED else None
        if error is not None:
            attributes["error.type"] = _reason(error, state)
        start, end = _ns(operation.create_time), _ns(operation.end_time)
        self._traces.add(Ended(operation.kind, whole, asked.span_id, start, end, attributes, error))


def _ns(stamp: Timestamp) -> int:
    return stamp.ToNanoseconds()


def _reason(message: str, otherwise: str) -> str:
    """Give the stable code that a message begins with, "HOST_OFFLINE: …"."""
    code = message.partition(":")[0]
    return code if code.isupper() and code.replace("_", "").isalnum() else otherwise


def _verdict(value: pb.Verdict) -> str:
    # Open enums take any number from a store that a later version wrote.
    return pb.Verdict.Name(value).removeprefix("VERDICT_") if value in pb.Verdict.values() else str(value)


def _state(value: pb.OperationState) -> str:
    known = value in pb.OperationState.values()
    return pb.OperationState.Name(value).removeprefix("OPERATION_STATE_") if known else str(value)


def _host(operation: pb.Operation) -> dict[str, str]:
    return {"solward.host": operation.host.removeprefix("hosts/")} if operation.host else {}
