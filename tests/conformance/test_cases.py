"""Every case of cases.yaml against our gateway."""

import json
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2, descriptor_pool

from controlplane.gateway.routes import RouteError, Routes
from tests.conformance import scenarios
from tests.conformance.cases import Case, Try, load
from tests.support.stand import Stand

CASES = load()
named = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def service_with(*bindings: tuple[str, str]) -> Any:
    """Make a service with one RPC for each binding; its request has the fields a, b, m and the repeated many."""
    service_with.count += 1  # type: ignore[attr-defined]
    package = f"solward.toy.made{service_with.count}"  # type: ignore[attr-defined]
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    request = file.message_type.add(name="Request")
    kind = descriptor_pb2.FieldDescriptorProto
    for number, name in enumerate(("a", "b"), 1):
        request.field.add(name=name, number=number, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    request.field.add(name="many", number=4, type=kind.TYPE_STRING, label=kind.LABEL_REPEATED)
    request.field.add(
        name="m", number=3, type=kind.TYPE_MESSAGE, label=kind.LABEL_OPTIONAL, type_name=f".{package}.Request"
    )
    service = file.service.add(name="Service")
    for number, (method, path) in enumerate(bindings):
        rpc = service.method.add(
            name=f"Rpc{number}", input_type=f".{package}.Request", output_type=f".{package}.Request"
        )
        setattr(rpc.options.Extensions[annotations_pb2.http], method, path)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(f"{package}.Service")


service_with.count = 0  # type: ignore[attr-defined]


def test_there_are_sixty_and_each_has_something_to_say() -> None:
    assert [int(case.name.partition(" ")[0]) for case in CASES] == list(range(1, 61))
    assert all(case.tries or case.raw.keys() & {"bindings", "scenario"} for case in CASES)


@pytest.mark.parametrize("case", [one for one in CASES if "bindings" in one.raw], ids=lambda one: one.name)
def test_bindings(case: Case) -> None:
    bindings = [next(iter(one.items())) for one in case.raw["bindings"]]
    groups = [bindings] if case.raw.get("together") else [[one] for one in bindings]
    for group in groups:
        if "refused" in case.raw:
            with pytest.raises(RouteError, match=case.raw["refused"]):
                Routes([service_with(*group)])
    for path, rpc in case.raw.get("routes", {}).items():
        match = Routes([service_with(*bindings)]).find("GET", path)
        assert not isinstance(match, list)
        assert match.route.rpc.endswith(rpc)


@pytest.mark.parametrize("case", [one for one in CASES if one.tries], ids=lambda one: one.name)
async def test_tries(case: Case, stand: Stand) -> None:
    for one in case.tries:
        await attempt(one, stand)


@pytest.mark.parametrize("case", [one for one in CASES if "scenario" in one.raw], ids=lambda one: one.name)
async def test_scenarios(case: Case, stand: Stand) -> None:
    await getattr(scenarios, case.raw["scenario"])(stand)


async def attempt(one: Try, stand: Stand) -> None:
    answer = await stand.send(one.method, one.path, **one.options())
    text = await answer.text()
    assert answer.status == one.status, (one, text)
    if one.method == "HEAD":
        assert text == ""
    if "is" in one.wanted:
        assert json.loads(text) == one.wanted["is"], one
    if "lines" in one.wanted:
        assert [json.loads(line) for line in text.splitlines()] == one.wanted["lines"], one
    for name, value in one.wanted.get("headers_are", {}).items():
        assert answer.headers[name] == value, one
    if one.status >= 400 and one.method != "HEAD":
        body: dict[str, Any] = json.loads(text)
        assert body.keys() == {"code", "message", "details"}, one
        assert body["code"] == one.wanted.get("code", body["code"]), one
