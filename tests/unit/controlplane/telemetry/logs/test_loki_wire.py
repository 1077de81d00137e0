"""LogQL is made of parts: whatever a caller's values hold, the question stays the one that was meant."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.telemetry.logs.loki_wire import labels_of, logql, quoted, read
from controlplane.telemetry.logs.model import LogQuery, field_name
from tests.peers.logql import BadQuery, parse, tokens, unquote

CLUSTER = 'test"} | x="'
NAMES = st.from_regex(r"[a-zA-Z0-9_]{1,20}", fullmatch=True)


@given(st.text())
def test_a_quoted_text_is_one_string_and_reads_as_it_was(text: str) -> None:
    (token,) = tokens(quoted(text))
    assert token == ("string", quoted(text))
    assert unquote(token[1]) == text
    assert "\n" not in quoted(text)


@given(
    hosts=st.frozensets(st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True), min_size=1, max_size=5), text=st.text(),
    kind=st.text(max_size=20), fields=st.lists(st.tuples(NAMES, st.text(min_size=1)), max_size=3),
    severity=st.integers(0, 4),
)  # fmt: skip
def test_a_question_has_the_parts_that_were_asked_for(
    hosts: frozenset[str], text: str, kind: str, fields: list[tuple[str, str]], severity: int
) -> None:
    query = parse(logql(LogQuery(hosts, 0, 1, severity, kind, text, tuple(fields)), CLUSTER))
    assert [name for name, _ in query.matchers] == ["service_name", "cluster", "host", *["level"][: bool(severity)]]
    assert [name for name, _ in query.filters] == [*["kind"][: bool(kind)], *(f"attr_{name}" for name, _ in fields)]
    assert len(query.lines) == bool(text)
    assert query.matchers[1][1](CLUSTER)
    for host in hosts:
        assert query.matchers[2][1](host)
        assert not query.matchers[2][1](f"{host}x") or f"{host}x" in hosts
    if kind:
        assert query.filters[0][1](kind)
        assert query.filters[0][1](f"{kind}.more")
        assert not query.filters[0][1](f"{kind}more") or kind == ""


@given(st.text())
def test_names_of_fields_are_names(name: str) -> None:
    assert parse(f'{{a="b"}} | attr_{field_name(name)}="c"').filters[0][0].startswith("attr_")
    assert field_name(field_name(name)) == field_name(name)


@pytest.mark.parametrize("odd", ['{a="b"', '{a="b"} | x', '{a="\\q"}', '{a=~".*"}', '{a=~"(?=x)"}', '{a="b"} "x"', ""])
def test_the_peer_refuses_what_is_no_question(odd: str) -> None:
    with pytest.raises(BadQuery):
        parse(odd)


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"[]", b"{}", b'{"data":{"resultType":"matrix","result":[]}}',
        b'{"data":{"resultType":"streams","result":[{"stream":{},"values":[["1","x"]]}]}}',
        b'{"data":{"resultType":"streams","result":[{"stream":{"host":"a"},"values":[["x"]]}]}}',
        b'{"data":{"resultType":"streams","result":{"a":1}}}',
        b'{"data":{"resultType":"streams","result":[{"stream":{"host":"a","times":"x"},"values":[["1","x"]]}]}}',
    ],
)  # fmt: skip
def test_what_is_no_answer_is_not_read(answer: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, IndexError, AttributeError)):
        read(answer, newest_first=True)


def test_foreign_lines_are_read_as_far_as_they_go() -> None:
    stream = {"host": "a", "level": "debug", "detected_level": "debug", "filename": "/var/log/x"}
    answer = {"data": {"resultType": "streams", "result": [{"stream": stream, "values": [["5000001", "x"]]}]}}
    (entry,) = read(json.dumps(answer).encode(), newest_first=False)
    assert (entry.unix_ns, entry.host, entry.event.unix_ms, entry.event.message) == (5_000_001, "a", 5, "x")
    assert labels_of(entry, "c")["level"] == "unknown"
