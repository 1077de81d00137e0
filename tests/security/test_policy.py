"""Attacks through gaps of the policy: methods without one, unknown methods, forged pages of lists."""

import base64
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc
from solward.audit.v1 import audit_pb2
from solward.hosts.v1 import hosts_pb2
from solward.operations.v1 import operations_pb2
from solward.policy.v1 import policy_pb2

import controlplane.app as app_module
from controlplane.api.paging import page_token
from controlplane.api.services import SERVICES
from controlplane.guard.table import PolicyMissing, read_table
from controlplane.identity.installation import create
from tests.support.plane import Plane, Refused, make_settings
from tests.support.stream import entries, refused

FULL = policy_pb2.MethodPolicy(
    permission="toy.play",
    risk=policy_pb2.RISK_READ,
    second_factor=policy_pb2.SECOND_FACTOR_NONE,
    principals=[policy_pb2.PRINCIPAL_KIND_USER],
    audit=policy_pb2.AUDIT_LEVEL_NONE,
    rate=policy_pb2.RATE_CLASS_READ,
)


def toy_service(policy: policy_pb2.MethodPolicy | None) -> Any:
    """A service toy.v1.Toys with one method Play, made on the spot."""
    file = descriptor_pb2.FileDescriptorProto(name="toy.proto", package="toy.v1", syntax="proto3")
    file.message_type.add(name="PlayRequest").field.add(name="host", number=1, type=9, label=1)
    method = file.service.add(name="Toys").method.add(
        name="Play", input_type=".toy.v1.PlayRequest", output_type=".toy.v1.PlayRequest"
    )
    if policy is not None:
        method.options.Extensions[policy_pb2.method].CopyFrom(policy)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName("toy.v1.Toys")


def test_case_27_method_without_a_policy_is_named() -> None:
    with pytest.raises(PolicyMissing, match=r"toy\.v1\.Toys/Play has no policy"):
        read_table([toy_service(None)])


@pytest.mark.parametrize("field", ["permission", "risk", "second_factor", "principals", "audit", "rate"])
def test_case_27_policy_that_lacks_a_part_is_named(field: str) -> None:
    policy = policy_pb2.MethodPolicy()
    policy.CopyFrom(FULL)
    policy.ClearField(field)  # type: ignore[arg-type]
    with pytest.raises(PolicyMissing, match=rf"toy\.v1\.Toys/Play does not say its {field}"):
        read_table([toy_service(policy)])


def test_case_27_resource_field_must_be_one_of_the_request() -> None:
    policy = policy_pb2.MethodPolicy(resource_field="hots")
    policy.MergeFrom(FULL)
    with pytest.raises(PolicyMissing, match="names hots, which its request has not"):
        read_table([toy_service(policy)])
    policy.resource_field = "host"
    assert read_table([toy_service(policy)])["toy.v1.Toys/Play"].policy == policy


def test_case_27_server_does_not_start_and_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(tmp_path)
    installation = create(settings)
    monkeypatch.setattr(app_module, "SERVICES", (*SERVICES, toy_service(None)))
    with pytest.raises(PolicyMissing, match=r"toy\.v1\.Toys/Play"):
        app_module.App(settings, installation)
    assert not list(settings.data_dir.glob("*.db"))


async def test_case_27_unknown_method_is_unimplemented_before_any_work(plane: Plane) -> None:
    channel = plane.channel()
    for name in (
        "solward.hosts.v1.HostsService/DropHosts",
        "solward.hosts.v1.HostsService/listhosts",
        "solward.hosts.v1.HostsService/ListHosts/",
        "solward.hosts.v2.HostsService/ListHosts",
        "/solward.hosts.v1.HostsService/ListHosts",
        "x",
    ):
        call = plane.call(name, Empty(), Empty, metadata=(("authorization", "Bearer x"),), channel=channel)
        assert (await refused(call)).code is grpc.StatusCode.UNIMPLEMENTED, name
    assert plane.app.auditing.log.size == 0


