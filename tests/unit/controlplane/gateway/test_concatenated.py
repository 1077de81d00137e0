"""Concatenated JSON is cut where objects end, wherever the network cut it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.concatenated import Objects

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=5), VALUE, max_size=3), max_size=6)
GAP = st.sampled_from(["", " ", "\n", "\r\n\t "])


@given(OBJECTS, st.data())
def test_what_was_put_together_is_taken_apart(wanted: list[dict[str, object]], data: st.DataObject) -> None:
    ascii_only = data.draw(st.booleans())
    body = "".join(data.draw(GAP) + json.dumps(one, ensure_ascii=ascii_only) for one in wanted).encode()
    objects, found, place = Objects(10_000), list[bytes](), 0
    while place < len(body):
        size = data.draw(st.integers(1, 9))
        found += objects.feed(body[place : place + size])
        place += size
    assert [json.loads(one) for one in found] == wanted
    assert not objects.pending


@pytest.mark.parametrize("body", [b"[1]", b"1", b"{} ,{}", b'{}"x"', b"}", b"null"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="JSON objects, one after the other"):
        list(Objects(100).feed(body))


def test_one_that_does_not_end_is_pending_and_may_grow_too_long() -> None:
    objects = Objects(10)
    assert list(objects.feed(b'{"a": "}')) == []
    assert objects.pending
    assert not objects.too_long
    list(objects.feed(b"xxxxxxx"))
    assert objects.too_long


@given(st.binary(max_size=200))
def test_whatever_comes_it_never_gives_more_than_it_took(data: bytes) -> None:
    objects = Objects(1000)
    try:
        found = list(objects.feed(data))
    except ValueError:
        return
    assert sum(map(len, found)) <= len(data)
