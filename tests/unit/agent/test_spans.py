"""What the agent records of a command: nothing where nobody asks, and never without bounds."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from solward.hosts.v1 import link_pb2

from agent import spans
from agent.actions.executor import Executor
from agent.allowlist import Allowlist
from agent.journal import Journal
from tests.unit.agent.fakes import UNIT, FakeSystemd, command, make_identity

KEY = Ed25519PrivateKey.generate()
IDENTITY = make_identity(KEY)
PARENT = "b7ad6b7169203331"
SENT = f"00-0af7651916cd43dd8448eb211c80319c-{PARENT}-01"


@pytest.fixture
def worker() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


async def carry_out(
    folder: Path, worker: ThreadPoolExecutor, asked: link_pb2.Command, *actions: str
) -> link_pb2.SpanReport | None:
    journal = Journal(folder)
    allowed = Allowlist({UNIT: frozenset(actions)})
    executor = Executor(FakeSystemd(), journal, allowed, lambda: IDENTITY, worker, lambda: None)
    try:
        with spans.recording(asked) as recorder, spans.span("command"):
            await executor.carry_out(asked, lambda _: None)
    finally:
        journal.close()
    return recorder.report("operations/one", "act") if recorder else None


async def test_a_restart_is_recorded_from_permit_to_receipt(tmp_path: Path, worker: ThreadPoolExecutor) -> None:
    asked = command(KEY)
    asked.traceparent = SENT
    report = await carry_out(tmp_path, worker, asked, "validator.restart")
    assert report is not None
    found = {span.name: span for span in report.spans}
    assert list(found) == [
        "permit", "allowlist", "preconditions", "journal", "systemd restart", "settle", "action", "receipt", "command",
    ]  # fmt: skip
    assert found["command"].parent_id == PARENT
    assert {found[name].parent_id for name in ("systemd restart", "settle")} == {found["action"].span_id}
    assert {found[name].parent_id for name in ("permit", "action", "receipt")} == {found["command"].span_id}
    assert not any(span.reason for span in report.spans)
    assert report.traceparent == SENT


async def test_a_refused_command_has_spans_that_say_why(tmp_path: Path, worker: ThreadPoolExecutor) -> None:
    asked = command(KEY)
    asked.traceparent = SENT
    report = await carry_out(tmp_path, worker, asked)
    assert report is not None
    assert [(span.name, span.reason) for span in report.spans] == [
        ("permit", ""), ("allowlist", "NOT_ON_ALLOWLIST"), ("command", "NOT_ON_ALLOWLIST"),
    ]  # fmt: skip


@pytest.mark.parametrize("sent", ["", "junk", SENT[:-1] + "0", "00-" + "0" * 32 + "-" + PARENT + "-01"])
async def test_nothing_is_recorded_where_nobody_asks(sent: str, tmp_path: Path, worker: ThreadPoolExecutor) -> None:
    asked = command(KEY)
    asked.traceparent = sent
    assert await carry_out(tmp_path, worker, asked, "validator.restart") is None


@given(st.text(max_size=600))
def test_a_hostile_traceparent_is_bounded(sent: str) -> None:
    with spans.recording(link_pb2.Command(traceparent=sent.encode("utf-8", "replace").decode())) as recorder:
        for _ in range(100):
            with spans.span("x" * 10, text="y" * 10_000):
                pass
    if recorder is not None:
        assert recorder.report("o", "s").ByteSize() < 20_000


def test_many_spans_and_long_texts_are_cut() -> None:
    with spans.recording(link_pb2.Command(traceparent=SENT)) as recorder:
        for _ in range(1000):
            with pytest.raises(ValueError, match="z"), spans.span("x", text="y" * 10_000):
                raise ValueError("z")
    assert recorder is not None
    report = recorder.report("o", "s")
    assert len(report.spans) == spans.MOST_SPANS
    assert report.ByteSize() < spans.MOST_SPANS * 400


def test_what_was_lost_is_told_again() -> None:
    recent = spans.Recent()
    first = link_pb2.SpanReport(operation="o", step="act", traceparent=SENT)
    first.spans.add(name="action")
    again = link_pb2.SpanReport(operation="o", step="act", traceparent=SENT)
    again.spans.add(name="command")
    recent.keep(first)
    assert [span.name for span in recent.keep(again).spans] == ["command", "action"]
    for number in range(spans.KEPT):
        recent.keep(link_pb2.SpanReport(operation=f"o{number}", step="act"))
    assert [
        span.name for span in recent.keep(link_pb2.SpanReport(operation="o", step="act", traceparent=SENT)).spans
    ] == []
