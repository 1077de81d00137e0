"""Breaking the glass: in an emergency one person does without the approval of others, as loudly as can be."""

import grpc
import structlog
from prometheus_client import Counter

from common.errors import SolwardError
from controlplane.alerts.notices import Notices
from controlplane.guard.context import Call

GLASS_KEY = "solward-break-glass"
PERMISSION = "access.break_glass"
LEAST_REASON, MOST_REASON = 10, 500
_BROKEN = Counter("solward_break_glass_total", "Calls made without the approval that they ask for.", ("method",))
log = structlog.get_logger(__name__)


class BreakGlass:
    """Lets a call do without approvals for a reason that is given, audited, logged, counted and raised as an alert."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices

    async def breaks(self, call: Call) -> bool:
        """Whether the caller does without approvals; raise BREAK_GLASS_REFUSED where it may not, or says no reason."""
        reason = call.metadata.get(GLASS_KEY, "").strip()
        if not reason:
            return False
        if not call.principal.sees_all(PERMISSION):
            raise _refused(f"{call.principal.name} lacks the permission {PERMISSION}; it comes with: admin")
        if not LEAST_REASON <= len(reason) <= MOST_REASON:
            raise _refused(f"the reason must have {LEAST_REASON} to {MOST_REASON} characters")
        call.break_glass = reason
        _BROKEN.labels(call.rule.name).inc()
        log.critical("glass broken", user=call.principal.name, method=call.rule.name, resource=call.resource,
                     reason=reason, peer=call.peer)  # fmt: skip
        where = f" on {call.resource}" if call.resource else ""
        await self._notices.give(
            "break_glass",
            f"{call.principal.name} called {call.rule.name}{where} without approval: {reason}",
            call.principal.name,
        )
        return True


def _refused(message: str) -> SolwardError:
    return SolwardError(grpc.StatusCode.PERMISSION_DENIED, "BREAK_GLASS_REFUSED", message, {"permission": PERMISSION})
