"""JSON as it is taken from clients: read as everybody reads it, and nothing that cannot be written again."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.strict_json import loads

LEAF = st.none() | st.booleans() | st.integers() | st.text()
VALUE = st.recursive(LEAF, lambda some: st.lists(some) | st.dictionaries(st.text(), some), max_leaves=20)


@given(VALUE, st.booleans())
def test_what_can_be_written_is_read_as_it_was(value: object, ascii_only: bool) -> None:
    assert loads(json.dumps(value, ensure_ascii=ascii_only)) == value


@pytest.mark.parametrize("half", [r"\ud800", r"\uDFFF", r"a\ude00b", r"\ud83d\u0041"])
@pytest.mark.parametrize("form", ['"%s"', '{"%s": 1}', '{"a": "%s"}', '[["%s"]]', '{"a": [{"b": ["%s"]}]}'])
def test_half_of_a_pair_is_no_character(half: str, form: str) -> None:
    with pytest.raises(ValueError, match="half of a surrogate pair"):
        loads(form % half)


@given(st.text(alphabet=st.characters(codec=None), max_size=40))
def test_whatever_is_read_can_be_written(text: str) -> None:
    try:
        value = loads(json.dumps({text: [text]}))
    except ValueError:
        assert any("\ud800" <= one <= "\udfff" for one in text)
    else:
        json.dumps(value, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("text", "words"), [('{"a":1,"a":2}', "twice"), ("[NaN]", "NaN is written"), ("{", "Expecting")]
)
def test_what_two_readers_might_read_in_two_ways_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        loads(text)
