"""Witnesses: every agent holds the newest checkpoint that it was told, and what it holds is compared with this log."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import Counter, Gauge
from solward.audit.v1 import audit_pb2 as pb
from solward.hosts.v1 import link_pb2

from common.auditlog import Checkpoint
from common.auditwire import checkpoint_message, checkpoint_of
from common.clock import now_ms
from common.errors import SolwardError
from common.merkle import EMPTY_ROOT
from common.names import host_name
from controlplane.audit.log import AuditLog
from controlplane.links.registry import AgentLink, Links

WRONG = frozenset({pb.VERDICT_FORKED, pb.VERDICT_LONGER_THAN_OURS, pb.VERDICT_FOREIGN_KEY})
EVENT = "audit.disputed"
# What agents have said and nobody has looked at yet; each says a word a minute.
QUEUE = 10_000
_DISPUTES = Counter("solward_audit_disputes", "Times that a host's checkpoint was found to contradict the audit log.")
_STANDING = Gauge("solward_audit_witnesses", "Hosts by how their checkpoint compares with the audit log.", ["verdict"])
log = structlog.get_logger(__name__)
Alarm = Callable[[str, Iterable[link_pb2.Event]], Awaitable[None]]


@dataclass(slots=True)
class Seen:
    """What one host's agent holds.

    Attributes:
        host: the host's name.
        held: its checkpoint.
        seen_ms: when it last said so, milliseconds since the epoch.
        verdict: how that compares with this log.
        detail: the same in words, where something is wrong.
    """

    host: str
    held: Checkpoint | None = None
    seen_ms: int = 0
    verdict: pb.Verdict = pb.VERDICT_UNKNOWN
    detail: str = ""


class Witnesses:
    """Tells agents of checkpoints, and judges what they hold.

    Args:
        audit: the log.
        links: who is connected.
        alarm: raises an alert on a host.
    """

    def __init__(self, audit: AuditLog, links: Links, alarm: Alarm) -> None:
        self._audit = audit
        self._links = links
        self._alarm = alarm
        self._key = Ed25519PublicKey.from_public_bytes(audit.public_key)
        self._said: asyncio.Queue[tuple[AgentLink, link_pb2.WitnessReport, bool]] = asyncio.Queue(QUEUE)
        # By the host's uid.
        self._seen: dict[str, Seen] = {}

    @property
    def key(self) -> bytes:
        """The key that agents pin."""
        return self._audit.public_key

    def seen(self, host_uid: str) -> Seen | None:
        """Say what a host's agent holds, where it has connected since the start."""
        return self._seen.get(host_uid)

    def met(self, link: AgentLink) -> None:
        """Take note of what an agent holds as its stream begins; it is told of the newest checkpoint."""
        held = link.hello.held_checkpoint if link.hello.HasField("held_checkpoint") else None
        self._put(link, link_pb2.WitnessReport(held=held), first=True)

    def report(self, link: AgentLink, report: link_pb2.WitnessReport) -> None:
        """Take note of what an agent answered."""
        self._put(link, report, first=False)

    async def run(self) -> None:
        """Judge what agents say, and tell them of every checkpoint, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._judge_forever(), name="audit witnesses")
            group.create_task(self._tell_forever(), name="audit checkpoints told")

    def _put(self, link: AgentLink, report: link_pb2.WitnessReport, *, first: bool) -> None:
        if self._said.full():
            log.warning("a witness is not heard: too many wait", host=link.name)
            return
        self._said.put_nowait((link, report, first))

    async def _judge_forever(self) -> None:
        while True:
            link, report, first = await self._said.get()
            seen = self._seen.setdefault(link.host_uid, Seen(link.name))
            seen.host, seen.seen_ms = link.name, now_ms()
            seen.held = checkpoint_of(report.held) if report.HasField("held") else None
            try:
                await self._look(seen)
                if first:
                    await self._tell(link, seen)
            except SolwardError as error:
                log.warning("a witness could not be compared", host=link.name, reason=error.reason)

    async def _tell_forever(self) -> None:
        told = self._audit.head
        while True:
            while self._audit.head is told:
                await self._audit.signed.wait()
            told = self._audit.head
            for link in self._links.open_links():
                seen = self._seen.get(link.host_uid)
                if seen is None:
                    continue
                try:
                    await self._look(seen)
                    if seen.verdict not in WRONG:
                        await self._tell(link, seen)
                except SolwardError as error:
                    log.warning("a witness could not be told", host=link.name, reason=error.reason)

    async def _tell(self, link: AgentLink, seen: Seen) -> None:
        point = self._audit.head
        if point is None or (seen.held is not None and (point.size, point.root) == (seen.held.size, seen.held.root)):
            return
        message = checkpoint_message(point)
        message.consistency_proof.extend(await self._audit.growth(seen.held.size if seen.held else 0, point))
        link.send(link_pb2.ConnectResponse(checkpoint=message))

    async def _look(self, seen: Seen) -> None:
        before = seen.verdict
        seen.verdict, seen.detail = await self._judge(seen.held)
        if seen.verdict in WRONG:
            await self._dispute(seen, new=seen.verdict != before)
        self._count()

    async def _judge(self, held: Checkpoint | None) -> tuple[pb.Verdict, str]:
        if held is None:
            return pb.VERDICT_UNKNOWN, ""
        if held.public_key != self.key or not held.signed_by(self._key):
            return pb.VERDICT_FOREIGN_KEY, f"what it holds over {held.size} entries was not signed with this log's key"
        if held.origin != self._audit.origin:
            return pb.VERDICT_FORKED, f"what it holds is of another log, {held.origin!r}"
        if held.size > self._audit.size:
            return (
                pb.VERDICT_LONGER_THAN_OURS,
                f"it holds {held.size} signed entries, this log has {self._audit.size}: it was cut, or is an old copy",
            )
        root = await self._audit.proofs.root(held.size) if held.size else EMPTY_ROOT
        if root != held.root:
            return pb.VERDICT_FORKED, f"what it holds over {held.size} entries is of another history of this log"
        head = self._audit.head
        return (pb.VERDICT_AGREES if head is None or held.size >= head.size else pb.VERDICT_BEHIND), ""

    async def _dispute(self, seen: Seen, *, new: bool) -> None:
        reason = pb.Verdict.Name(seen.verdict).removeprefix("VERDICT_")
        # Again at every look, so that the alert lasts as long as the dispute.
        event = link_pb2.Event(
            kind=EVENT, unix_ms=now_ms(), message=f"{reason}: {seen.detail}",
            meaning="what this host remembers of the audit log contradicts it",
            advice="ctl audit witness; ctl audit export and ctl audit verify --witness, before anything is changed",
        )  # fmt: skip
        await self._alarm(seen.host, [event])
        if not new:
            return
        _DISPUTES.inc()
        log.critical("a host contradicts the audit log", host=seen.host, verdict=reason, why=seen.detail)
        await self._audit.append(
            {
                "phase": "event",
                "principal": host_name(seen.host),
                "kind": "agent",
                "method": "audit.witness",
                "resource": host_name(seen.host),
                "code": "DATA_LOSS",
                "reason": reason,
                "message": seen.detail,
                "held_size": seen.held.size if seen.held else 0,
                "held_root": seen.held.root.hex() if seen.held else "",
            }
        )

    def _count(self) -> None:
        verdicts = [seen.verdict for seen in self._seen.values()]
        for verdict in pb.Verdict.values()[1:]:
            word = pb.Verdict.Name(verdict).removeprefix("VERDICT_").lower()
            _STANDING.labels(word).set(sum(one == verdict for one in verdicts))
