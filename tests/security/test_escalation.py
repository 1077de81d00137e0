"""Who has some access and wants more: by giving it to oneself, by an accomplice, by a colleague's account."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from solward.auth.v1 import access_pb2 as pb
from sqlalchemy import select

from controlplane.store.tables import call_approvals
from tests.support.access import ACCESS, approve, grant, hosts_of, invite, joined, reset
from tests.support.plane import Person, Plane, Refused, control_plane
from tests.support.stream import refused


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    """One that asks for no codes after the sign-in: what is tried here is another matter, and a code is good once."""
    async with control_plane(tmp_path, require_second_factor=False) as made:
        yield made


async def change(plane: Plane, admin: Person, name: str, *paths: str, **values: str | bool) -> pb.User:
    request = pb.UpdateUserRequest(user=f"users/{name}", update_mask=FieldMask(paths=paths), **values)  # type: ignore[arg-type]
    return await plane.call(f"{ACCESS}/UpdateUser", request, pb.User, admin)


async def make_role(plane: Plane, admin: Person, role: str, *permissions: str) -> pb.Role:
    request = pb.CreateRoleRequest(role=f"roles/{role}", permissions=permissions)
    return await plane.call(f"{ACCESS}/CreateRole", request, pb.Role, admin)


async def test_nobody_gives_more_than_they_hold_nor_acts_on_who_holds_more(plane: Plane) -> None:
    admin = await plane.sign_in()
    await make_role(plane, admin, "desk", "access.read", "access.write", "hosts.read")
    desk = await plane.sign_in("desk")
    other = await plane.sign_in("none")
    tries = {
        "a grant to oneself": grant(plane, desk, desk.name, "admin", "*"),
        "a grant on a group": grant(plane, desk, desk.name, "operator", "groups/tokyo"),
        "a role": make_role(plane, desk, "all", "access.write", "audit.prune"),
        "an invitation": invite(plane, desk, "mallory", "operator"),
        "a change of oneself": change(plane, desk, desk.name, "role", role="roles/admin"),
        "an admin's address": change(plane, desk, admin.name, "email", email="mallory@example.net"),
    }
    for what, attempt in tries.items():
        refusal = await refused(attempt)
        assert refusal.reason in ("MORE_THAN_HELD", "APPROVALS_MISSING"), what
    assert (await refused(grant(plane, desk, desk.name, "operator", "*"))).info.metadata["at"] == "every host"
    # An approver does not make it right either.
    waits = (await refused(reset(plane, desk, admin.name))).info.metadata
    second = await plane.sign_in()
    await approve(plane, second, waits["call_approval"], waits["call_digest"])
    assert (await refused(reset(plane, desk, admin.name))).reason == "MORE_THAN_HELD"
    # What they hold they may give.
    await make_role(plane, desk, "looks", "hosts.read")
    await grant(plane, desk, other.name, "looks", "*")
    assert await hosts_of(plane, other) == []


async def test_the_first_admin_alone_invites_the_second_and_nobody_alone_the_third(plane: Plane) -> None:
    first = await plane.sign_in()
    bob, _ = await joined(plane, first, "bob", "admin")
    for attempt in (
        lambda: invite(plane, first, "puppet", "admin"),
        lambda: grant(plane, first, "bob", "admin", "*"),
        lambda: change(plane, first, "bob", "email", email=""),
        lambda: change(plane, first, "bob", "disabled", disabled=False),
    ):
        refusal = await refused(attempt())
        assert (refusal.reason, refusal.info.metadata["wanted"]) == ("APPROVALS_MISSING", "1")
    waits = (await refused(invite(plane, first, "puppet", "admin"))).info.metadata
    assert (await refused(approve(plane, first, waits["call_approval"], waits["call_digest"]))).reason == "OWN_REQUEST"
    await approve(plane, bob, waits["call_approval"], waits["call_digest"])
    assert (await invite(plane, first, "puppet", "admin")).invitation
    # Keeping somebody out is quick, and so is what gives no power over access.
    assert (await change(plane, first, "puppet", "disabled", disabled=True)).disabled
    assert (await invite(plane, first, "olga", "operator")).invitation
    await grant(plane, first, "olga", "admin", "groups/tokyo")


async def test_what_is_not_valid_neither_waits_for_approval_nor_breaks_glass(plane: Plane) -> None:
    admin = await plane.sign_in()
    glass = (("solward-break-glass", "an emergency that is none"),)
    request: Message = pb.ResetSecondFactorRequest(user="users/" + "A" * 10_000)
    for metadata in ((), glass):
        with pytest.raises(Refused) as refusal:
            await plane.call(f"{ACCESS}/ResetSecondFactor", request, pb.Invitation, admin, metadata)
        assert refusal.value.reason == "INVALID_FIELD"
    async with plane.app.records.engine.connect() as connection:
        assert (await connection.execute(select(call_approvals.c.uid))).all() == []
