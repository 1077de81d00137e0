"""What is done later in somebody's name: it is judged at that time as the guard would judge a call of theirs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.message import Message
from solward.auth.v1 import access_pb2
from solward.geyser.v1 import geyser_pb2
from solward.validator.v1 import validator_pb2

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.geyser.mender import RESTART_VALIDATOR, SET_RECOVERY
from controlplane.store.certificates import ServiceRow
from controlplane.store.users import UserRepository
from tests.support.access import grant
from tests.support.plane import Plane, control_plane

SET = geyser_pb2.SetRecoveryRequest(pipeline="main", enabled=True)


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    async with control_plane(tmp_path, require_second_factor=False) as running:
        yield running


async def judged(plane: Plane, name: str, method: str = SET_RECOVERY, request: Message = SET, ago_ms: int = -1) -> str:
    """Give the reason that it is refused for; empty where it is not."""
    by_name = plane.app.geyser.mender._by_name
    try:
        await by_name.judge(name, now_ms() - ago_ms, method, request)
    except SolwardError as error:
        assert error.message
        return error.reason
    return ""


def restart(host: str) -> validator_pb2.RestartRequest:
    return validator_pb2.RestartRequest(host=f"hosts/{host}")


async def test_who_is_gone_or_kept_out_may_nothing(plane: Plane) -> None:
    person = await plane.add_person()
    assert await judged(plane, person.name) == ""
    # Who was made after the name was noted is another one of the same name.
    assert await judged(plane, person.name, ago_ms=3_600_000) == "USER_GONE"
    assert await judged(plane, "nobody") == "USER_GONE"
    await UserRepository(plane.app.records.engine).set(person.uid, disabled=True)
    assert await judged(plane, person.name) == "USER_DISABLED"


async def test_a_role_that_was_taken_away_counts_at_once(plane: Plane) -> None:
    person, users = await plane.add_person(), UserRepository(plane.app.records.engine)
    await users.set(person.uid, role="operator")
    assert await judged(plane, person.name) == "PERMISSION_MISSING"
    assert await judged(plane, person.name, RESTART_VALIDATOR, restart("sol-1")) == ""
    await users.set(person.uid, role="viewer")
    assert await judged(plane, person.name, RESTART_VALIDATOR, restart("sol-1")) == "PERMISSION_MISSING"


async def test_a_grant_reaches_its_own_hosts_alone(plane: Plane) -> None:
    admin, person = await plane.sign_in(), await plane.add_person("viewer")
    for name in ("sol-1", "sol-2"):
        await plane.add_machine(admin, name)
    held = await grant(plane, admin, person.name, "operator", "hosts/sol-1")
    assert await judged(plane, person.name, RESTART_VALIDATOR, restart("sol-1")) == ""
    assert await judged(plane, person.name, RESTART_VALIDATOR, restart("sol-2")) == "PERMISSION_MISSING"
    end = access_pb2.EndGrantRequest(name=held.name)
    await plane.confirmed("solward.auth.v1.AccessService/EndGrant", end, access_pb2.Grant, admin)
    assert await judged(plane, person.name, RESTART_VALIDATOR, restart("sol-1")) == "PERMISSION_MISSING"


async def test_a_service_is_judged_by_its_kind_and_its_role(plane: Plane) -> None:
    services = plane.app.records.services
    await services.add(ServiceRow("s" * 32, "mender", "admin", False, "ana", now_ms()))
    assert await judged(plane, "services/other") == "SERVICE_GONE"
    # Whatever its role: the call is for people.
    assert await judged(plane, "services/mender") == "WRONG_PRINCIPAL_KIND"
    listing = geyser_pb2.ListPipelinesRequest()
    assert await judged(plane, "services/mender", "solward.geyser.v1.GeyserService/ListPipelines", listing) == ""
    await services.set("s" * 32, disabled=True)
    assert await judged(plane, "services/mender") == "SERVICE_DISABLED"


async def test_who_must_set_up_an_authenticator_may_nothing_before(tmp_path: Path) -> None:
    async with control_plane(tmp_path) as plane:
        person = await plane.add_person()
        assert await judged(plane, person.name) == ""
        await UserRepository(plane.app.records.engine).set(person.uid, totp_seed=b"")
        assert await judged(plane, person.name) == "PERMISSION_MISSING"
