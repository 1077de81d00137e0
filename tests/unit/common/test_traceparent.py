"""Traceparents: what is well-formed is read as it was written, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import traceparent
from common.traceparent import Trace, parse

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEX = "0123456789abcdef"


def test_a_good_one_is_read() -> None:
    assert parse(GOOD) == Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True)
    assert parse(GOOD[:-1] + "0") == Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", False)
    assert str(parse(GOOD)) == GOOD


def test_a_later_version_may_say_more() -> None:
    assert parse("01" + GOOD[2:] + "-what-the-future-will-be-like") == parse(GOOD)


@pytest.mark.parametrize(
    "bad",
    [
        "", "junk", GOOD.upper(), GOOD + "-more", "ff" + GOOD[2:], GOOD + "\n", " " + GOOD, GOOD[:-1],
        "00-" + "0" * 32 + GOOD[35:], GOOD[:36] + "0" * 16 + "-01", "01" + GOOD[2:] + "-" + "x" * 300,
        GOOD.replace("0af", "٠af"),
    ],
)  # fmt: skip
def test_a_malformed_one_is_none(bad: str) -> None:
    assert parse(bad) is None


@given(st.text(max_size=400))
def test_no_text_breaks_the_reading(text: str) -> None:
    found = parse(text)
    assert found is None or (len(found.trace_id), len(found.span_id)) == (32, 16)


@given(st.text(HEX, min_size=32, max_size=32), st.text(HEX, min_size=16, max_size=16), st.booleans())
def test_what_is_written_is_read(trace_id: str, span_id: str, sampled: bool) -> None:
    trace = Trace(trace_id, span_id, sampled)
    whole = set(trace_id) != {"0"} and set(span_id) != {"0"}
    assert parse(str(trace)) == (trace if whole else None)


def test_a_child_is_of_the_same_trace_and_by_its_names_always_the_same() -> None:
    trace = traceparent.begin()
    assert trace.child("operations/1", 0) == trace.child("operations/1", 0)
    assert len({trace, trace.child("operations/1", 0), trace.child("operations/1", 1), trace.child()}) == 4
    assert {trace.trace_id} == {trace.child().trace_id, trace.child("x").trace_id}
    assert trace.child("ab", "c") != trace.child("a", "bc")
