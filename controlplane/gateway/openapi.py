"""The OpenAPI document of what the gateway serves, made from the same descriptors."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from solward.comments import COMMENTS
from solward.policy.v1 import policy_pb2

from common.policy import field_rules
from controlplane.gateway import cookies
from controlplane.gateway.browser import CSRF_HEADER, SESSION, SESSION_HEADER
from controlplane.gateway.routes import Route
from controlplane.gateway.schemas import Schemas, described, in_query
from controlplane.gateway.templates import ONE, Literal, Segment

Json = dict[str, Any]
_HTTP_BODY = "google.api.HttpBody"
_ERROR = {"$ref": "#/components/responses/Error"}
_QUERY_DEPTH = 2
_PLURAL = re.compile(r"([a-z][A-Za-z]*)s")
_INFO = {
    "title": "Solward",
    "version": "v1",
    "description": "The control plane for Solana MEV infrastructure. Every path is one RPC of the same contract.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}


def document(routes: Sequence[Route]) -> Json:
    """Make the document, OpenAPI 3.1.

    Args:
        routes: every binding that is served.
    """
    schemas = Schemas([route.method.output_type for route in routes])
    paths: dict[str, Json] = _own_paths()
    seen: dict[str, int] = {}
    for route in routes:
        path, names = _path(route)
        seen[route.rpc] = seen.get(route.rpc, 0) + 1
        paths.setdefault(path, {})[route.http_method.lower()] = _operation(route, names, seen[route.rpc], schemas)
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas.all | {"Error": _error_schema()},
            "responses": {"Error": _json_response("What was wrong, and what would be right.", "Error")},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": cookies.ACCESS},
            },
        },
    }


def _own_paths() -> dict[str, Json]:
    """Describe what the gateway answers by itself."""
    health = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
    token = {"type": "object", "properties": {"csrfToken": {"type": "string"}}, "required": ["csrfToken"]}
    service = {"name": "service", "in": "query", "schema": {"type": "string"}}

    def get(name: str, summary: str, schema: Json, **more: Any) -> Json:
        answer = {"description": summary, "content": {"application/json": {"schema": schema}}}
        return {"get": {"operationId": name, "tags": ["gateway"], "summary": summary,
                        "responses": {"200": answer, "default": _ERROR}, **more}}  # fmt: skip

    ready = get(
        "health", "Whether the control plane, or one service, is ready", health, parameters=[service], security=[]
    )
    for status in ("404", "503"):
        ready["get"]["responses"][status] = ready["get"]["responses"]["200"]
    return {
        "/health": ready,
        "/api/rpc/events": _events(),
        "/auth/csrf": get("csrf", "The CSRF token of the session in cookies", token, security=[{"cookie": []}]),
        "/openapi.json": get("openapi", "This document", {"type": "object"}, security=[]),
    }


def _events() -> Json:
    topics = {"name": "topics", "in": "query", "required": True, "description": "by name, with commas between them",
              "schema": {"type": "string", "minLength": 1}}  # fmt: skip
    content = {"text/event-stream": {"schema": {"type": "string"}}}
    answer = {"description": "Frames of live topics, each an event.", "content": content}
    return {"get": {"operationId": "events", "tags": ["gateway"], "summary": "Live topics as server-sent events",
                    "parameters": [topics], "responses": {"200": answer, "default": _ERROR},
                    "security": [{"bearer": []}, {"cookie": []}]}}  # fmt: skip


def _operation(route: Route, names: Iterable[tuple[str, FieldDescriptor]], number: int, schemas: Schemas) -> Json:
    service, method = route.method.containing_service.name, route.method.name
    operation: Json = {
        "operationId": f"{service}_{method}" + (f"_{number}" if number > 1 else ""),
        "tags": [route.method.containing_service.full_name.split(".")[-3]],
        **_said(route),
        "x-solward-rpc": f"{service}.{method}",
        "parameters": [*_path_parameters(names, schemas), *_query_parameters(route, schemas), *_headers(route)],
        "responses": {"200": _reply(route, schemas), "default": _ERROR},
        "security": _security(route),
        **_policy(route),
    }
    if route.body == "*":
        schema = schemas.input(route.scope, without={path[0] for path in route.variables.values()})
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}, "required": False}
    elif isinstance(route.body, FieldDescriptor):
        schema = schemas.field(route.body, is_input=True)
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}, "required": False}
    return operation


def _said(route: Route) -> Json:
    """Say what a call does, in the contract's words: the first sentence, and the whole where there is more."""
    name = f"{route.method.containing_service.name}.{route.method.name}"
    words = COMMENTS.get(route.method.full_name, "").removeprefix(f"{route.method.name} ")
    if not words:
        return {"summary": name}
    words = words[0].upper() + words[1:]
    first = words.partition(". ")[0].removesuffix(".")
    return {"summary": first} | ({"description": words} if words.removesuffix(".") != first else {})


