"""Whose grant reaches one host, and wants to see, or do, something about another."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf.message import Message
from solward.alerts.v1 import alerts_pb2
from solward.auth.v1 import access_pb2
from solward.controls.v1 import controls_pb2
from solward.hosts.v1 import hosts_pb2
from solward.operations.v1 import operations_pb2
from solward.validator.v1 import validator_pb2

from common.errors import info_of, status_of
from controlplane.store.operations import OperationRepository
from tests.support.access import ACCESS, grant
from tests.support.plane import Person, Plane, control_plane
from tests.support.stream import refused

ALERTS = "solward.alerts.v1.AlertsService"
CONTROLS = "solward.controls.v1.ControlsService"
OPERATIONS = "solward.operations.v1.OperationsService"


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    """One that asks for no codes after the sign-in: what is tried here is another matter, and a code is good once."""
    async with control_plane(tmp_path, require_second_factor=False) as made:
        yield made


async def scoped(plane: Plane, admin: Person, *hosts: str) -> Person:
    """Sign somebody in who is an operator on these hosts, and nothing elsewhere."""
    carol = await plane.sign_in("none")
    for host in hosts:
        await grant(plane, admin, carol.name, "operator", host)
    return carol


async def test_a_plan_for_many_hosts_tells_nothing_of_those_out_of_reach(plane: Plane) -> None:
    admin = await plane.sign_in()
    for name in ("sol-1", "sol-2"):
        await plane.add_machine(admin, name)
    carol = await scoped(plane, admin, "hosts/sol-1")
    changes = [{"name": "limit-ledger-size", "values": ["50000000"]}]
    asked = {
        "ApplyConfig": lambda **which: controls_pb2.ApplyConfigRequest(
            selector=controls_pb2.Selector(**which),
            changes=changes,
            validate_only=True,  # type: ignore[arg-type]
        ),
        "RollingRestart": lambda **which: controls_pb2.RollingRestartRequest(
            selector=controls_pb2.Selector(**which),
            validate_only=True,  # type: ignore[arg-type]
        ),
    }
    for method, make in asked.items():
        refusals = []
        for host in ("hosts/sol-2", "hosts/there-is-none"):
            request: Message = make(hosts=["hosts/sol-1", host])
            refusal = await refused(plane.call(f"{CONTROLS}/{method}", request, operations_pb2.Operation, carol))
            refusals.append((refusal.reason, refusal.message.replace(host, "HOST")))
        # Whether it is there, and how its flags stand, is not told.
        assert refusals[0] == refusals[1], method
        assert refusals[0][0] == "PERMISSION_MISSING"
        refusal = await refused(plane.call(f"{CONTROLS}/{method}", make(all=True), operations_pb2.Operation, carol))
        assert refusal.reason == "PERMISSION_MISSING", method
        assert "sol-2" not in refusal.message, method
        own = make(hosts=["hosts/sol-1"])
        shown = await plane.call(f"{CONTROLS}/{method}", own, operations_pb2.Operation, carol)
        assert [target.host for target in shown.targets] == ["hosts/sol-1"]


async def test_an_operation_of_others_is_refused_without_the_hosts_behind_it(plane: Plane) -> None:
    admin = await plane.sign_in()
    machines = {name: await plane.add_machine(admin, name) for name in ("sol-1", "sol-2")}
    carol = await scoped(plane, admin, "hosts/sol-1")
    uid = uuid.uuid4().hex
    operation = operations_pb2.Operation(
        name=f"operations/{uid}", kind="validator.restart", state=operations_pb2.OPERATION_STATE_FAILED,
        targets=[operations_pb2.Target(host="hosts/sol-1"), operations_pb2.Target(host="hosts/sol-2")],
    )  # fmt: skip
    await OperationRepository(plane.app.records.engine).add(uid, machines["sol-2"].uid, operation, None)
    for method, request in (
        ("GetOperation", operations_pb2.GetOperationRequest(name=operation.name)),
        ("RetryOperation", operations_pb2.RetryOperationRequest(name=operation.name, host="hosts/sol-1")),
        ("AbortOperation", operations_pb2.AbortOperationRequest(name=operation.name)),
    ):
        refusal = await refused(plane.call(f"{OPERATIONS}/{method}", request, operations_pb2.Operation, carol))
        assert (refusal.reason, refusal.info.metadata["at"]) == ("PERMISSION_MISSING", operation.name), method
        assert "sol-2" not in refusal.message
    listing = operations_pb2.ListOperationsRequest()
    listed = await plane.call(f"{OPERATIONS}/ListOperations", listing, operations_pb2.ListOperationsResponse, carol)
    assert not listed.operations


async def test_a_name_that_is_none_is_refused_as_any_other_and_is_no_fault_of_the_server(plane: Plane) -> None:
    admin = await plane.sign_in()
    await plane.add_machine(admin, "sol-1")
    await plane.add_machine(admin, "sol-2")
    carol = await scoped(plane, admin, "hosts/sol-1")
    for name in ("hosts/SOL", "hosts/../sol-1", "hosts/", "sol-1", "hosts/sol-1\0", "operations/\0", "alerts/\0"):
        request = validator_pb2.GetStatusRequest(host=name)
        method = "solward.validator.v1.ValidatorService/GetStatus"
        assert (await refused(plane.call(method, request, Message, carol))).reason == "PERMISSION_MISSING", name
        get = hosts_pb2.GetHostRequest(name=name)
        method = "solward.hosts.v1.HostsService/GetHost"
        assert (await refused(plane.call(method, get, hosts_pb2.Host, carol))).reason == "PERMISSION_MISSING", name


async def fire(plane: Plane, host: str, rule: str) -> None:
    """Raise an alert about a host."""
    alert = alerts_pb2.Alert(
        name=f"alerts/{uuid.uuid4().hex}", rule=rule, host=host, state=alerts_pb2.ALERT_STATE_FIRING
    )
    await plane.app.watching.alerts._book.put([alert])


async def test_case_26_a_watch_of_alerts_shows_no_host_whose_grant_has_ended(plane: Plane) -> None:
    admin = await plane.sign_in()
    for name in ("sol-1", "sol-2"):
        await plane.add_machine(admin, name)
    carol = await scoped(plane, admin, "hosts/sol-1")
    made = await grant(plane, admin, carol.name, "viewer", "hosts/sol-2")
    invoke = plane.channel().unary_stream(
        f"/{ALERTS}/WatchAlerts", alerts_pb2.WatchAlertsRequest.SerializeToString,
        alerts_pb2.WatchAlertsResponse.FromString,
    )  # fmt: skip
    await fire(plane, "hosts/sol-2", "before")
    call = invoke(alerts_pb2.WatchAlertsRequest(), metadata=(("authorization", f"Bearer {carol.token}"),))
    async with asyncio.timeout(10):
        assert [alert.rule for alert in (await call.read()).alerts] == ["before"]
        end = access_pb2.EndGrantRequest(name=made.name)
        await plane.call(f"{ACCESS}/EndGrant", end, access_pb2.Grant, admin)
        # The stream looks again every two seconds.
        await asyncio.sleep(2.2)
        await fire(plane, "hosts/sol-2", "after")
        await fire(plane, "hosts/sol-1", "mine")
        assert [alert.rule for alert in (await call.read()).alerts] == ["mine"]
        for one in (await plane.call(f"{ACCESS}/ListGrants", access_pb2.ListGrantsRequest(
            user=f"users/{carol.name}"), access_pb2.ListGrantsResponse, admin)).grants:  # fmt: skip
            await plane.call(f"{ACCESS}/EndGrant", access_pb2.EndGrantRequest(name=one.name), access_pb2.Grant, admin)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call.read()
        assert info_of(status_of(ended.value)).reason == "PERMISSION_MISSING"
