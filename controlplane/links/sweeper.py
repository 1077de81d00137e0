"""The sweeper: cuts streams whose host lost its standing, also when another replica took it."""

import asyncio

import grpc
import structlog

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.links.registry import Links
from controlplane.store.hosts import ACTIVE, HostRepository

log = structlog.get_logger(__name__)

PERIOD_SECONDS = 2.0


class Sweeper:
    """Compares open streams with the store every two seconds, and records when hosts were last seen."""

    def __init__(self, hosts: HostRepository, links: Links) -> None:
        self._hosts = hosts
        self._links = links

    async def run(self) -> None:
        """Sweep until cancelled; a store that is down for a moment is tried again."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            try:
                await self.sweep()
            except Exception:
                log.exception("sweep failed; trying again")

    async def sweep(self) -> None:
        """Cut every open stream whose host is not active any more."""
        states = await self._hosts.states()
        for link in self._links.open_links():
            if states.get(link.host_uid) != ACTIVE:
                self._links.cut(link.host_uid, revoked())
        await self._hosts.seen_all([link.host_uid for link in self._links.open_links()], now_ms())


def revoked() -> SolwardError:
    """Tell an agent that its host was cut off."""
    return SolwardError(
        grpc.StatusCode.PERMISSION_DENIED, "HOST_REVOKED", "this host was cut off: enroll it again to let it back in"
    )
