"""The table of routes: every binding of every RPC, made from the descriptors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.api import annotations_pb2, http_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from solward.policy.v1 import policy_pb2

from common.policy import method_policy
from controlplane.gateway.templates import (
    ONE,
    Literal,
    Template,
    TemplateError,
    decode,
    parse,
    split_path,
)

_VERBS = ("get", "put", "post", "delete", "patch")
FieldPath = tuple[FieldDescriptor, ...]


class RouteError(ValueError):
    """A binding that cannot be served; the message names the RPC."""


@dataclass(frozen=True)
class Route:
    """One binding of one RPC.

    Args:
        http_method: in capitals.
        template: the path.
        rpc: the gRPC path, "/package.Service/Method".
        scope: what the request's fields are.
        request: the request's class.
        reply: the reply's class.
        streams: whether the RPC answers with a stream.
        collects: whether the RPC takes a stream.
        variables: the field of each variable of the template.
        body: None for no body, "*" for the whole request, or the field that the body is.
        reply_body: the field that is shown in place of the whole reply.
        method: the RPC itself.
        policy: who may call it, and what that may change; an empty one where it says nothing.
    """

    http_method: str
    template: Template
    rpc: str
    scope: Descriptor
    request: type[Message]
    reply: type[Message]
    streams: bool
    collects: bool
    variables: dict[tuple[str, ...], FieldPath]
    body: FieldDescriptor | str | None
    reply_body: FieldDescriptor | None
    method: MethodDescriptor
    policy: policy_pb2.MethodPolicy

    @property
    def mutates(self) -> bool:
        """Whether the RPC may change something."""
        return self.policy.risk != policy_pb2.RISK_READ

    @property
    def for_strangers(self) -> bool:
        """Whether the RPC is for callers who have not proved who they are, and for nobody else."""
        return list(self.policy.principals) == [policy_pb2.PRINCIPAL_KIND_ANONYMOUS]


@dataclass(frozen=True)
class Match:
    """A route and the values that a path gave to its variables, as text."""

    route: Route
    values: list[tuple[FieldPath, str]]


@dataclass
class _Node:
    literals: dict[str, "_Node"] = field(default_factory=dict)
    one: "_Node | None" = None
    rest: "_Node | None" = None
    # By verb, then by HTTP method.
    ends: dict[str, dict[str, Route]] = field(default_factory=dict)


class Routes:
    """Finds the route of a request: a literal wins over a wildcard, a verb over none.

    Args:
        services: whose RPCs are served; one without a binding is not.

    Raises:
        RouteError: a binding is malformed, names an unsuitable field, or is there twice.
    """

    def __init__(self, services: Iterable[ServiceDescriptor]) -> None:
        self._root = _Node()
        self._verbs: set[str] = set()
        self.all: list[Route] = []
        for service in services:
            for method in service.methods:
                for rule in _rules(method):
                    self._add(_route(method, rule))

    def find(self, http_method: str, path: str) -> Match | list[str]:
        """Find the route of a request.

        Args:
            http_method: in capitals; HEAD is served by GET.
            path: as received, without the query.

        Returns:
            The match; or the methods that the path has, none where there is no such path.

        Raises:
            PathError: the path cannot be decoded.
        """
        raw = split_path(path)
        wanted = "GET" if http_method == "HEAD" else http_method
        allowed: set[str] = set()
        for segments, ends in self._ends(raw):
            route = ends.get(wanted)
            if route is not None:
                values = route.template.values(segments)
                return Match(route, [(route.variables[name], text) for name, text in values])
            allowed |= ends.keys()
        return sorted(allowed | ({"HEAD"} if "GET" in allowed else set()))

    def _ends(self, raw: list[str]) -> Iterator[tuple[list[str], dict[str, Route]]]:
        if raw[-1].endswith(":"):
            return
        decoded = [decode(segment) for segment in raw]
        for cut, verb in self._cuts(raw[-1]):
            segments = raw if not verb else [*raw[:-1], raw[-1][:cut]]
            texts = decoded if not verb else [*decoded[:-1], decode(segments[-1])]
            for node, rest in _walk(self._root, texts, 0):
                # ** may stand for nothing at all, but a verb needs a segment to hang on.
                if verb in node.ends and not (verb and rest == len(texts)):
                    yield segments, node.ends[verb]

    def _cuts(self, last: str) -> Iterator[tuple[int, str]]:
        place = last.find(":")
        while place >= 0:
            if last[place + 1 :] in self._verbs:
                yield place, last[place + 1 :]
            place = last.find(":", place + 1)
        yield len(last), ""

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.template.segments:
            if isinstance(segment, Literal):
                node = node.literals.setdefault(segment.text, _Node())
            elif segment == ONE:
                node.one = node.one or _Node()
                node = node.one
            else:
                node.rest = node.rest or _Node()
                node = node.rest
        ends = node.ends.setdefault(route.template.verb, {})
        other = ends.get(route.http_method)
        if other is not None:
            path = f"{route.http_method} {route.template.text}"
            raise RouteError(f"{route.rpc}: {path} is also {other.template.text} of {other.rpc}")
        ends[route.http_method] = route
        self._verbs.add(route.template.verb)
        self.all.append(route)


def connect_routes(services: Iterable[ServiceDescriptor]) -> dict[str, Route]:
    """Give a route for every RPC at its own name, "/package.Service/Method", by which Connect calls it."""
    paths = ((f"/{service.full_name}/{method.name}", method) for service in services for method in service.methods)
    return {
        path: _route(method, http_pb2.HttpRule(post=path, body="*"))
        for path, method in paths
        if not method.client_streaming and not method.server_streaming
    }


def _walk(node: _Node, texts: list[str], index: int) -> Iterator[tuple[_Node, int]]:
    """Give every end that segments lead to, best first, with where ** began (-1 without one)."""
    if index == len(texts):
        yield node, -1
    else:
        literal = node.literals.get(texts[index])
        if literal is not None:
            yield from _walk(literal, texts, index + 1)
        if node.one is not None and texts[index]:
            yield from _walk(node.one, texts, index + 1)
    if node.rest is not None:
        yield node.rest, index


def _rules(method: MethodDescriptor) -> Iterator[http_pb2.HttpRule]:
    options = method.GetOptions()
    if not options.HasExtension(annotations_pb2.http):
        return
    rule = options.Extensions[annotations_pb2.http]
    yield rule
    for additional in rule.additional_bindings:
        if additional.additional_bindings:
            raise RouteError(f"{method.full_name}: an additional binding has additional bindings")
        yield additional


def _route(method: MethodDescriptor, rule: http_pb2.HttpRule) -> Route:
    pattern = rule.WhichOneof("pattern")
    http_method, path = pattern.upper() if pattern in _VERBS else "", getattr(rule, pattern or "get")
    if pattern == "custom":
        http_method, path = rule.custom.kind.upper(), rule.custom.path
    if not http_method.isalpha():
        raise RouteError(f"{method.full_name}: the binding has no HTTP method")
    try:
        template = parse(path)
    except TemplateError as error:
        raise RouteError(f"{method.full_name}: {error}") from None
    if method.client_streaming and (method.server_streaming or rule.body != "*" or template.variables):
        raise RouteError(
            f'{method.full_name}: a client\'s stream is bound with body "*" and without variables, and is answered once'
        )
    request, reply = method.input_type, method.output_type
    return Route(
        http_method=http_method,
        template=template,
        rpc=f"/{method.containing_service.full_name}/{method.name}",
        scope=request,
        request=message_factory.GetMessageClass(request),
        reply=message_factory.GetMessageClass(reply),
        streams=method.server_streaming,
        collects=method.client_streaming,
        variables={one.path: _variable(method, request, one.path) for one in template.variables},
        body=rule.body if rule.body == "*" else _member(method, request, rule.body),
        reply_body=_member(method, reply, rule.response_body),
        method=method,
        policy=method_policy(method) or policy_pb2.MethodPolicy(),
    )


def _member(method: MethodDescriptor, message: Descriptor, name: str) -> FieldDescriptor | None:
    if not name:
        return None
    found = message.fields_by_name.get(name)
    if found is None:
        raise RouteError(f"{method.full_name}: {message.full_name} has no field {name!r}")
    return found


def _variable(method: MethodDescriptor, message: Descriptor, path: tuple[str, ...]) -> FieldPath:
    fields: list[FieldDescriptor] = []
    scope: Descriptor | Any = message
    for name in path:
        found = scope.fields_by_name.get(name) if scope is not None else None
        if found is None or found.is_repeated:
            raise RouteError(f"{method.full_name}: the variable {'.'.join(path)!r} is no singular field")
        fields.append(found)
        scope = found.message_type
    if scope is not None:
        raise RouteError(f"{method.full_name}: the variable {'.'.join(path)!r} is a message")
    return tuple(fields)
