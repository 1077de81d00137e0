"""Base58 keys: whole round trips, and nothing else is taken for a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.base58 import decode_key, encode


@given(st.binary(min_size=32, max_size=32))
def test_keys_come_back_as_they_went(raw: bytes) -> None:
    assert decode_key(encode(raw)) == raw


def test_the_system_program_is_all_zeros() -> None:
    assert encode(bytes(32)) == "1" * 32
    assert decode_key("1" * 32) == bytes(32)


@given(st.text(max_size=50))
def test_whatever_is_no_key_is_refused(text: str) -> None:
    try:
        raw = decode_key(text)
    except ValueError:
        return
    assert encode(raw) == text


@pytest.mark.parametrize("text", ["", "0" * 32, "1" * 31, "1" * 33, "z" * 44, "l" * 40])
def test_near_misses_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode_key(text)
