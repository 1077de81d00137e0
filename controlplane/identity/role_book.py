"""The role book: what every role permits, and the rules by which a user may do something somewhere."""

from collections.abc import Iterable

import grpc

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.guard.decision import Held
from controlplane.guard.roles import PERMISSIONS, ROLES, SELF
from controlplane.store.access import AccessRepository, GrantRow
from controlplane.store.users import User, UserRepository


class RoleBook:
    """Knows the built-in roles, the team's own, and the grants."""

    def __init__(self, access: AccessRepository, users: UserRepository) -> None:
        self._access = access
        self._users = users

    async def permissions(self, role: str) -> frozenset[str] | None:
        """Give what a role permits; None where there is none of the name."""
        if role in ROLES:
            return ROLES[role]
        own = (await self._access.roles()).get(role)
        return own | SELF if own is not None else None

    async def must_know(self, role: str) -> frozenset[str]:
        """Give what a role permits; ROLE_NOT_FOUND where it is not there."""
        permissions = await self.permissions(role)
        if permissions is None:
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "ROLE_NOT_FOUND", f"there is no roles/{role}: see ListRoles", {"role": role}
            )
        return permissions

    async def rules_of(self, user: User) -> tuple[Held, ...]:
        """Give every rule that a user has: the role everywhere, then the grants that hold."""
        own = await self.permissions(user.role) or SELF
        grants = await self._access.grants(now_ms(), user.uid)
        held = [Held(user.role, own)]
        for row in grants:
            permissions = await self.permissions(row.role)
            if permissions:
                held.append(Held(row.role, permissions, row.scope, row.host_uid, f"grants/{row.uid}"))
        return tuple(held)

    async def create(self, role: str, permissions: Iterable[str], creator: str) -> list[str]:
        """Make a role of known permissions; raise ROLE_EXISTS or PERMISSION_UNKNOWN."""
        wanted = sorted(set(permissions))
        unknown = [one for one in wanted if one not in PERMISSIONS]
        if unknown:
            what = f"unknown: {', '.join(unknown[:10])}; known are {', '.join(sorted(PERMISSIONS))}"
            raise SolwardError(
                grpc.StatusCode.INVALID_ARGUMENT, "PERMISSION_UNKNOWN", f"permissions: {what}",
                {"field": "permissions", "unknown": ",".join(unknown[:10])}, (("permissions", what),),
            )  # fmt: skip
        if role in ROLES or not await self._access.add_role(role, wanted, creator, now_ms()):
            raise SolwardError(
                grpc.StatusCode.ALREADY_EXISTS, "ROLE_EXISTS", f"there is a roles/{role} already", {"role": role}
            )
        return wanted

    async def delete(self, role: str) -> None:
        """Take one of the team's own roles away that nobody has; raise ROLE_IN_USE, ROLE_BUILT_IN or ROLE_NOT_FOUND."""
        if role in ROLES:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "ROLE_BUILT_IN", f"roles/{role} is part of the product"
            )
        holders = [user.name for user in await self._users.all() if user.role == role]
        granted: list[GrantRow] = [row for row in await self._access.grants(now_ms()) if row.role == role]
        if holders or granted:
            who = ", ".join([*(f"users/{name}" for name in holders), *(f"grants/{row.uid}" for row in granted)])
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "ROLE_IN_USE", f"roles/{role} is held: {who}", {"role": role}
            )
        await self.must_know(role)
        await self._access.delete_role(role)
