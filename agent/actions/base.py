"""What an action is: it looks, checks, acts once, and says what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from solward.geyser.v1 import geyser_pb2
from solward.hosts.v1 import link_pb2

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What an action came to; `figures` are particulars for people, such as where the tower was copied to."""

    result: link_pb2.ReceiptResult
    reason: str = ""
    message: str = ""
    after: link_pb2.UnitState | None = None
    job_ms: float = 0.0
    node: link_pb2.NodeReport | None = None
    figures: dict[str, str] = field(default_factory=dict)
    flags: link_pb2.FlagsReport | None = None
    snapshots: link_pb2.SnapshotsReport | None = None
    checks: Sequence[link_pb2.ArchiveCheck] = ()
    ledger: link_pb2.LedgerReport | None = None
    partition_lags: geyser_pb2.PartitionLags | None = None


class ActFailed(Exception):
    """An act that was begun and did not reach what was wanted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Act(Protocol):
    """One action on one unit, done at most once however often it is told."""

    async def look(self) -> link_pb2.UnitState:
        """Read the unit before; raise Refusal where systemd does not know it."""

    async def precondition(self, now: link_pb2.UnitState) -> None:
        """Refuse, with nothing changed, if things are not as the caller saw them or the act cannot be done."""

    def already_done(self, before: link_pb2.UnitState, now: link_pb2.UnitState) -> bool:
        """Whether an attempt that we did not live to see the end of has done its work."""

    async def act(self, tell: Tell) -> Outcome:
        """Do it, and see that it came to what was wanted."""

    async def see_through(self, now: link_pb2.UnitState) -> Outcome:
        """See to its end what an earlier attempt has done."""
