"""Second factor and approvals: what a caller must have proved for this method, besides who it is."""

import grpc
from solward.policy.v1 import policy_pb2

from common.errors import SolwardError
from common.policy import field_approvals
from controlplane.guard.chain import Link
from controlplane.guard.context import Call
from controlplane.identity.second_factors import SecondFactors

PROOF_KEY = "solward-second-factor"


class SecondFactor(Link):
    """Asks for a recent code or for one bound to this call; a plan (validate_only) needs none."""

    def __init__(self, factors: SecondFactors, *, required: bool) -> None:
        self._factors = factors
        self._required = required

    async def enter(self, call: Call) -> None:
        """Refuse with SECOND_FACTOR_REQUIRED, and the digest to confirm, until the factor is proved."""
        policy = call.rule.policy
        if policy.approvals:
            raise _approvals_missing(policy.approvals)
        call.approvals = field_approvals(call.request)
        # A plan changes nothing, and a code is good once: it is kept for the call that acts.
        if not self._required or getattr(call.request, "validate_only", False):
            return
        if policy.second_factor == policy_pb2.SECOND_FACTOR_RECENT:
            if not await self._factors.is_recent(call.principal.session):
                raise _required("RECENT", "", "a code verified within the last 5 minutes")
        elif policy.second_factor == policy_pb2.SECOND_FACTOR_PER_CALL:
            proof = call.metadata.get(PROOF_KEY, "")
            if not proof:
                raise _required("PER_CALL", call.digest, "a code verified for this very call")
            if not await self._factors.spend(proof, call.principal.session, call.digest):
                raise _required("PER_CALL", call.digest, "a fresh proof: this one is spent, over, or of another call")


def _required(factor: str, digest: str, what: str) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.PERMISSION_DENIED,
        "SECOND_FACTOR_REQUIRED",
        f"this call needs {what}; verify one with auth.VerifySecondFactor",
        {"factor": factor, "call_digest": digest},
    )


def _approvals_missing(wanted: int) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.PERMISSION_DENIED,
        "APPROVALS_MISSING",
        f"this call needs the approval of {wanted} other people and has none",
        {"wanted": str(wanted), "given": "0"},
    )
