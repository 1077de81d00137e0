"""Policy: is this kind of caller meant, and does its role hold the permission?"""

import grpc
from solward.policy.v1 import policy_pb2

from common.errors import SolwardError
from controlplane.guard.chain import Link
from controlplane.guard.context import Call
from controlplane.guard.roles import roles_with


class Policy(Link):
    """Compares the caller with the method's policy; says what is missing and who has it."""

    async def enter(self, call: Call) -> None:
        """Refuse a caller of another kind, or without the permission."""
        policy, principal = call.rule.policy, call.principal
        if principal.kind not in policy.principals:
            raise self._wrong_kind(call)
        if policy.permission not in principal.permissions:
            roles = roles_with(policy.permission)
            raise SolwardError(
                grpc.StatusCode.PERMISSION_DENIED,
                "PERMISSION_MISSING",
                f"{principal.name} has the role {principal.role or 'none'}, which lacks the permission "
                f"{policy.permission}; it comes with: {', '.join(roles) or 'no role'}",
                {"permission": policy.permission, "role": principal.role, "roles": ",".join(roles)},
            )

    async def recheck(self, call: Call) -> None:
        """A role may have been taken away meanwhile."""
        await self.enter(call)

    def _wrong_kind(self, call: Call) -> SolwardError:
        wanted = [_word(kind) for kind in call.rule.policy.principals]
        is_kind = _word(call.principal.kind)
        metadata = {"kind": is_kind, "wanted": ",".join(wanted)}
        if call.principal.kind == policy_pb2.PRINCIPAL_KIND_ANONYMOUS:
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
