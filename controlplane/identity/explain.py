"""Explaining access: the same decision as the guard's, with its grounds."""

from typing import NamedTuple

import grpc

from common.errors import SolwardError
from controlplane.guard.decision import Asked, Decision, Held, decide
from controlplane.guard.places import Places
from controlplane.guard.roles import roles_with
from controlplane.guard.table import MethodRule, PolicyTable
from controlplane.identity.role_book import RoleBook
from controlplane.store.users import User


class Explained(NamedTuple):
    """A decision with its grounds."""

    rule: MethodRule
    decision: Decision
    rules: tuple[Held, ...]
    missing: str


class Explainer:
    """Answers who may call what, where, and why."""

    def __init__(self, table: PolicyTable, places: Places, roles: RoleBook) -> None:
        self._table = table
        self._places = places
        self._roles = roles

    async def explain(self, user: User, method: str, host: str) -> Explained:
        """Decide for a user, a method and perhaps a host; raise METHOD_UNKNOWN."""
        rule = self._find(method)
        rules = await self._roles.rules_of(user)
        places = [await self._places.of_host(host)] if host else []
        decision = decide(rules, Asked(rule.policy.permission, places, rule.policy.scoped and not host))
        if user.disabled:
            return Explained(rule, Decision(False), rules, f"users/{user.name} is kept out, whatever the rules give")
        return Explained(rule, decision, rules, "" if decision.allowed else _missing(user, rule, decision))

    def _find(self, method: str) -> MethodRule:
        wanted = method.strip("/")
        found = [rule for name, rule in self._table.items() if name == wanted or name.endswith(f".{wanted}")]
        found = found or [rule for name, rule in self._table.items() if name.rpartition("/")[2] == wanted]
        if len(found) != 1:
            words = "there are several" if found else "there is none"
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND,
                "METHOD_UNKNOWN",
                f"method: {words} of the name {wanted[:100]!r}: write it as Service/Method, see docs/permissions.md",
                {"method": wanted[:256]},
                (("method", words),),
            )
        return found[0]


def _missing(user: User, rule: MethodRule, decision: Decision) -> str:
    roles = ", ".join(roles_with(rule.policy.permission)) or "no built-in role"
    where = f" on {decision.missing_at}" if decision.missing_at else ""
    return (
        f"users/{user.name} lacks {rule.policy.permission}{where}; it comes with: {roles}. "
        f"Give it by a grant: ctl access grant {user.name} ROLE --on {decision.missing_at.replace('every host', '*')}"
    )
