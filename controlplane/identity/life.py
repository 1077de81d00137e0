"""The life of the certificates in a running control plane: noticed on disk, renewed in time, told to everybody."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from controlplane.audit.log import AuditLog
from controlplane.identity.authorities import Change
from controlplane.identity.live import LivePki

log = structlog.get_logger(__name__)

PERIOD_SECONDS = 2.0
# Between tries after a failure, which leaves everything as it was.
AGAIN_SECONDS = 30.0


class PkiLife:
    """Looks every two seconds, or at once when it is told to.

    Args:
        pki: what is kept alive.
        audit: learns of changes that an operator made on disk.
        tell: called, in this order, after each change.
    """

    def __init__(self, pki: LivePki, audit: AuditLog, tell: Sequence[Callable[[], Awaitable[None]]]) -> None:
        self._pki = pki
        self._audit = audit
        self._tell = tuple(tell)
        self._hurry = asyncio.Event()

    def renew_now(self) -> None:
        """Renew the server's certificate at once (SIGHUP)."""
        self._hurry.set()

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            pause_s, renew = PERIOD_SECONDS, self._hurry.is_set()
            self._hurry.clear()
            try:
                await self.look(renew=renew)
            except Exception:
                # What serves goes on serving with what it has.
                log.exception("the certificates cannot be renewed; they stay as they are, and it is tried again")
                pause_s = AGAIN_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._hurry.wait()

    async def look(self, *, renew: bool = False) -> None:
        """Take in what is new, tell of it, and record what an operator did."""
        if await asyncio.to_thread(self._pki.refresh, renew=renew):
            for tell in self._tell:
                await tell()
        changes = self._pki.authorities.changes
        if changes:
            for change in changes:
                await self._audit.append(_entry(change))
            # Recorded first: a crash here records it twice, never not at all.
            await asyncio.to_thread(self._pki.store.audited, changes)
            await asyncio.to_thread(self._pki.refresh)


def _entry(change: Change) -> dict[str, object]:
    return {
        "phase": "event",
        "principal": f"local/{change.by}",
        "kind": "local",
        "method": f"ca.{change.what}",
        "resource": f"authorities/{change.authority}",
        "code": "OK",
        "reason": "FORCED" if change.forced else "",
        "message": f"on the control plane's host, at {change.time_ms} ms since the epoch"
        + (", although somebody is cut off by it" if change.forced else ""),
    }
