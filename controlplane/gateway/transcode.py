"""HTTP to request messages and reply messages to JSON, strictly: what is not understood is refused."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from controlplane.gateway import strict_json, values
from controlplane.gateway.errors import bad_request
from controlplane.gateway.routes import FieldPath, Match, Route

_MASK = "google.protobuf.FieldMask"
_HTTP_BODY = "google.api.HttpBody"
_MAX_DEPTH = 64
_MAX_WORDS = 300


def read_request(match: Match, query: str, body: bytes) -> Message:
    """Make the request message of a call.

    Args:
        match: the route and the values of its path.
        query: the query as received, without the question mark.
        body: the whole body.

    Raises:
        GatewayError: something cannot be read, is not known, or is there twice.
    """
    route = match.route
    message = route.request()
    setter = _Setter(message, route)
    value = _read_body(match, message, body)
    for path, text in match.values:
        setter.take(path, text)
    if query:
        if route.body == "*":
            raise bad_request("this path takes every field in its body and none in its query")
        for name, text in _pairs(query):
            setter.take(_resolve(route.scope, name), text)
    if route.http_method == "PATCH" and isinstance(route.body, FieldDescriptor):
        _fill_mask(message, route.body, value)
    return message


def write_reply(route: Route, reply: Message) -> bytes:
    """Write a reply as JSON.

    Args:
        route: the route that was called.
        reply: what the RPC answered.
    """
    return json.dumps(reply_value(route, reply), ensure_ascii=False, separators=(",", ":")).encode()


def reply_value(route: Route, reply: Message) -> Any:
    """Turn a reply into JSON types; with a response_body, that field alone.

    Args:
        route: the route that was called.
        reply: what the RPC answered.
    """
    field = route.reply_body
    if field is None:
        return json_format.MessageToDict(reply)
    whole = json_format.MessageToDict(reply, always_print_fields_with_no_presence=True)
    return whole.get(field.json_name)


def raw_reply(reply: Message) -> tuple[str, bytes] | None:
    """Give the content type and bytes of a google.api.HttpBody; None for any other message."""
    if reply.DESCRIPTOR.full_name != _HTTP_BODY:
        return None
    fields = {field.name: value for field, value in reply.ListFields()}
    return fields.get("content_type") or "application/octet-stream", fields.get("data", b"")


class _Setter:
    """Sets fields from text, each at most once and at most one of a oneof."""

    def __init__(self, message: Message, route: Route) -> None:
        self._message = message
        self._body = route.body if isinstance(route.body, FieldDescriptor) else None
        self._taken: set[tuple[str, ...]] = set()

    def take(self, path: FieldPath, text: str) -> None:
        name = ".".join(field.name for field in path)
        if path[0] == self._body:
            raise bad_request(f"{name} is in the body and nowhere else", name)
        self._claim(path, name)
        target = self._message
        for field in path[:-1]:
            target = getattr(target, field.name)
        values.put(target, path[-1], text, name)

    def _claim(self, path: FieldPath, name: str) -> None:
        names = tuple(field.name for field in path)
        if names in self._taken and not path[-1].is_repeated:
            raise bad_request(f"{name} is there twice", name)
        self._taken.add(names)
        for depth, field in enumerate(path):
            group = field.containing_oneof
            if group is None:
                continue
            place = (*names[:depth], f"oneof {group.name}")
            others = {(*place, other.name) for other in group.fields if other is not field}
            if others & self._taken:
                raise bad_request(f"{name} excludes another field that is there too", name)
            self._taken.add((*place, field.name))


def _read_body(match: Match, message: Message, body: bytes) -> Any:
    route = match.route
    if not body:
        return None
    if route.body is None:
        raise bad_request("this path takes no body")
    value = _parse_json(body)
    field = route.body if isinstance(route.body, FieldDescriptor) else None
    if field is None:
        if not isinstance(value, dict):
            raise bad_request("the body is a JSON object")
        for path, _ in match.values:
            _refuse_in_body(value, path)
    wrapped = value if field is None else {field.json_name: value}
    values.check(wrapped, route.scope, _MAX_DEPTH)
    try:
        json_format.ParseDict(wrapped, message, max_recursion_depth=_MAX_DEPTH)
    except (json_format.Error, TypeError, ValueError, RecursionError) as error:
        # What a field is called is in the OpenAPI document: the parser's own list of them is long, and in other words.
        words = str(error).replace("\n", " ").partition(" Available Fields")[0]
        raise bad_request(f"the body does not fit: {words[:_MAX_WORDS]}") from None
    return value


def _parse_json(body: bytes) -> Any:
    try:
        return strict_json.loads(body.decode())
    except RecursionError:
        raise bad_request("the body is nested too deeply") from None
    except ValueError as error:
        raise bad_request(f"the body is not JSON: {error}") from None


def _refuse_in_body(value: Any, path: FieldPath) -> None:
    for field in path:
        if not isinstance(value, Mapping):
            return
        value = value.get(field.json_name, value.get(field.name))
    if value is not None:
        name = ".".join(field.name for field in path)
        raise bad_request(f"{name} is in the path and may not be in the body too", name)


def _fill_mask(message: Message, body: FieldDescriptor, value: Any) -> None:
    """Without an update_mask a PATCH changes what its body names."""
    mask = values.member(body.containing_type, "update_mask") if body.containing_type is not None else None
    if mask is None or mask.message_type is None or mask.message_type.full_name != _MASK:
        return
    if isinstance(value, Mapping) and body.message_type is not None and not message.HasField(mask.name):
        getattr(message, mask.name).paths.extend(_mask_paths(value, body.message_type))


def _mask_paths(value: Mapping[str, Any], scope: Descriptor) -> list[str]:
    paths: list[str] = []
    for key, inner in value.items():
        field = values.member(scope, key)
        if field is None:
            continue
        nested = field.message_type
        plain = nested is None or field.is_repeated or nested.full_name.startswith("google.protobuf.")
        if plain or nested is None or not isinstance(inner, Mapping) or not inner:
            paths.append(field.name)
        else:
            paths.extend(f"{field.name}.{path}" for path in _mask_paths(inner, nested))
    return paths


def _pairs(query: str) -> list[tuple[str, str]]:
    pairs = []
    for part in query.split("&"):
        name, _, text = part.partition("=")
        if part:
            pairs.append((_unquote(name), _unquote(text)))
    return pairs


def _unquote(text: str) -> str:
    if values.BAD_ESCAPE.search(text):
        raise bad_request("the query has a % that is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise bad_request("the query is not UTF-8") from None


def _resolve(scope: Descriptor, name: str) -> FieldPath:
    """Find the field that a query parameter names, "nested.field" in either spelling."""
    path: list[FieldDescriptor] = []
    inner: Descriptor | None = scope
    for part in name.split("."):
        field = values.member(inner, part) if inner is not None else None
        if field is None or (path and path[-1].is_repeated):
            raise bad_request(f"there is no parameter {name[:200]!r}", name[:200])
        path.append(field)
        inner = field.message_type
    return tuple(path)
