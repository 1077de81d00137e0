"""Policy: is this kind of caller meant, and does it hold the permission at the hosts that the call is about?"""

import grpc
from google.protobuf.message import Message
from solward.policy.v1 import policy_pb2

from common.errors import SolwardError
from controlplane.guard.chain import Link
from controlplane.guard.context import Call, Principal, resource_of
from controlplane.guard.decision import Asked, Decision, decide
from controlplane.guard.places import Places
from controlplane.guard.roles import roles_with
from controlplane.guard.table import MethodRule


class Policy(Link):
    """Compares the caller with the method's policy; says what is missing, where, and who has it."""

    def __init__(self, places: Places) -> None:
        self._places = places

    async def enter(self, call: Call) -> None:
        """Refuse a caller of another kind, or without the permission at the hosts that the call is about."""
        await self.judge(call.principal, call.rule, call.request)

    async def judge(self, principal: Principal, rule: MethodRule, request: Message | None) -> None:
        """Judge whether a principal may ask for something.

        Raises: SolwardError NOT_SIGNED_IN, WRONG_PRINCIPAL_KIND or PERMISSION_MISSING.
        """
        policy = rule.policy
        if principal.kind not in policy.principals:
            raise _wrong_kind(principal, rule)
        permission = asked_permission(principal, rule, request)
        if principal.sees_all(permission):
            return
        if not principal.may(permission):
            raise _missing(principal, permission, Decision(False))
        places = await self._places.of(rule, request)
        decision = decide(principal.rules, Asked(permission, places or (), policy.scoped and places is None))
        if not decision.allowed:
            raise _missing(principal, permission, decision)

    async def recheck(self, call: Call) -> None:
        """A role or a grant may have been taken away meanwhile."""
        await self.enter(call)


def asked_permission(principal: Principal, rule: MethodRule, request: Message | None) -> str:
    """Give the permission that a call asks for: another one where it is about what is not the caller's own."""
    policy = rule.policy
    user = principal.kind == policy_pb2.PRINCIPAL_KIND_USER
    own = ("", f"users/{principal.name}" if user else principal.name)
    others = policy.others_permission and resource_of(rule, request) not in own
    return policy.others_permission if others else policy.permission


def _missing(principal: Principal, permission: str, decision: Decision) -> SolwardError:
    """Say which permission is missing, where, and which roles have it."""
    roles = roles_with(permission)
    where = decision.missing_at
    scopes = [rule.words() for rule in principal.rules if permission in rule.permissions]
    has = f"holds {permission} by {'; '.join(scopes)}, and not on {where}" if scopes else (
        f"has the role {principal.role or 'none'}, which lacks the permission {permission}"
    )  # fmt: skip
    return SolwardError(
        grpc.StatusCode.PERMISSION_DENIED,
        "PERMISSION_MISSING",
        f"{principal.name} {has}; it comes with: {', '.join(roles) or 'no role'}",
        {"permission": permission, "role": principal.role, "roles": ",".join(roles)} | ({"at": where} if where else {}),
    )


def _wrong_kind(principal: Principal, rule: MethodRule) -> SolwardError:
    wanted = [_word(kind) for kind in rule.policy.principals]
    is_kind = _word(principal.kind)
    metadata = {"kind": is_kind, "wanted": ",".join(wanted)}
    if principal.kind == policy_pb2.PRINCIPAL_KIND_ANONYMOUS:
        return SolwardError(
            grpc.StatusCode.UNAUTHENTICATED,
            "NOT_SIGNED_IN",
            "this call needs a signed-in caller: sign in (ctl login) or present a certificate",
            metadata,
        )
    return SolwardError(
        grpc.StatusCode.PERMISSION_DENIED,
        "WRONG_PRINCIPAL_KIND",
        f"this call is for {' or '.join(wanted)}, but the caller is {is_kind}",
        metadata,
    )


def _word(kind: policy_pb2.PrincipalKind) -> str:
    return policy_pb2.PrincipalKind.Name(kind).removeprefix("PRINCIPAL_KIND_").lower()