async def test_case_27_anonymous_caller_gets_nothing_but_login_and_health(plane: Plane) -> None:
    channel = plane.channel()
    for rule in read_table(SERVICES).values():
        if policy_pb2.PRINCIPAL_KIND_ANONYMOUS in rule.policy.principals or rule.client_streaming:
            continue
        kind = "unary_stream" if rule.server_streaming else "unary_unary"
        call = getattr(channel, kind)(f"/{rule.name}", Empty.SerializeToString, Empty.FromString)(Empty(), timeout=5)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            if rule.server_streaming:
                async for _ in call:
                    pass
            else:
                await call
        refusal = Refused(caught.value)
        assert (refusal.code.name, refusal.reason) == ("UNAUTHENTICATED", "NOT_SIGNED_IN"), rule.name


async def test_health_is_watched_by_anybody_at_the_open_door(plane: Plane) -> None:
    watch = health_pb2_grpc.HealthStub(plane.channel()).Watch(health_pb2.HealthCheckRequest(), timeout=10)
    answer = await watch.read()
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    # It goes on, and is told of the end of service.
    await plane.app.servers._health.enter_graceful_shutdown()
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()


async def test_case_27_refusal_names_the_permission_and_who_has_it(plane: Plane) -> None:
    viewer = await plane.sign_in("viewer")
    request = hosts_pb2.RevokeHostRequest(name="hosts/sol-1")
    refusal = await refused(plane.call("solward.hosts.v1.HostsService/RevokeHost", request, hosts_pb2.Host, viewer))
    assert refusal.reason == "PERMISSION_MISSING"
    assert dict(refusal.info.metadata) == {"permission": "hosts.revoke", "role": "viewer", "roles": "admin"}
    (entry,) = await entries(plane, reason="PERMISSION_MISSING")
    assert (entry["principal"], entry["allowed"], entry["resource"]) == (viewer.name, False, "hosts/sol-1")


LISTS = {
    "solward.hosts.v1.HostsService/ListHosts": (hosts_pb2.ListHostsRequest, hosts_pb2.ListHostsResponse),
    "solward.operations.v1.OperationsService/ListOperations": (
        operations_pb2.ListOperationsRequest,
        operations_pb2.ListOperationsResponse,
    ),
    "solward.audit.v1.AuditService/ListEntries": (audit_pb2.ListEntriesRequest, audit_pb2.ListEntriesResponse),
}


def forged_tokens(request: Any) -> list[str]:
    """Tokens of the right question, which is no secret, with positions that no page ever had."""
    question = json.loads(base64.urlsafe_b64decode(page_token(request, []) + "=="))[0]
    positions: list[Any] = [
        [], ["x"], [1], [1, 2], ["x", "y"], [True], [None], [1.5], [10**40], [-(10**40), "x"], [[1]], [{}], [1, "x", 2],
    ]  # fmt: skip
    whole = [json.dumps([question, *position]) for position in positions]
    whole += ["[]", "{}", "1", "null", '"', "[" * 200, json.dumps([question])]
    return [base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")[:256] for text in whole] + ["%", "=", "é", "a"]


@pytest.mark.parametrize("method", LISTS)
async def test_case_28_forged_page_token_is_refused_and_breaks_nothing(plane: Plane, method: str) -> None:
    admin = await plane.sign_in()
    request_type, reply = LISTS[method]
    channel = plane.channel()
    for token in forged_tokens(request_type()):
        try:
            await plane.call(method, request_type(page_token=token), reply, admin, channel=channel)
        except Refused as refusal:
            assert (refusal.code.name, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD"), token


async def test_case_28_page_token_of_one_person_grants_another_nothing(plane: Plane) -> None:
    admin = await plane.sign_in()
    for name in ("a", "b"):
        await plane.add_machine(admin, name)
    listing = "solward.hosts.v1.HostsService/ListHosts"
    first = await plane.call(listing, hosts_pb2.ListHostsRequest(page_size=1), hosts_pb2.ListHostsResponse, admin)
    second = hosts_pb2.ListHostsRequest(page_size=1, page_token=first.next_page_token)
    assert [host.name for host in (await plane.call(listing, second, hosts_pb2.ListHostsResponse, admin)).hosts] == [
        "hosts/b"
    ]
    assert (await refused(plane.call(listing, second, hosts_pb2.ListHostsResponse))).reason == "NOT_SIGNED_IN"
    # Of another list it is no token at all.
    elsewhere = operations_pb2.ListOperationsRequest(page_token=first.next_page_token)
    method = "solward.operations.v1.OperationsService/ListOperations"
    assert (await refused(plane.call(method, elsewhere, operations_pb2.ListOperationsResponse, admin))).reason == (
        "INVALID_FIELD"
    )
