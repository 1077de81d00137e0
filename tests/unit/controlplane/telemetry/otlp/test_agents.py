"""Spans of agents: added below the command that was sent, and whatever an agent says, nowhere else."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from solward.hosts.v1 import link_pb2

from controlplane.telemetry.otlp.agents import MOST_SPANS, AgentSpans
from controlplane.telemetry.otlp.resource import own_resource
from controlplane.telemetry.otlp.settings import OtlpSettings
from controlplane.telemetry.otlp.spans import Traces

PARENT = "b7ad6b7169203331"
TRACE = "0af7651916cd43dd8448eb211c80319c"
ASKED = f"00-{TRACE}-{PARENT}-01"
HOST = ("sol-1", "a" * 32, "1.0")


def traces() -> Traces:
    return Traces(OtlpSettings(endpoint="http://localhost:4317"), own_resource(""))


def waiting(made: Traces) -> list[ReadableSpan]:
    return list(made.outbox._waiting)


def span(span_id: str = "1" * 16, parent: str = PARENT, **changes: object) -> link_pb2.AgentSpan:
    fields: dict[str, object] = {
        "span_id": span_id, "parent_id": parent, "name": "command", "start_unix_ns": 10, "end_unix_ns": 20,
    }  # fmt: skip
    return link_pb2.AgentSpan(**(fields | changes))  # type: ignore[arg-type]


def report(*spans: link_pb2.AgentSpan, asked: str = ASKED) -> link_pb2.SpanReport:
    return link_pb2.SpanReport(operation="operations/1", step="act", traceparent=asked, spans=spans)


def test_they_keep_their_times_and_say_whose_they_are() -> None:
    made = traces()
    refused = span("2" * 16, "1" * 16, name="allowlist", reason="NOT_ON_ALLOWLIST", attributes={"action": "x"})
    assert AgentSpans(made).take(ASKED, HOST, report(span(), refused)) == 2
    command, allowlist = waiting(made)
    assert command.context is not None
    assert f"{command.context.trace_id:032x}" == TRACE
    assert (command.start_time, command.end_time) == (10, 20)
    assert command.resource.attributes["host.name"] == "sol-1"
    assert command.resource.attributes["service.name"] == "solward-agent"
    assert allowlist.status.status_code is StatusCode.ERROR
    assert dict(allowlist.attributes or {}) == {
        "solward.action": "x", "solward.host": "sol-1", "solward.operation": "operations/1", "solward.step": "act",
        "error.type": "NOT_ON_ALLOWLIST",
    }  # fmt: skip


def test_nothing_is_added_elsewhere() -> None:
    made = traces()
    other = ASKED.replace("0af", "0ae")
    assert AgentSpans(made).take(ASKED, HOST, report(span(), asked=other)) == 0
    assert AgentSpans(made).take("", HOST, report(span(), asked="")) == 0
    assert AgentSpans(made).take(ASKED, HOST, report(*[span(f"{n:016x}") for n in range(1, MOST_SPANS + 2)])) == 0
    bad = [
        span("0" * 16), span(PARENT), span("x" * 16), span(parent="c" * 16), span(parent="1" * 16), span(name="a\nb"),
        span(start_unix_ns=0), span(start_unix_ns=30), span(start_unix_ns=-5), span(name=""),
    ]  # fmt: skip
    for one in bad:
        assert AgentSpans(made).take(ASKED, HOST, report(one)) == 0, one
    assert waiting(made) == []


HOSTILE = st.builds(
    span,
    st.one_of(st.text(max_size=40), st.text("0123456789abcdef", min_size=16, max_size=16)),
    st.one_of(st.just(PARENT), st.text(max_size=40)),
    name=st.one_of(st.just("action"), st.text(max_size=200)),
    start_unix_ns=st.integers(-(2**63), 2**63 - 1),
    end_unix_ns=st.integers(-(2**63), 2**63 - 1),
    reason=st.text(max_size=2000),
    attributes=st.dictionaries(st.text(max_size=300), st.text(max_size=300), max_size=20),
)


@given(st.lists(HOSTILE, max_size=70))
def test_a_hostile_agent_breaks_nothing_and_is_bounded(spans: list[link_pb2.AgentSpan]) -> None:
    made = traces()
    taken = AgentSpans(made).take(ASKED, HOST, report(*spans))
    found = waiting(made)
    assert len(found) == taken <= MOST_SPANS
    assert len(made.outbox._encode(found)) < 500 + taken * 8000
    assert {one.context.trace_id for one in found if one.context} <= {int(TRACE, 16)}


def test_what_is_told_twice_is_taken_once() -> None:
    made = traces()
    taker = AgentSpans(made)
    assert taker.take(ASKED, HOST, report(span())) == 1
    assert taker.take(ASKED, HOST, report(span(), span("2" * 16))) == 1
    assert len(waiting(made)) == 2
