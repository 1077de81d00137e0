"""Datapoints, in both of their forms, against what writes them."""

from hypothesis import given
from hypothesis import strategies as st

from agent.logs.datapoint import Datapoint, from_line_protocol, from_log, name_in_log
from tests.peers.validator_log import datapoint

names = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True)
# A backslash before a quote reads as that quote escaped: the writer escapes nothing else, and none ends in one.
texts = st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"]), max_size=20)
values = st.one_of(
    st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False, width=32), texts
)


@given(names, st.dictionaries(names, values, max_size=6), st.dictionaries(names, names, max_size=3))
def test_what_is_written_is_read(name: str, fields: dict[str, object], tags: dict[str, str]) -> None:
    point = from_log(datapoint(name, fields, tags))
    assert point
    expected = {key: value if isinstance(value, str) else float(value) for key, value in fields.items()}  # type: ignore[arg-type]
    assert point == Datapoint(name, tags, expected)
    assert name_in_log(datapoint(name, fields, tags)) == name


class Everything:
    """Holds every name."""

    def __contains__(self, name: object) -> bool:
        return True


KNOWN = {"bank_frozen", "panic", "cpu-stats"}


def test_line_protocol_is_read() -> None:
    body = (
        "of_no_interest,host_id=abc slot=5i 1\n"
        'bank_frozen,host_id=abc slot=5i,hash="a b,c" 1786710896000000000\n'
        'panic,host_id=abc message="one\ntwo \\"three\\"",one=1i 1786710896000000000\n'
        "cpu-stats average_load_one_minute=1.5,ok=true 1\n"
    )
    assert list(from_line_protocol(body, KNOWN)) == [
        Datapoint("bank_frozen", {"host_id": "abc"}, {"slot": 5.0, "hash": "a b,c"}),
        Datapoint("panic", {"host_id": "abc"}, {"message": 'one\ntwo "three"', "one": 1.0}),
        Datapoint("cpu-stats", {}, {"average_load_one_minute": 1.5, "ok": 1.0}),
    ]


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    for point in from_line_protocol(text, Everything()):
        assert point.name
        assert point.fields
    from_log("datapoint: " + text)
    assert from_log(text) is None or text.startswith("datapoint: ")
