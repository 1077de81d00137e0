"""Single values: text to fields, and the checks that protobuf's own JSON reader leaves out."""

import base64
import functools
import math
import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from controlplane.gateway.errors import GatewayError, bad_request

BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_FLOAT = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_TEXTUAL = frozenset(f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask"))
_WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
)
_FREE_FORM = frozenset(f"google.protobuf.{name}" for name in ("Any", "Struct", "Value", "ListValue"))
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}


def member(scope: Descriptor, name: str) -> FieldDescriptor | None:
    """Find a field by its proto or JSON name.

    Args:
        scope: the message.
        name: in either spelling.
    """
    return _names(scope).get(name)


def put(message: Message, field: FieldDescriptor, text: str, name: str) -> None:
    """Set (or add to) a field from text of a path or query.

    Args:
        message: whose field it is.
        field: a scalar, an enum, a repeated one of these, or a message that JSON writes as one value.
        text: decoded.
        name: of the field, for errors.

    Raises:
        GatewayError: the text is no value of the field.
    """
    nested = field.message_type
    if nested is not None:
        _put_message(message, field, nested, text, name)
    elif field.is_repeated:
        getattr(message, field.name).append(scalar(field, text, name))
    else:
        setattr(message, field.name, scalar(field, text, name))


def scalar(field: FieldDescriptor, text: str, name: str) -> Any:
    """Read a scalar or enum.

    Args:
        field: says of which type.
        text: decoded.
        name: of the field, for errors.

    Raises:
        GatewayError: the text is no such value.
    """
    kind = field.cpp_type
    if field.enum_type is not None:
        return _enum(field, text, name)
    if kind in _RANGES:
        low, high = _RANGES[kind]
        if _INTEGER.fullmatch(text) and low <= int(text) <= high:
            return int(text)
        raise _wrong(name, f"an integer from {low} to {high}")
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        if text in ("true", "false"):
            return text == "true"
        raise _wrong(name, "true or false")
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return _float(field, text, name)
    return _bytes(text, name) if field.type == FieldDescriptor.TYPE_BYTES else text


def check(value: Any, scope: Descriptor, depth: int) -> None:
    """Refuse what protobuf's JSON reader lets pass: one field in two spellings, junk in base64.

    Args:
        value: parsed JSON.
        scope: the message that it is to become.
        depth: how many levels of nesting remain.

    Raises:
        GatewayError: the value is refused; what it does not see, the reader refuses.
    """
    if depth < 0:
        raise bad_request("the body is nested too deeply")
    if not isinstance(value, Mapping) or scope.full_name in _FREE_FORM:
        return
    seen: set[str] = set()
    for key, inner in value.items():
        field = member(scope, key)
        if field is None:
            continue
        if field.name in seen:
            raise bad_request(f"{field.name} is there twice", field.name)
        seen.add(field.name)
        _check_field(inner, field, depth)


def _check_field(value: Any, field: FieldDescriptor, depth: int) -> None:
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        field = nested.fields_by_name["value"]
        nested = field.message_type
        items = list(value.values()) if isinstance(value, Mapping) else []
    elif field.is_repeated:
        items = value if isinstance(value, list) else []
    else:
        items = [value]
    if nested is not None and nested.full_name == "google.protobuf.BytesValue":
        field = nested.fields_by_name["value"]
    for item in items:
        if field.type == FieldDescriptor.TYPE_BYTES and isinstance(item, str):
            _bytes(item, field.name)
        elif nested is not None:
            check(item, nested, depth - 1)


@functools.cache
def _names(scope: Descriptor) -> dict[str, FieldDescriptor]:
    return {field.json_name: field for field in scope.fields} | dict(scope.fields_by_name)


def _put_message(message: Message, field: FieldDescriptor, nested: Descriptor, text: str, name: str) -> None:
    if field.is_repeated or (nested.full_name not in _TEXTUAL and nested.full_name not in _WRAPPERS):
        raise bad_request(f"{name} cannot be given in the query", name)
    target = getattr(message, field.name)
    if nested.full_name in _WRAPPERS:
        target.SetInParent()
        target.value = scalar(nested.fields_by_name["value"], text, name)
        return
    value: Any = text
    try:
        json_format.ParseDict(value, target)
    except (json_format.Error, TypeError, ValueError) as error:
        raise bad_request(f"{name}: {error}", name) from None
    target.SetInParent()


def _enum(field: FieldDescriptor, text: str, name: str) -> int:
    known = field.enum_type
    if known is None:
        raise _wrong(name, "an enum")
    value = known.values_by_name.get(text)
    if value is None and _INTEGER.fullmatch(text):
        value = known.values_by_number.get(int(text))
    if value is None:
        raise _wrong(name, f"one of {', '.join(sorted(known.values_by_name))}")
    return value.number


def _float(field: FieldDescriptor, text: str, name: str) -> float:
    if text in _SPECIAL:
        return _SPECIAL[text]
    number = float(text) if _FLOAT.fullmatch(text) else math.nan
    if not math.isfinite(number) or (
        field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT and abs(number) > 3.4028235677973366e38
    ):
        raise _wrong(name, "a number in the range of its type")
    return number


def _bytes(text: str, name: str) -> bytes:
    plain = text.rstrip("=")
    if not _BASE64.fullmatch(text) or len(plain) % 4 == 1 or (plain != text and len(text) % 4):
        raise _wrong(name, "base64")
    return base64.urlsafe_b64decode(plain.replace("+", "-").replace("/", "_") + "=" * (-len(plain) % 4))


def _wrong(name: str, wanted: str) -> GatewayError:
    return bad_request(f"{name} is not {wanted}", name)