def _path(route: Route) -> tuple[str, list[tuple[str, FieldDescriptor]]]:
    """Write a template as OpenAPI does: one parameter for each wildcard, with the field that it is part of."""
    fields = {
        index: route.variables[variable.path]
        for variable in route.template.variables
        for index in range(variable.start, variable.end)
    }
    parts: list[str] = []
    names: list[tuple[str, FieldDescriptor]] = []
    for index, segment in enumerate(route.template.segments):
        if isinstance(segment, Literal):
            parts.append(segment.text)
            continue
        path = fields.get(index)
        name = _parameter_name(route.template.segments, index, ".".join(field.json_name for field in path or ()))
        while name in [taken for taken, _ in names]:
            name += "_"
        parts.append(f"{{{name}}}")
        names.append((name, path[-1] if path else route.scope.fields[0]))
    verb = f":{route.template.verb}" if route.template.verb else ""
    return "/" + "/".join(parts) + verb, names


def _parameter_name(segments: Sequence[Segment], index: int, field: str) -> str:
    """Name a wildcard after the collection before it, "host" after "hosts", or else after its field."""
    before = segments[index - 1] if index else ""
    match = _PLURAL.fullmatch(before.text) if isinstance(before, Literal) and segments[index] == ONE else None
    return match[1] if match else field or f"segment{index}"


def _path_parameters(names: Iterable[tuple[str, FieldDescriptor]], schemas: Schemas) -> Iterator[Json]:
    for name, field in names:
        is_text = field.type == FieldDescriptor.TYPE_STRING
        # Of a resource's name only one part stands here, so the rules of the whole do not hold for it.
        schema = {"type": "string", "minLength": 1} if is_text else schemas.field(field, is_input=True)
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(route: Route, schemas: Schemas) -> Iterator[Json]:
    if route.body == "*":
        return
    taken = set(route.variables.values()) | {(route.body,)}
    for path in _leaves(route.scope, (), _QUERY_DEPTH):
        if path not in taken and path[:1] != (route.body,):
            name = ".".join(field.json_name for field in path)
            required = len(path) == 1 and field_rules(path[0]).required
            schema = schemas.field(path[-1], is_input=True)
            yield {"name": name, "in": "query", "required": required, "schema": schema, **described(path[-1])}


def _leaves(
    scope: Descriptor, before: tuple[FieldDescriptor, ...], depth: int
) -> Iterator[tuple[FieldDescriptor, ...]]:
    for field in scope.fields:
        if in_query(field):
            yield (*before, field)
        elif field.message_type is not None and not field.is_repeated and depth:
            yield from _leaves(field.message_type, (*before, field), depth - 1)


def _headers(route: Route) -> Iterator[Json]:
    def header(name: str, words: str, **schema: Any) -> Json:
        return {"name": name, "in": "header", "description": words, "schema": {"type": "string"} | schema}

    if route.policy.second_factor == policy_pb2.SECOND_FACTOR_PER_CALL:
        yield header("solward-second-factor", "the proof of a code for this very call")
    if route.reply.DESCRIPTOR.full_name == SESSION:
        yield header(SESSION_HEADER, "tokens go into cookies instead of the body", enum=["cookie"])
    if route.mutates and not route.for_strangers:
        yield header(CSRF_HEADER, "with a session in cookies: its csrfToken")


def _reply(route: Route, schemas: Schemas) -> Json:
    reply = route.method.output_type
    if reply.full_name == _HTTP_BODY:
        return {"description": "The bytes.", "content": {"*/*": {}}}
    schema = schemas.field(route.reply_body, is_input=False) if route.reply_body else schemas.output(reply)
    if not route.streams:
        return {"description": "The reply.", "content": {"application/json": {"schema": schema}}}
    line = {"type": "object", "properties": {"result": schema, "error": {"$ref": "#/components/schemas/Error"}}}
    words = "One reply after another, as lines of JSON or as events; a failure on the way is the last."
    return {
        "description": words,
        "content": {"application/x-ndjson": {"schema": line}, "text/event-stream": {"schema": {"type": "string"}}},
    }


def _security(route: Route) -> list[Json]:
    if route.for_strangers:
        return []
    open_to_all = policy_pb2.PRINCIPAL_KIND_ANONYMOUS in route.policy.principals or not route.policy.principals
    return [*([{}] if open_to_all else []), {"bearer": []}, {"cookie": []}]


def _policy(route: Route) -> Json:
    policy = route.policy
    if not policy.permission:
        return {}

    def word(name: str, prefix: str) -> str:
        return name.removeprefix(prefix).lower()

    kinds = [word(policy_pb2.PrincipalKind.Name(kind), "PRINCIPAL_KIND_") for kind in policy.principals]
    return {
        "x-solward-permission": policy.permission,
        "x-solward-risk": word(policy_pb2.Risk.Name(policy.risk), "RISK_"),
        "x-solward-second-factor": word(policy_pb2.SecondFactor.Name(policy.second_factor), "SECOND_FACTOR_"),
        "x-solward-approvals": policy.approvals,
        "x-solward-principals": kinds,
        "x-solward-rate-class": word(policy_pb2.RateClass.Name(policy.rate), "RATE_CLASS_"),
    }


def _error_schema() -> Json:
    detail = {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]}
    return {
        "type": "object",
        "description": "An error as google.rpc.Status writes it; the ErrorInfo among its details has a stable reason.",
        "properties": {
            "code": {"type": "integer", "minimum": 1, "maximum": 16},
            "message": {"type": "string"},
            "details": {"type": "array", "items": detail},
        },
        "required": ["code", "message", "details"],
        "additionalProperties": False,
    }


def _json_response(words: str, schema: str) -> Json:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": words, "content": content}
