"""What every request that makes a plan an operation has in common."""

import grpc

from common.errors import SolwardError
from controlplane.guard.context import caller


def request_key(kind: str, request_id: str) -> str | None:
    """Name a request, so that a second one of the same name finds the first one's operation; None without an id."""
    return f"{caller().uid}/{kind}/{request_id}" if request_id else None


def refuse_changed(plan_hash: str, wanted: str) -> None:
    """Refuse a plan that is not the one that was shown; an empty hash means any."""
    if wanted and wanted != plan_hash:
        raise SolwardError(
            grpc.StatusCode.ABORTED,
            "PLAN_CHANGED",
            "the plan is not the one that was shown: things have changed since; look at the new plan first",
            {"wanted": wanted, "plan_hash": plan_hash},
        )
