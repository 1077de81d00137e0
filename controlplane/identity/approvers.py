"""Approvers of operations: who counts, judged anew at each approval."""

import grpc

from common.errors import SolwardError
from controlplane.identity.call_approvals import same_person
from controlplane.identity.role_book import RoleBook
from controlplane.store.users import User, UserRepository

PERMISSION = "operations.approve"


class Approvers:
    """Knows whose approval of an operation counts."""

    def __init__(self, users: UserRepository, roles: RoleBook) -> None:
        self._users = users
        self._roles = roles

    async def counted(self, approver: str, requester: str, before: list[str]) -> list[str]:
        """List who of the earlier approvers still counts, by name.

        Args:
            approver: who approves now.
            requester: who asked for the operation.
            before: who approved earlier.

        Raises: SolwardError OWN_REQUEST or ALREADY_APPROVED for a second account of the same person, and
            REQUESTER_GONE for an operation of somebody who is kept out by now.
        """
        me, asked = await self._users.by_name(approver), await self._users.by_name(requester)
        if asked is None or asked.disabled:
            raise _refused("REQUESTER_GONE", f"{requester}, who asked for it, is kept out by now: ask for it yourself")
        if me and asked and same_person(me, asked):
            raise _refused("OWN_REQUEST", "who asked for it cannot approve it: another person must")
        earlier = [user for name in before if (user := await self._users.by_name(name))]
        good = [user for user in earlier if await self._may(user) and not (asked and same_person(user, asked))]
        if me and any(same_person(me, user) for user in good):
            raise _refused("ALREADY_APPROVED", "you have approved it already: another person must, too")
        return [user.name for user in good]

    async def _may(self, user: User) -> bool:
        rules = await self._roles.rules_of(user)
        return not user.disabled and any(PERMISSION in rule.permissions for rule in rules)


def _refused(reason: str, message: str) -> SolwardError:
    return SolwardError(grpc.StatusCode.PERMISSION_DENIED, reason, message)
