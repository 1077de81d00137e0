"""JSON as it is taken from clients: what two readers might read in two ways, or cannot be written again, is no JSON."""

import json
import re
from typing import Any

# One half of a pair by itself is no character, and no string of protobuf's can hold it.
_HALF = re.compile("[\ud800-\udfff]")
_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str) -> Any:
    """Read JSON.

    Raises: ValueError, also for a key that is there twice in one object, for NaN and Infinity, and for half of a
        surrogate pair; RecursionError.
    """
    hook = _whole if _ESCAPED.search(text) else _unique
    value = json.loads(text, object_pairs_hook=hook, parse_constant=_refuse_constant)
    if hook is _whole:
        _refuse_halves(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice in one object")
    return found


def _whole(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, value in pairs:
        _refuse_halves(key)
        _refuse_halves(value)
    return _unique(pairs)


def _refuse_halves(value: Any) -> None:
    # Objects were looked at when they were read.
    if isinstance(value, list):
        for one in value:
            _refuse_halves(one)
    elif isinstance(value, str) and _HALF.search(value):
        raise ValueError("half of a surrogate pair is no character")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is written as a string")
