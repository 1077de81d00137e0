"""Requests as the audit log may show them: without secrets, and of bounded size."""

import functools
from hashlib import sha256
from typing import Any

from google.protobuf import any_pb2, json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from common.policy import field_rules

REDACTED = "[redacted]"
MAX_STRING = 1024
MAX_ITEMS = 64
# Messages whose JSON form is one plain value.
_PLAIN = frozenset(
    f"google.protobuf.{name}"
    for name in (
        "Timestamp",
        "Duration",
        "FieldMask",
        "BoolValue",
        "Int32Value",
        "Int64Value",
        "UInt32Value",
        "UInt64Value",
        "FloatValue",
        "DoubleValue",
    )
)


def redact(message: Message) -> dict[str, Any]:
    """Turn a message into JSON types, its set fields by their proto names.

    Args:
        message: a request or reply.

    Returns:
        Fields marked sensitive as "[redacted]", bytes as their length and SHA-256, enums by name, long
        strings and collections cut.
    """
    return {field.name: _field(field, value) for field, value in message.ListFields()}


@functools.cache
def _sensitive(field: FieldDescriptor) -> bool:
    return field_rules(field).sensitive


def _field(field: FieldDescriptor, value: Any) -> Any:
    if _sensitive(field):
        return REDACTED
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        item = message.fields_by_name["value"]
        pairs = sorted(value.items(), key=lambda pair: str(pair[0]))
        shown = {_string(str(key)): _value(item, entry) for key, entry in pairs[:MAX_ITEMS]}
        return {**shown, "...": _more(len(pairs))} if len(pairs) > MAX_ITEMS else shown
    if field.is_repeated:
        items = [_value(field, item) for item in value[:MAX_ITEMS]]
        return [*items, _more(len(value))] if len(value) > MAX_ITEMS else items
    return _value(field, value)


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.type in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_GROUP):
        return _message(value)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(value)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string(value)
    if field.type == FieldDescriptor.TYPE_ENUM and field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return int(value) if known is None else known.name
    return value


def _message(value: Message) -> Any:
    name = value.DESCRIPTOR.full_name
    if isinstance(value, any_pb2.Any):
        # Which of its fields are secret is not known here.
        return {"@type": _string(value.type_url), **_bytes(value.value)}
    if name not in _PLAIN:
        return redact(value)
    try:
        plain = json_format.MessageToDict(value)
    except ValueError:
        return redact(value)
    return _string(plain) if isinstance(plain, str) else plain


def _bytes(value: bytes) -> dict[str, Any]:
    return {"bytes": len(value), "sha256": sha256(value).hexdigest()}


def _string(value: str) -> str:
    return value if len(value) <= MAX_STRING else f"{value[:MAX_STRING]}[{len(value) - MAX_STRING} more]"


def _more(count: int) -> str:
    return f"[{count - MAX_ITEMS} more]"
