"""JSON schemas of messages, as ProtoJSON writes them and as field rules bound them."""

from collections.abc import Collection, Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from solward.comments import COMMENTS
from solward.policy.v1 import policy_pb2

from common.policy import field_rules

Json = dict[str, Any]
_F = FieldDescriptor
_INTEGERS = {
    _F.CPPTYPE_INT32: ("int32", -(1 << 31), (1 << 31) - 1),
    _F.CPPTYPE_UINT32: ("uint32", 0, (1 << 32) - 1),
}
# Beyond 2^53 a number of JSON is not exact, so these are text.
_LONGS = {_F.CPPTYPE_INT64: ("int64", "^-?[0-9]{1,19}$"), _F.CPPTYPE_UINT64: ("uint64", "^[0-9]{1,20}$")}
_WELL_KNOWN: dict[str, Json] = {
    "Timestamp": {"type": "string", "format": "date-time"},
    "Duration": {"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"},
    "FieldMask": {"type": "string"},
    "Struct": {"type": "object"},
    "Value": {},
    "ListValue": {"type": "array"},
    "Empty": {"type": "object", "additionalProperties": False},
    "Any": {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]},
}
_TEXTUAL = ("Timestamp", "Duration", "FieldMask")
_GOOGLE = "google.protobuf."


def in_query(field: FieldDescriptor) -> bool:
    """Whether a query parameter can set a field."""
    nested = field.message_type
    if nested is None:
        return True
    return not field.is_repeated and (_wrapped(nested) is not None or _short(nested) in _TEXTUAL)


def described(field: FieldDescriptor) -> Json:
    """Say what a field is, in the contract's words, where it has any."""
    words = COMMENTS.get(field.full_name)
    return {"description": words} if words else {}


class Schemas:
    """Makes the schemas of messages, each once, by name.

    Args:
        replies: the messages that are answered with. What else is asked has the bounds of its fields' rules; a message
            that is both has two schemas, since a reply leaves out what is at its default.
    """

    def __init__(self, replies: Iterable[Descriptor]) -> None:
        self.all: dict[str, Json] = {}
        self._replies = _reachable(replies)

    def output(self, message: Descriptor) -> Json:
        """Give the schema of a message that is answered."""
        return self._message(message, is_input=False)

    def input(self, message: Descriptor, without: Collection[FieldDescriptor] = ()) -> Json:
        """Give the schema of a message that is asked.

        Args:
            message: the message.
            without: fields of it that stand elsewhere, in the path.
        """
        if not without:
            return self._message(message, is_input=True)
        return self._object(message, is_input=True, without=without)

    def field(self, field: FieldDescriptor, *, is_input: bool) -> Json:
        """Give the schema of a field's value."""
        nested = field.message_type
        rules = field_rules(field)
        if nested is not None and nested.GetOptions().map_entry:
            value = self.field(nested.fields_by_name["value"], is_input=is_input)
            bounds = {"maxProperties": rules.max_items} if is_input and rules.max_items else {}
            return {"type": "object", "additionalProperties": value, **bounds}
        single = self._message(nested, is_input=is_input) if nested is not None else _scalar(field)
        if field.is_repeated:
            bounds = {"maxItems": rules.max_items} if is_input and rules.max_items else {}
            return {"type": "array", "items": single, **bounds}
        return single | _bounds(field, rules) if is_input and nested is None else single

    def _message(self, message: Descriptor, *, is_input: bool) -> Json:
        wrapped = _wrapped(message)
        if wrapped is not None:
            return _scalar(wrapped)
        known = _WELL_KNOWN.get(_short(message))
        if known is not None:
            return dict(known)
        name = message.full_name + (".Input" if is_input and message.full_name in self._replies else "")
        if name not in self.all:
            self.all[name] = {}  # it may hold itself
            self.all[name] = self._object(message, is_input=is_input)
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, message: Descriptor, *, is_input: bool, without: Collection[FieldDescriptor] = ()) -> Json:
        fields = [field for field in message.fields if field not in without]
        schema: Json = {
            "type": "object",
            "properties": {
                field.json_name: self.field(field, is_input=is_input) | described(field) for field in fields
            },
        }
        if words := COMMENTS.get(message.full_name):
            schema["description"] = words
        required = [field.json_name for field in fields if field_rules(field).required]
        if is_input:
            schema["additionalProperties"] = False
            if required:
                schema["required"] = required
        return schema


def _scalar(field: FieldDescriptor) -> Json:
    kind = field.cpp_type
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if kind in _INTEGERS:
        form, low, high = _INTEGERS[kind]
        return {"type": "integer", "format": form, "minimum": low, "maximum": high}
    if kind in _LONGS:
        form, pattern = _LONGS[kind]
        return {"type": "string", "format": form, "pattern": pattern}
    if kind in (_F.CPPTYPE_DOUBLE, _F.CPPTYPE_FLOAT):
        return {"oneOf": [{"type": "number"}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}
    if kind == _F.CPPTYPE_BOOL:
        return {"type": "boolean"}
    return {"type": "string", "contentEncoding": "base64"} if field.type == _F.TYPE_BYTES else {"type": "string"}


def _enum(enum: EnumDescriptor) -> Json:
    return {"type": "string", "enum": [value.name for value in enum.values]}


def _bounds(field: FieldDescriptor, rules: policy_pb2.FieldRules) -> Json:
    found: Json = {}
    if field.type == _F.TYPE_STRING:
        if rules.pattern:
            # The whole must match; nothing at all is as good as a field left out.
            found["pattern"] = f"^(?:{rules.pattern})$" if rules.required else f"^(?:{rules.pattern})?$"
        if rules.max_length:
            found["maxLength"] = rules.max_length
        if rules.required:
            found["minLength"] = max(1, rules.min_length)
    elif field.cpp_type in _INTEGERS:
        found |= {"minimum": rules.min} if rules.HasField("min") else {}
        found |= {"maximum": rules.max} if rules.HasField("max") else {}
    if rules.sensitive:
        found["x-solward-sensitive"] = True
    return found


def _short(message: Descriptor) -> str:
    return message.full_name.removeprefix(_GOOGLE) if message.full_name.startswith(_GOOGLE) else ""


def _wrapped(message: Descriptor) -> FieldDescriptor | None:
    is_wrapper = _short(message).endswith("Value") and _short(message) not in _WELL_KNOWN
    return message.fields_by_name["value"] if is_wrapper else None


def _reachable(messages: Iterable[Descriptor]) -> frozenset[str]:
    found: dict[str, Descriptor] = {}
    waiting = list(messages)
    while waiting:
        message = waiting.pop()
        if message.full_name not in found:
            found[message.full_name] = message
            waiting += [field.message_type for field in message.fields if field.message_type is not None]
    return frozenset(found)
