"""Retention: entries older than is kept are pruned, up to a checkpoint, each cut signed and recorded."""

import asyncio

import grpc
import structlog

from common.auditprune import POLICY, Prune
from common.clock import now_ms
from common.errors import SolwardError
from controlplane.audit import faults
from controlplane.audit.log import AuditLog
from controlplane.store.audit import AuditRepository

DAY_MS = 86_400_000
METHOD = "audit.prune"
# Entries that one transaction takes out; more would hold up whoever writes meanwhile.
STEP = 20_000
AGAIN_S = 3600.0
log = structlog.get_logger(__name__)


class Retention:
    """Prunes the log, by the policy and when a person asks.

    Args:
        audit: the log.
        repository: where its checkpoints are.
        days: for how long entries are kept at least, in days; 0 for ever, unless a person prunes.
    """

    def __init__(self, audit: AuditLog, repository: AuditRepository, days: int) -> None:
        self._audit = audit
        self._repository = repository
        self._days = days
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Prune by the policy until cancelled, once a day as a rule; a store that is down is tried again."""
        while self._days:
            try:
                await self.prune(now_ms() - self._days * DAY_MS, POLICY)
                await asyncio.sleep(DAY_MS / 1000)
            except SolwardError as error:
                log.warning("audit_prune_failed", reason=error.reason, error=error.message)
                await asyncio.sleep(AGAIN_S)

    def must_allow(self, before_ms: int) -> None:
        """Refuse to prune what the policy keeps, or what has not happened yet.

        Raises:
            SolwardError: INVALID_ARGUMENT, BEFORE_IN_FUTURE; FAILED_PRECONDITION, RETENTION_KEEPS.
        """
        now = now_ms()
        if before_ms > now:
            raise SolwardError(
                grpc.StatusCode.INVALID_ARGUMENT, "BEFORE_IN_FUTURE", "before must be a time that is over",
                violations=[("before", "must be a time that is over")],
            )  # fmt: skip
        if before_ms > now - self._days * DAY_MS and self._days:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "RETENTION_KEEPS",
                f"audit_retention_days keeps entries for {self._days} days: give an earlier time",
                {"days": str(self._days)},
            )  # fmt: skip

    async def last_to_go(self, before_ms: int) -> int:
        """Say up to which entry the log would be pruned; 0 where nothing is old enough.

        Args:
            before_ms: everything that goes was logged before, milliseconds since the epoch.
        """
        async with faults.store("read"):
            point = await self._repository.checkpoint_before(
                before_ms, self._audit.size, self._audit.origin, self._audit.public_key
            )
        return point.size if point is not None and point.size >= self._audit.first else 0

    async def prune(self, before_ms: int, by: str) -> list[Prune]:
        """Take out everything up to the newest checkpoint that was signed before a time.

        Args:
            before_ms: that time, milliseconds since the epoch.
            by: who prunes: a user, or `POLICY`.

        Returns:
            The signed records, one for each cut; none where nothing is old enough.

        Raises:
            SolwardError: UNAVAILABLE, AUDIT_UNAVAILABLE.
        """
        done: list[Prune] = []
        async with self._turn:
            end = await self.last_to_go(before_ms)
            while self._audit.first <= end:
                done.append(await self._cut(await self._step(end), by))
        return done

    async def _step(self, end: int) -> int:
        """Find where to cut next: at a checkpoint, not too far on."""
        first = self._audit.first
        if end - first < STEP:
            return end
        async with faults.store("read"):
            points = await self._repository.checkpoints(
                first, min(end, first + STEP), self._audit.origin, self._audit.public_key
            )
        return points[-1].size if points else end

    async def _cut(self, size: int, by: str) -> Prune:
        about = {"method": METHOD, "principal": by, "resource": f"auditEntries/{self._audit.first}-{size}"}
        # On record before it is done, as every change is.
        await self._audit.append({**about, "phase": "decision", "allowed": True})
        try:
            prune = await self._audit.cut(size, by)
        except SolwardError as error:
            await self._audit.append({**about, "phase": "outcome", "code": error.code.name, "reason": error.reason})
            raise
        await self._audit.append({**about, "phase": "outcome", "code": "OK", "prune": _recorded(prune)})
        log.info("audit_pruned", first=prune.first, last=prune.size, by=by)
        return prune


def _recorded(prune: Prune) -> dict[str, object]:
    return {
        "first": prune.first,
        "last": prune.size,
        "count": prune.removed,
        "root": prune.root.hex(),
        "chain": prune.chain.hex(),
        "signature": prune.signature.hex(),
    }
