"""Leadership: of several control planes on one store one leads, and an old one that wakes up does no harm.

The lease says who leads, by the store's clock; each leader counts its own time from before it asked, so that it stops
sooner than another can begin. Its term goes into every permit, and agents refuse a lower one than they have seen.
"""

import asyncio
import fcntl
import os
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from common import sdnotify
from controlplane.servers import StartError
from controlplane.store.leases import LeaseRepository

log = structlog.get_logger(__name__)

NAME = "leader"
TTL_S = 8.0
RENEW_S = 2.0
# A leader takes itself for none this long before its lease is over.
MARGIN_S = 1.0
ASK_S = 1.0
# The exit status of one that has lost its lease; systemd starts it anew, and it stands by.
LOST = 75


class AlreadyRuns(StartError):
    """Another control plane runs on this data folder."""


class Leadership:
    """Whether this process leads, and in which term.

    Args:
        data_dir: a store in this folder belongs to one process, which the system itself sees to; None: the store is
            shared, and the lease decides.
    """

    def __init__(self, leases: LeaseRepository, data_dir: Path | None) -> None:
        self._leases = leases
        self._data_dir = data_dir
        self._until = 0.0
        self.term = 0

    @property
    def leads(self) -> bool:
        """Whether this process may act."""
        return (self._data_dir is not None and self.term > 0) or time.monotonic() < self._until

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Lead for the length of a block; stand by until that is possible.

        Raises: AlreadyRuns.
        """
        if self._data_dir is not None:
            with _locked(self._data_dir / "lock"):
                self.term = await self._leases.take(NAME, uuid.uuid4().hex, 0, sure=True) or 0
                yield
            return
        await self._stand_by()
        keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            self._until = 0.0
            await self._leases.give_up(NAME, self.term)

    async def _stand_by(self) -> None:
        holder, said = uuid.uuid4().hex, False
        while True:
            asked = time.monotonic()
            try:
                term = await self._leases.take(NAME, holder, round(TTL_S * 1000))
            except (SQLAlchemyError, OSError) as error:
                log.warning("the store cannot be asked who leads", error=type(error).__name__)
                term = None
            if term:
                self.term, self._until = term, asked + TTL_S - MARGIN_S
                log.info("this control plane leads", term=term)
                return
            if not said:
                said = True
                log.info("another control plane leads: standing by")
                # Ready in systemd's sense, or it would be ended for not becoming so.
                sdnotify.notify("READY=1\nSTATUS=standing by")
            sdnotify.notify("WATCHDOG=1")
            await asyncio.sleep(ASK_S)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(min(RENEW_S, max(0.0, self._until - time.monotonic())))
            if not self.leads:
                _end("it could not renew its lease in time")
            asked = time.monotonic()
            try:
                async with asyncio.timeout(self._until - asked):
                    renewed = await self._leases.renew(NAME, self.term, round(TTL_S * 1000))
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("the lease was not renewed", error=type(error).__name__)
                continue
            if not renewed:
                _end("another control plane leads")
            self._until = asked + TTL_S - MARGIN_S


def _end(why: str) -> None:
    """End at once: whatever is under way goes on with the one that leads, and nothing more may be written here."""
    log.critical("this control plane leads no more", why=why)
    os._exit(LOST)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a folder as the only process; the system lets go of it when the process ends, however it does."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise AlreadyRuns(f"another control plane runs on {path.parent}") from None
    finally:
        os.close(fd)
