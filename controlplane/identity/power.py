"""Power over access: whether a call gives it to somebody, and that nobody gives more than they hold."""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import Message

from common.errors import SolwardError
from controlplane.guard.decision import EVERYWHERE, Held
from controlplane.guard.roles import SELF
from controlplane.identity.call_approvals import same_person
from controlplane.identity.role_book import RoleBook
from controlplane.store.users import User, UserRepository

# Who has one of these everywhere could make an accomplice, or be one.
POWERS = frozenset({"access.write", "access.approve", "access.break_glass"})


class Power:
    """Knows which calls give somebody power over access: one person alone could approve their own calls by it."""

    def __init__(self, users: UserRepository, roles: RoleBook) -> None:
        self._users = users
        self._roles = roles

    async def is_given(self, request: Message | None, requester_uid: str) -> bool:
        """Whether a call gives power over access, and others are there who could be asked.

        While nobody but the requester has ever set an authenticator up, there is nobody to ask.

        Args:
            request: of a method whose policy asks for power_approvals; it names a user, and perhaps a role.
            requester_uid: who calls.
        """
        return await self._gives(request) and await self._others(requester_uid)

    async def _gives(self, request: Any) -> bool:
        paths = request.update_mask.paths if hasattr(request, "update_mask") else ("role",)
        # On one host or group they are worth nothing.
        everywhere = getattr(request, "scope", EVERYWHERE) == EVERYWHERE
        if (
            everywhere
            and "role" in paths
            and POWERS & (await self._roles.permissions(_id(request.role)) or frozenset())
        ):
            return True
        # Another address makes another person of an account; an account that was kept out comes back with its power.
        if "email" in paths or ("disabled" in paths and not request.disabled):
            user = await self._users.by_name(_id(request.user))
            held = await self._roles.rules_of(user) if user else ()
            return any(rule.everywhere and POWERS & rule.permissions for rule in held)
        return False

    async def _others(self, requester_uid: str) -> bool:
        requester = await self._users.by_uid(requester_uid)
        return any(
            one.has_second_factor and not (requester and same_person(one, requester)) for one in await self._users.all()
        )

    async def must_hold_all_of(self, rules: Iterable[Held], user: User) -> None:
        """Refuse to act on an account that may do more than the caller, who could make it their own."""
        mine = tuple(rules)
        for rule in await self._roles.rules_of(user):
            must_hold(mine, rule.permissions, rule.scope, rule.host_uid)


def must_hold(rules: Iterable[Held], permissions: Iterable[str], scope: str = EVERYWHERE, host_uid: str = "") -> None:
    """Refuse to give what the caller does not hold there: MORE_THAN_HELD, which names it.

    Args:
        rules: the caller's.
        permissions: what is to be given.
        scope: where: "*", groups/{group} or hosts/{host}.
        host_uid: of the host that the scope names.
    """
    there = [rule for rule in rules if rule.everywhere or (rule.scope, rule.host_uid) == (scope, host_uid)]
    held = frozenset().union(*(rule.permissions for rule in there)) | SELF
    more = sorted(set(permissions) - held)
    if more:
        where = "every host" if scope == EVERYWHERE else scope
        raise SolwardError(
            grpc.StatusCode.PERMISSION_DENIED,
            "MORE_THAN_HELD",
            f"you do not hold {', '.join(more)} on {where}, and so cannot give it, or act on who holds it",
            {"permissions": ",".join(more), "at": where},
        )


def _id(name: str) -> str:
    return name.partition("/")[2]
