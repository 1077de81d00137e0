"""Second factor and approvals: what a caller must have proved for this method, besides who it is."""

import grpc
from solward.policy.v1 import policy_pb2

from common.errors import SolwardError
from common.policy import field_approvals
from controlplane.guard.break_glass import BreakGlass
from controlplane.guard.chain import Link
from controlplane.guard.context import Call
from controlplane.guard.validation import validate
from controlplane.identity.call_approvals import CallApprovals
from controlplane.identity.power import Power
from controlplane.identity.second_factors import SecondFactors

PROOF_KEY = "solward-second-factor"


class SecondFactor(Link):
    """Asks for a code, then for approvals; a plan (validate_only) needs neither."""

    def __init__(
        self, factors: SecondFactors, approvals: CallApprovals, power: Power, glass: BreakGlass, *, required: bool
    ) -> None:
        self._factors = factors
        self._approvals = approvals
        self._power = power
        self._glass = glass
        self._required = required

    async def enter(self, call: Call) -> None:
        """Refuse with SECOND_FACTOR_REQUIRED, and the digest to confirm, or with APPROVALS_MISSING, and what waits."""
        call.approvals = field_approvals(call.request)
        # A plan changes nothing, and a code is good once: it is kept for the call that acts.
        if getattr(call.request, "validate_only", False):
            return
        if self._required:
            await self._prove(call)
        wanted = await self._wanted(call)
        if not (call.approvals or wanted):
            return
        if call.request is not None:
            # What cannot be done is neither told as an emergency nor shown to approvers.
            validate(call.request)
        if await self._glass.breaks(call):
            call.approvals = 0
        elif wanted:
            await self._be_approved(call, wanted)

    async def _wanted(self, call: Call) -> int:
        """Say how many people must approve before the call is let in at all."""
        policy = call.rule.policy
        if policy.power_approvals and await self._power.is_given(call.request, call.principal.uid):
            return max(policy.approvals, policy.power_approvals)
        return policy.approvals

    async def _prove(self, call: Call) -> None:
        factor = call.rule.policy.second_factor
        if factor == policy_pb2.SECOND_FACTOR_RECENT:
            if await self._factors.recent_until(call.principal.session) is None:
                raise second_factor_required("RECENT", "", "a code verified within the last 5 minutes")
        elif factor == policy_pb2.SECOND_FACTOR_PER_CALL:
            proof = call.metadata.get(PROOF_KEY, "")
            if not proof:
                raise second_factor_required("PER_CALL", call.digest, "a code verified for this very call")
            if not await self._factors.spend(proof, call.principal.session, call.digest):
                what = "a fresh proof: this one is spent, over, or of another call"
                raise second_factor_required("PER_CALL", call.digest, what)

    async def _be_approved(self, call: Call, wanted: int) -> None:
        # The table takes no method with approvals whose requests come as a stream.
        assert call.request is not None  # noqa: S101
        uid = await self._approvals.must_be_approved(
            call.rule.name, call.digest, call.request, call.principal.uid, wanted
        )
        await self._approvals.use(uid)


def second_factor_required(factor: str, digest: str, what: str) -> SolwardError:
    """Say that a second factor is missing, and which."""
    return SolwardError(
        grpc.StatusCode.PERMISSION_DENIED,
        "SECOND_FACTOR_REQUIRED",
        f"this call needs {what}; verify one with auth.VerifySecondFactor",
        {"factor": factor, "call_digest": digest},
    )
