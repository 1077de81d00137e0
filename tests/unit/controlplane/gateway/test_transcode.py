"""Requests to messages: whatever comes, it becomes a message or is refused, and never anything else."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from solward.audit.v1 import audit_pb2
from solward.auth.v1 import auth_pb2
from solward.hosts.v1 import hosts_pb2
from solward.operations.v1 import operations_pb2
from solward.rpc.v1 import rpc_pb2
from solward.validator.v1 import validator_pb2

from controlplane.gateway import transcode
from controlplane.gateway.errors import GatewayError
from controlplane.gateway.routes import Match, Routes
from controlplane.gateway.templates import PathError

MODULES = (audit_pb2, auth_pb2, hosts_pb2, operations_pb2, rpc_pb2, validator_pb2)
SERVICES = [service for module in MODULES for service in module.DESCRIPTOR.services_by_name.values()]
ROUTES = Routes(SERVICES)
RESTART = "/api/validator/restart"


def match_of(method: str, path: str) -> Match:
    found = ROUTES.find(method, path)
    assert isinstance(found, Match)
    return found


def read(method: str, path: str, query: str = "", body: bytes = b"") -> Message:
    return transcode.read_request(match_of(method, path), query, body)


def test_every_binding_of_the_contract_is_found() -> None:
    assert len({route.rpc for route in ROUTES.all}) >= 15
    for route in ROUTES.all:
        segments = [
            one if isinstance(one, str) and one not in "**" else getattr(one, "text", "x")
            for one in route.template.segments
        ]
        path = "/" + "/".join(segments) + (f":{route.template.verb}" if route.template.verb else "")
        assert match_of(route.http_method, path).route is route


def test_path_and_body_make_one_message() -> None:
    body = json.dumps({"validateOnly": True, "timeout_seconds": 5}).encode()
    message = read("POST", "/v1/hosts/a/validator:restart", body=body)
    assert message == validator_pb2.RestartRequest(host="hosts/a", validate_only=True, timeout_seconds=5)


def test_query_makes_the_message() -> None:
    message = read("GET", "/v1/auditEntries", "pageSize=5&principal=user%3Aalice+b&page_token=")
    assert message == audit_pb2.ListEntriesRequest(page_size=5, principal="user:alice b")


def test_an_error_names_its_field() -> None:
    with pytest.raises(GatewayError) as caught:
        read("GET", "/v1/auditEntries", "pageSize=many")
    assert caught.value.violations[0][0] == "page_size"
    assert caught.value.http_status == 400


def test_an_error_does_not_repeat_a_large_body() -> None:
    body = json.dumps({"timeout_seconds": "x" * 100_000}).encode()
    with pytest.raises(GatewayError) as caught:
        read("POST", RESTART, body=body)
    assert len(caught.value.message) < 400


def test_replies_are_proto_json() -> None:
    reply = operations_pb2.ListOperationsResponse(
        operations=[operations_pb2.Operation(name="operations/é", state=operations_pb2.OPERATION_STATE_RUNNING)],
        next_page_token="t",
    )
    text = transcode.write_reply(match_of("GET", "/v1/operations").route, reply)
    assert json.loads(text) == {
        "operations": [{"name": "operations/é", "state": "OPERATION_STATE_RUNNING"}],
        "nextPageToken": "t",
    }
    assert "é".encode() in text


@given(st.binary(max_size=200))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    try:
        message = read("POST", RESTART, body=body)
    except GatewayError as error:
        assert error.http_status == 400
        return
    assert isinstance(message, validator_pb2.RestartRequest)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(["host", "validate_only", "validateOnly", "timeoutSeconds", "reason", "planHash", "x"])


@given(st.dictionaries(fields, json_values, max_size=4))
def test_any_object_is_read_or_refused(value: dict[str, Any]) -> None:
    try:
        message = read("POST", RESTART, body=json.dumps(value).encode())
    except GatewayError as error:
        assert error.http_status == 400
        return
    assert "x" not in value
    assert not {"validate_only", "validateOnly"} <= value.keys()
    assert isinstance(message, validator_pb2.RestartRequest)


@given(st.text("pageSizeprincipal_token=&%25+.é0\x00", max_size=40))
def test_any_query_is_read_or_refused(query: str) -> None:
    try:
        message = read("GET", "/v1/auditEntries", query)
    except GatewayError as error:
        assert error.http_status == 400
        return
    assert isinstance(message, audit_pb2.ListEntriesRequest)


@given(st.text("/v1hosts:*{}%2Fé.", max_size=40))
def test_any_path_is_found_or_not(path: str) -> None:
    try:
        found = ROUTES.find("GET", "/v1/" + path)
    except PathError:
        return
    assert isinstance(found, (Match, list))


@given(st.text())
def test_any_text_survives_the_query_and_the_body(text: str) -> None:
    message = read("GET", "/v1/auditEntries", f"principal={quote(text, safe='')}")
    assert message == audit_pb2.ListEntriesRequest(principal=text)
    message = read("POST", RESTART, body=json.dumps({"reason": text}).encode())
    assert message == validator_pb2.RestartRequest(reason=text)


def test_a_path_of_many_colons_and_slashes_is_quick() -> None:
    assert ROUTES.find("GET", "/" + ":" * 8000 + "x") == []
    assert ROUTES.find("GET", "/a" * 4000) == []
