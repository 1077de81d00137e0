"""The executor: a command's way through the agent, from permit to signed receipt."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

import structlog
from solward.geyser.v1 import geyser_pb2
from solward.hosts.v1 import link_pb2

from agent import VERSION
from agent.actions.base import Act, Outcome, Tell
from agent.actions.bundle import BundleAct
from agent.actions.config import ConfigAct
from agent.actions.job import JobAct, stop_job, until_none_works
from agent.actions.nudge import NudgeAct
from agent.actions.plugin import PluginAct
from agent.actions.unit import DONE, UnitAct
from agent.actions.vote import VoteAct
from agent.allowlist import Allowlist
from agent.geyser.bells import PluginBells
from agent.geyser.plugin_settings import PluginSettings
from agent.host.config import Flags, FlagsError
from agent.host.node import Node
from agent.host.snapshots import Snapshots
from agent.host.systemd import Systemd
from agent.identity import Identity
from agent.jobs.folder import IDENT, JobFiles, Spec
from agent.journal import Journal, JournalError, Step
from agent.permits import INSPECT, LEDGER, SUBMIT, TOOL_VERBS, Refusal, check_allowed, check_signed
from agent.spans import fail, span
from common.clock import now_ms
from common.permits import sign_receipt

if TYPE_CHECKING:
    from agent.jito.engine import Engine

log = structlog.get_logger(__name__)
Result = TypeVar("Result")
PartitionLagsOf = Callable[[link_pb2.PartitionLagsAsk], Awaitable[geyser_pb2.PartitionLags]]


STARTS = (link_pb2.UNIT_VERB_START, link_pb2.UNIT_VERB_RESTART)


class Executor:
    """Carries out commands, one at a time: permit, journal, allowlist, preconditions, act, receipt."""

    def __init__(
        self,
        systemd: Systemd,
        journal: Journal,
        allowlist: Allowlist,
        identity: Callable[[], Identity],
        worker: ThreadPoolExecutor,
        make_room: Callable[[], None],
        node: Node | None = None,
        towers: Path = Path("towers"),
        flags: Flags | None = None,
        snapshots: Snapshots | None = None,
        jobs: JobFiles | None = None,
        engine: "Engine | None" = None,
        plugins: Mapping[str, PluginSettings] = MappingProxyType({}),
        bells: PluginBells | None = None,
        partition_lags: PartitionLagsOf | None = None,
    ) -> None:
        self._partition_lags = partition_lags
        self._bells = bells or PluginBells()
        self._plugins = plugins
        self._engine = engine
        self._systemd = systemd
        self._journal = journal
        self._allowlist = allowlist
        self._identity = identity
        self._worker = worker
        self._make_room = make_room
        self._node = node
        self._towers = towers
        self._flags = flags or Flags()
        self._snapshots = snapshots
        self._jobs = jobs
        self._one_at_a_time = asyncio.Lock()
        # A job takes hours and leaves the unit alone: what is done to the unit need not wait for it.
        self._one_job_at_a_time = asyncio.Lock()
        # A bundle lives for seconds: it waits for nothing but itself.
        self._bundles: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def carry_out(self, command: link_pb2.Command, tell: Tell) -> link_pb2.SignedReceipt | None:
        """Carry out a command.

        Returns: the signed receipt; None for a command that this host's control plane did not sign, which is
            logged here and not answered.
        """
        try:
            with span("permit"):
                permit = check_signed(command, self._identity())
        except Refusal as refusal:
            log.error("command refused", reason=refusal.reason, why=refusal.message)
            return None
        if (fenced := await self._fenced(permit)) is not None:
            return self._refused(permit, fenced)
        if permit.action == INSPECT:
            # It changes nothing: neither waits for its turn nor is remembered.
            return await self._inspect(permit, command)
        request = link_pb2.ActionRequest.FromString(command.request)
        if request.HasField("stop_job"):
            # The job that it stops holds the turn.
            return await self._stop_job(permit, command)
        async with self._turn(request):
            return await self._once(permit, command, tell)

    def _turn(self, request: link_pb2.ActionRequest) -> asyncio.Lock:
        if request.WhichOneof("action") == "bundle":
            return self._bundles.setdefault(request.bundle.bundle, asyncio.Lock())
        return self._one_job_at_a_time if _is_job(request) else self._one_at_a_time

    async def _fenced(self, permit: link_pb2.Permit) -> Refusal | None:
        """Refuse a control plane that another one has taken the place of, and remember the latest."""
        try:
            latest = await self._disk(self._journal.see_term, permit.term)
        except JournalError as error:
            return Refusal("JOURNAL_UNAVAILABLE", f"the step journal cannot be written ({error})")
        if permit.term >= latest:
            return None
        return Refusal("PERMIT_FENCED", f"the permit is of term {permit.term}, and term {latest} has been seen")

    async def welcome(self, term: int) -> bool:
        """Whether a control plane that we have reached may lead; False where a later one has been seen.

        Nothing is remembered of it: a Welcome is not signed by the permit key, and a wrong term would lock us out.
        """
        return term >= await self._disk(self._journal.term)

    async def _once(self, permit: link_pb2.Permit, command: link_pb2.Command, tell: Tell) -> link_pb2.SignedReceipt:
        known = await self._disk(self._journal.find, permit.operation, permit.step)
        if known and known.request_sha256 != permit.request_sha256:
            return self._refused(permit, Refusal("STEP_REUSED", "this step was begun before with another request"))
        if known and known.receipt:
            return known.receipt
        try:
            outcome, before, start_ms = await self._do(permit, command, known, tell)
        except Refusal as refusal:
            # Not remembered: nothing was done, so the same step may be asked for again.
            return self._refused(permit, refusal)
        if permit.action != SUBMIT:
            # A restart, too, brings plugins back, or loses them.
            self._bells.doubted.ring()
        with span("receipt"):
            receipt = self._sign(permit, outcome, before, start_ms)
            try:
                await self._disk(self._journal.end, permit, receipt)
            except JournalError as error:
                # It was done all the same. If we die now, the unit itself tells the next life that it was.
                log.error("the receipt could not be kept", operation=permit.operation, error=str(error))
        return receipt

    async def _do(
        self, permit: link_pb2.Permit, command: link_pb2.Command, known: Step | None, tell: Tell
    ) -> tuple[Outcome, link_pb2.UnitState, int]:
        request = link_pb2.ActionRequest.FromString(command.request)
        if request.snapshot.verb == link_pb2.SNAPSHOT_VERB_VERIFY and self._snapshots:
            request.snapshot.logged_hash = await self._snapshots.logged_hash(request.snapshot)
        act = self._act(request, permit)
        if known:
            return await self._take_up(act, permit, command, known, tell)
        with span("allowlist", action=permit.action):
            check_allowed(permit, command, self._allowlist)
        if self._jobs and request.unit.verb in STARTS:
            # Two that write to one ledger: the validator would not come up, again and again.
            await until_none_works(self._systemd, self._jobs, LEDGER, request.unit.timeout_ms / 1000)
        with span("preconditions"):
            before = await act.look()
            await act.precondition(before)
        start_ms = now_ms()
        with span("journal"):
            await self._begin(permit, start_ms, before)
        return await self._acted(act.act(tell), permit), before, start_ms

    async def _acted(self, work: Awaitable[Outcome], permit: link_pb2.Permit) -> Outcome:
        with span("action", action=permit.action):
            outcome = await work
            if outcome.result != DONE:
                fail(outcome.reason)
        if outcome.result != DONE:
            fail(outcome.reason)
        return outcome

    def _act(self, request: link_pb2.ActionRequest, permit: link_pb2.Permit) -> Act:
        if _is_job(request):
            return self._job(request, permit)
        if request.WhichOneof("action") == "bundle":
            return BundleAct(self._engine, request.bundle, self._allowlist.bundles)
        if request.WhichOneof("action") == "nudge":
            return NudgeAct(self._systemd, request.nudge, self._node)
        if request.WhichOneof("action") == "plugin":
            return PluginAct(self._systemd, request.plugin, self._node, self._plugins, self._allowlist.plugins)
        if request.WhichOneof("action") == "vote":
            return VoteAct(self._systemd, request.vote, self._node, self._allowlist.voters)
        if request.WhichOneof("action") == "config":
            return ConfigAct(self._systemd, request.config, self._node, self._flags)
        if request.WhichOneof("action") == "service":
            # A consumer is no node: nothing of it is asked or saved before it goes down.
            return UnitAct(self._systemd, request.service, None, self._towers)
        return UnitAct(self._systemd, request.unit, self._node, self._towers)

    def _job(self, request: link_pb2.ActionRequest, permit: link_pb2.Permit) -> Act:
        if self._jobs is None:
            raise Refusal(
                "VALIDATOR_UNKNOWN", "agent.yaml names no validator, so its snapshots and ledger are not known"
            )
        needs_tool = permit.action == LEDGER or request.snapshot.verb in TOOL_VERBS
        if needs_tool and not self._allowlist.ledger_tool:
            raise Refusal("LEDGER_TOOL_UNKNOWN", "root names no ledger_tool in /etc/solward/allowlist.yaml")
        asked = request.ledger if permit.action == LEDGER else request.snapshot
        spec = Spec(kind=permit.action, unit=asked.unit, action=request.SerializeToString())
        ident, seconds = _job_ident(permit, permit.step), asked.timeout_ms / 1000
        return JobAct(self._systemd, self._jobs, ident, spec, seconds, of_a_node_down=needs_tool)

    async def _stop_job(self, permit: link_pb2.Permit, command: link_pb2.Command) -> link_pb2.SignedReceipt:
        start_ms = now_ms()
        try:
            with span("allowlist", action=permit.action):
                check_allowed(permit, command, self._allowlist)
            step = link_pb2.ActionRequest.FromString(command.request).stop_job.step
            outcome = await stop_job(self._systemd, _job_ident(permit, step))
        except Refusal as refusal:
            return self._refused(permit, refusal)
        return self._sign(permit, outcome, None, start_ms)

    async def _inspect(self, permit: link_pb2.Permit, command: link_pb2.Command) -> link_pb2.SignedReceipt:
        start_ms = now_ms()
        try:
            with span("allowlist", action=permit.action):
                check_allowed(permit, command, self._allowlist)
            asked = link_pb2.ActionRequest.FromString(command.request).inspect
            if asked.HasField("partition_lags"):
                return self._sign(permit, await self._read_lags(asked.partition_lags), None, start_ms)
            if asked.flags:
                return self._sign(permit, await self._read_flags(asked), None, start_ms)
            if asked.snapshots:
                return self._sign(permit, await self._read_snapshots(asked), None, start_ms)
            if self._node is None:
                raise Refusal("VALIDATOR_UNKNOWN", "agent.yaml names no validator")
        except Refusal as refusal:
            return self._refused(permit, refusal)
        with span("look"):
            node = await self._node.inspect()
        return self._sign(permit, Outcome(DONE, node=node), None, start_ms)

    async def _read_lags(self, asked: link_pb2.PartitionLagsAsk) -> Outcome:
        if self._partition_lags is None:
            raise Refusal("KAFKA_UNKNOWN", "agent.yaml has no geyser.kafka, so the agent looks at no cluster")
        return Outcome(DONE, partition_lags=await self._partition_lags(asked))

    async def _read_snapshots(self, asked: link_pb2.InspectAction) -> Outcome:
        if self._snapshots is None:
            raise Refusal("VALIDATOR_UNKNOWN", "agent.yaml names no validator, so its snapshots are not known")
        try:
            report = await asyncio.to_thread(self._snapshots.report, asked.prune if asked.HasField("prune") else None)
        except OSError as error:
            raise Refusal("SNAPSHOTS_UNREADABLE", f"{error.filename}: {error.strerror}") from None
        except ValueError as error:
            raise Refusal("POLICY_WRONG", str(error)) from None
        return Outcome(DONE, snapshots=report)

    async def _read_flags(self, asked: link_pb2.InspectAction) -> Outcome:
        version = (await self._node.inspect()).version if self._node else ""
        try:
            if asked.HasField("change"):
                if asked.change.unit != asked.unit:
                    raise Refusal("ACTION_UNKNOWN", "the change is for another unit than the one to look at")
                return Outcome(DONE, flags=await self._flags.preview(asked.change, version))
            return Outcome(DONE, flags=await self._flags.read(asked.unit, version))
        except FlagsError as error:
            raise Refusal(error.reason, error.message) from None

    async def _take_up(
        self, act: Act, permit: link_pb2.Permit, command: link_pb2.Command, known: Step, tell: Tell
    ) -> tuple[Outcome, link_pb2.UnitState, int]:
        """Go on with a step that an earlier life of this agent began and did not live to finish."""
        now = await act.look()
        if act.already_done(known.before, now):
            tell("an earlier attempt has done it; watching that it stays so")
            return await self._acted(act.see_through(now), permit), known.before, known.start_unix_ms
        with span("allowlist", action=permit.action):
            check_allowed(permit, command, self._allowlist)
        return await self._acted(act.act(tell), permit), known.before, known.start_unix_ms

    async def _begin(self, permit: link_pb2.Permit, start_ms: int, before: link_pb2.UnitState) -> None:
        try:
            await self._disk(self._journal.begin, permit, start_ms, before)
        except JournalError:
            # Control before telemetry: the spool gives way on a full disk.
            await self._disk(self._make_room)
            try:
                await self._disk(self._journal.begin, permit, start_ms, before)
            except JournalError as error:
                raise Refusal("JOURNAL_UNAVAILABLE", f"the step journal cannot be written ({error})") from None

    def _refused(self, permit: link_pb2.Permit, refusal: Refusal) -> link_pb2.SignedReceipt:
        log.warning("command refused", operation=permit.operation, reason=refusal.reason, why=refusal.message)
        fail(refusal.reason)
        outcome = Outcome(link_pb2.RECEIPT_RESULT_REFUSED, refusal.reason, refusal.message)
        return self._sign(permit, outcome, None, now_ms())

    def _sign(
        self, permit: link_pb2.Permit, outcome: Outcome, before: link_pb2.UnitState | None, start_ms: int
    ) -> link_pb2.SignedReceipt:
        identity = self._identity()
        receipt = link_pb2.Receipt(
            permit_id=permit.id,
            operation=permit.operation,
            step=permit.step,
            host_uid=permit.host_uid,
            action=permit.action,
            request_sha256=permit.request_sha256,
            result=outcome.result,
            reason=outcome.reason,
            message=outcome.message,
            before=before,
            after=outcome.after,
            start_unix_ms=start_ms,
            end_unix_ms=now_ms(),
            job_ms=outcome.job_ms,
            agent_version=VERSION,
            node=outcome.node,
            figures=outcome.figures,
            flags=outcome.flags,
            snapshots=outcome.snapshots,
            checks=outcome.checks,
            ledger=outcome.ledger,
            partition_lags=outcome.partition_lags,
        )
        return sign_receipt(identity.key, identity.serial, receipt)

    async def _disk(self, call: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, call, *arguments)


def _is_job(request: link_pb2.ActionRequest) -> bool:
    return request.WhichOneof("action") in ("snapshot", "ledger")


def _job_ident(permit: link_pb2.Permit, step: str) -> str:
    """Name the job of a step of the operation that a permit is for; raise Refusal."""
    ident = f"{permit.operation.partition('/')[2]}-{step}"
    if not IDENT.fullmatch(ident):
        raise Refusal("ACTION_UNKNOWN", "the step cannot name a job")
    return ident
