"""Several operations on one host, one after the other, as a durable workflow; each is an operation of its own.

Which part has been begun is on the board before it happens; after a crash a part is found by its name, which follows
from the whole and the step.
"""

from collections.abc import Sequence
from functools import partial
from itertools import starmap
from typing import NamedTuple

import structlog
from dbos import DBOS, DBOSConfiguredInstance
from solward.operations.v1 import operations_pb2 as pb

from common.errors import SolwardError, info_of
from common.names import operation_name
from controlplane.links.registry import Links
from controlplane.operations.board import ended
from controlplane.operations.fleet import NOT_YET, Children, Patience, child_uid, host_gone
from controlplane.operations.outcome import close
from controlplane.operations.plan import UnitPlan, Wish, plan_unit
from controlplane.operations.steps import Steps
from controlplane.store.hosts import ACTIVE, HostRepository, HostRow

log = structlog.get_logger(__name__)


class Part(NamedTuple):
    """One operation of several.

    Attributes:
        step: names it within the whole.
        title: what it does, in words.
        kind: what it is: a start or stop, planned when its turn comes, or a job.
        job: of a job, its UnitPlan's fields.
        always: it has its turn also after one before it did not pass: the node must not be left down.
    """

    step: str
    title: str
    kind: str
    job: tuple[object, ...] = ()
    always: bool = False


class SequencePlan(NamedTuple):
    """What is done to one host, in parts."""

    kind: str
    host_uid: str
    host: str
    hash: str
    parts: tuple[tuple[object, ...], ...]
    wait_s: int = 0
    force: bool = False


@DBOS.dbos_class()
class SequenceWorkflow(DBOSConfiguredInstance):
    """Carries out a SequencePlan."""

    def __init__(
        self, steps: Steps, links: Links, hosts: HostRepository, children: Children, *, begin_within_s: float
    ) -> None:
        self._steps = steps
        self._board = steps.board
        self._links = links
        self._hosts = hosts
        self._children = children
        self._begin_within_s = begin_within_s
        super().__init__(config_name="sequence")

    @DBOS.workflow()
    async def run(self, uid: str, plan: Sequence[object]) -> None:
        """Give each part its turn; after one that does not pass only those that always have theirs."""
        wanted = SequencePlan(*plan)  # type: ignore[arg-type]
        worst = int(pb.VERDICT_PASS)
        for fields in wanted.parts:
            part = Part(*fields)  # type: ignore[arg-type]
            # Nothing was stopped if the first did not pass: then nothing needs to be started.
            if worst != pb.VERDICT_PASS and not (part.always and await self.stopped(uid)):
                continue
            try:
                verdict = await self.part(uid, plan, part.step)
            except Exception:
                log.exception("an operation cannot go on", operation=operation_name(uid), step=part.step)
                verdict = int(pb.VERDICT_ERROR)
            worst = verdict if worst == pb.VERDICT_PASS else worst
        await self._board.change(uid, partial(close, verdict=worst))
        await self.record(uid)

    @DBOS.step()
    async def stopped(self, uid: str) -> bool:
        """Whether the first part has taken the node down."""
        first = (await self._board.get(uid)).steps[0]
        return first.verdict == pb.VERDICT_PASS

    @DBOS.step(retries_allowed=True, max_attempts=10, interval_seconds=1.0)
    async def record(self, uid: str) -> None:
        """Put the operation's outcome on record; an audit store that is down for a while is waited for."""
        await self._steps.record_outcome(uid)

    @DBOS.step(retries_allowed=True, max_attempts=3, interval_seconds=1.0)
    async def part(self, uid: str, plan: Sequence[object], step: str) -> int:
        """Begin the operation of a part, once, and wait for its end."""
        wanted = SequencePlan(*plan)  # type: ignore[arg-type]
        part = next(each for each in starmap(Part, wanted.parts) if each.step == step)
        if await self._steps.passed(uid, step):
            return int(pb.VERDICT_PASS)
        await self._steps.begin(uid, step)
        child = child_uid(uid, step, (await self._board.get(uid)).retries)
        begun = await self._begin(uid, child, wanted, part)
        if begun is not None:
            return await self._steps.end(uid, step, pb.VERDICT_FAIL, f"{begun.reason}: {begun.message}")
        return await self._follow(uid, step, child)

    async def _begin(self, uid: str, child: str, wanted: SequencePlan, part: Part) -> SolwardError | None:
        patience = Patience(max(float(wanted.wait_s), self._begin_within_s))
        while True:
            if await self._children.child(child) is not None:
                return None
            seen = self._board.changes
            try:
                plan = await self._plan(wanted, part)
                await self._children.begin_child(child, plan, await self._board.get(uid))
            except SolwardError as error:
                if error.reason not in NOT_YET or patience.over:
                    return error
                await self._steps.say(uid, part.step, error.message)
                await self._board.wait(seen)

    async def _plan(self, wanted: SequencePlan, part: Part) -> UnitPlan:
        if part.job:
            return UnitPlan(*part.job)  # type: ignore[arg-type]
        row: HostRow | None = await self._hosts.by_name(wanted.host)
        if row is None or row.uid != wanted.host_uid or row.state != ACTIVE:
            raise host_gone(wanted.host)
        return plan_unit(part.kind, row, self._links, Wish(force=wanted.force, wait_s=wanted.wait_s))

    async def _follow(self, uid: str, step: str, child: str) -> int:
        aborted = False
        while True:
            seen = self._board.changes
            found = await self._board.get(child)
            if ended(found):
                break
            if not aborted and await self._steps.aborted(uid):
                aborted = True
                await self._board.change(child, _abort)
            at = [each for each in found.steps if each.HasField("start_time")]
            await self._steps.say(uid, step, at[-1].message or at[-1].title if at else "")
            await self._board.wait(seen)
        verdict, words = _verdict(found)
        return await self._steps.end(uid, step, verdict, words, operation=found.name)


def _abort(operation: pb.Operation) -> None:
    operation.wish = pb.WISH_ABORT


def _verdict(child: pb.Operation) -> tuple[pb.Verdict, str]:
    act = next((step for step in child.steps if step.id == "act"), None)
    if child.state == pb.OPERATION_STATE_SUCCEEDED:
        return pb.VERDICT_PASS, act.message if act else "done"
    if child.state == pb.OPERATION_STATE_PAUSED:
        return pb.VERDICT_INCONCLUSIVE, child.error.message
    reason = info_of(child.error).reason or "FAILED"
    return pb.VERDICT_FAIL, f"{reason}: {child.error.message}"
