"""The OpenAPI document is true: what it describes is what is answered, whatever is asked."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from controlplane.api.services import SERVICES
from controlplane.gateway.openapi import document
from controlplane.gateway.routes import Routes
from tests.conformance.toy import SERVICE
from tests.support.plane import Plane
from tests.support.stand import Stand

EXAMPLES = 4
LOGOUTS = ("AuthService_Logout", "AuthService_EndOidcSession")


def described(services: Any = SERVICES) -> dict[str, Any]:
    return document(Routes(services).all)


def test_every_binding_is_described_once_under_a_name_of_its_own() -> None:
    routes = Routes(SERVICES).all
    found = described()
    operations = [operation for path in found["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names)) == len(routes) + 4
    for operation in operations:
        if operation["tags"] != ["gateway"]:
            assert {"x-solward-permission", "x-solward-second-factor", "x-solward-risk"} <= operation.keys()


def test_the_document_is_valid_openapi_3_1() -> None:
    for services in (SERVICES, [SERVICE]):
        OpenAPIV31SpecValidator(described(services)).validate()


def test_the_contracts_own_words_are_in_it() -> None:
    found = described()
    listed = found["paths"]["/api/geyser/pipelines"]["get"]
    assert listed["summary"] == "Tells how every pipeline stands, and which hop is at fault"
    assert listed["x-solward-rpc"] == "GeyserService.ListPipelines"
    field = found["components"]["schemas"]["solward.geyser.v1.Pipeline"]["properties"]["slowHop"]
    assert field["description"].startswith("The name of the hop that is at fault")
    summaries = [one["summary"] for verbs in found["paths"].values() for one in verbs.values()]
    assert not [one for one in summaries if re.fullmatch(r"\w+Service\.\w+", one)], "an RPC without a comment"


def test_every_reference_leads_somewhere() -> None:
    for services in (SERVICES, [SERVICE]):
        found = described(services)
        references = json.dumps(found).split('"$ref": "#/')[1:]
        assert references
        for reference in references:
            place: Any = found
            for part in reference.partition('"')[0].split("/"):
                place = place[part]
            assert place


def test_values_are_described_as_they_are_written() -> None:
    schema = described([SERVICE])["components"]["schemas"]["solward.toy.v1.Everything"]["properties"]
    assert schema["int64"] == {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
    assert schema["int32"]["minimum"] == -(2**31)
    assert schema["data"]["contentEncoding"] == "base64"
    assert schema["color"]["enum"] == ["COLOR_UNSPECIFIED", "COLOR_RED", "COLOR_BLUE"]
    assert schema["time"] == {"type": "string", "format": "date-time"}
    assert schema["wrapped"]["format"] == "int64"
    assert schema["map"] == {"type": "object", "additionalProperties": {"type": "string"}}
    assert schema["leftSide"] == {"type": "string"}


def test_policy_of_an_rpc_is_beside_it() -> None:
    found = described()["paths"]["/api/validator/restart"]["post"]
    assert found["x-solward-permission"] == "validator.restart"
    assert found["x-solward-second-factor"] == "per_call"
    assert "solward-second-factor" in [parameter["name"] for parameter in found["parameters"]]
    assert described()["paths"]["/auth/login"]["post"]["security"] == []
    assert found["security"] == [{"bearer": []}, {"cookie": []}]


# The control plane in the other thread draws random numbers while a strategy is at work; hypothesis takes them for its.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.timeout(180)
async def test_whatever_is_asked_is_answered_as_described(plane: Plane, tmp_path: Path) -> None:
    """Every path with what fits its schema and what does not: never a 5xx, and each reply of its schema."""
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    authority = tmp_path / "ca.pem"
    authority.write_text(plane.installation.ca.pem)
    base = f"https://localhost:{plane.app.gateway_port}"
    schema = schemathesis.openapi.from_dict(described())
    operations = [result.ok() for result in schema.get_all_operations()]
    # Last of all, since they end the session.
    operations.sort(key=lambda operation: operation.definition.raw["operationId"] in LOGOUTS)
    seen: dict[int, int] = {}

    def drive() -> None:
        for operation in operations:
            _drive(operation, base, {"Authorization": f"Bearer {admin.token}"}, str(authority), seen)

    await asyncio.to_thread(drive)
    assert sum(seen.values()) >= len(operations)
    assert seen[200] > 20
    assert seen[400] > 20


def _drive(operation: Any, base: str, headers: dict[str, str], authority: str, seen: dict[int, int]) -> None:
    streams = "application/x-ndjson" in str(operation.definition.raw["responses"]["200"])
    if streams:
        headers = headers | {"Grpc-Timeout": "100m"}
    checks = [] if streams else [content_type_conformance, response_schema_conformance]

    @settings(
        max_examples=EXAMPLES, database=None, derandomize=True, deadline=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        response = case.call(base_url=base, headers=headers, verify=authority)
        seen[response.status_code] = seen.get(response.status_code, 0) + 1
        # A stream that has nothing to say ends at its deadline.
        assert response.status_code < 500 or (streams and response.status_code == 504), response.text
        try:
            case.validate_response(response, checks=checks) if checks else None
        except FailureGroup as failures:
            raise AssertionError([str(failure) for failure in failures.exceptions]) from None

    ask()


async def test_a_page_shows_the_document_and_takes_nothing_from_elsewhere(stand: Stand) -> None:
    for path, content_type in (
        ("/docs", "text/html"),
        ("/docs/page.js", "text/javascript"),
        ("/docs/page.css", "text/css"),
    ):
        answer = await stand.send("GET", path)
        text = await answer.text()
        assert (answer.status, answer.content_type) == (200, content_type)
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "//" not in text.replace("// ", ""), "an address of elsewhere"
        assert "innerHTML" not in text
        if path == "/docs":
            assert not re.search(r"<script(?! src=)|<style|style=|\son\w+=", text), "something inline"
