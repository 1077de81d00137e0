"""The mender: carries out what recovery decides, as operations like any person's, with gates, receipts and audit."""

import uuid
from collections.abc import Callable

import grpc
import structlog
from google.protobuf.message import Message
from solward.geyser.v1 import geyser_pb2 as pb
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2
from solward.validator.v1 import validator_pb2

from common.clock import now_ms
from common.errors import SolwardError
from common.names import host_name
from controlplane.geyser import figures
from controlplane.geyser.pipelines import Pipelines
from controlplane.geyser.recovery import HOUR_MS, Decision, Faults, decide, lately
from controlplane.geyser.settings import Cure, HopSettings, PipelineSettings
from controlplane.guard.by_name import ByName
from controlplane.links.inspect import InspectError
from controlplane.links.registry import Links
from controlplane.operations.board import ended
from controlplane.operations.engine import Engine
from controlplane.operations.gates import PASS
from controlplane.operations.gating import Gating
from controlplane.operations.geyser_plan import plan_plugin, plan_service
from controlplane.operations.plan import (
    CONFIG,
    LOAD_PLUGIN,
    RELOAD_PLUGIN,
    RESTART,
    RESTART_SERVICE,
    UnitPlan,
    Wish,
    plan_unit,
)
from controlplane.operations.steering import abort
from controlplane.store.hosts import HostRepository, HostRow
from controlplane.store.recoveries import KEPT_MS, RecoveryRepository, Switch, Try

log = structlog.get_logger(__name__)

_PLUGIN_STEPS: dict[Cure, str] = {"reload_plugin": RELOAD_PLUGIN, "load_plugin": LOAD_PLUGIN}
# What may mend a hop by itself, or be the cause of its fault.
_TURNS_UNITS = (
    "validator.start", "validator.stop", RESTART, CONFIG, RELOAD_PLUGIN, LOAD_PLUGIN, RESTART_SERVICE,
)  # fmt: skip
SET_RECOVERY = "solward.geyser.v1.GeyserService/SetRecovery"
RESTART_VALIDATOR = "solward.validator.v1.ValidatorService/Restart"
REFUSED = link_pb2.RECEIPT_RESULT_REFUSED
_TOO_LATE = ("INVOCATION_CHANGED", "STATE_CHANGED")
# A judgement that is older says nothing of now.
STALE_MS = 10_000
Tell = Callable[[str, link_pb2.Event], None]


class Mender:
    """Mends pipelines whose recovery is on.

    Args:
        pipelines: how they stand.
        by_name: judges whether who turned a recovery on may still ask for what it does.
        tell: takes a finding of a host, by its resource name.
    """

    def __init__(
        self, pipelines: Pipelines, stored: RecoveryRepository, hosts: HostRepository, links: Links, engine: Engine,
        gating: Gating, by_name: ByName, tell: Tell,
    ) -> None:  # fmt: skip
        self._pipelines = pipelines
        self._stored = stored
        self._hosts = hosts
        self._links = links
        self._engine = engine
        self._gating = gating
        self._by_name = by_name
        # Which switches were told of that nobody answers for any more.
        self._orphaned: set[tuple[str, Switch]] = set()
        self._tell = tell
        self._switches: dict[str, Switch] = {}
        self._faults: dict[str, Faults] = {}
        self._shown: dict[str, pb.Recovery] = {}

    async def run(self) -> None:
        """Look after every pipeline until cancelled."""
        wanted = [name for name, one in self._pipelines.wanted.items() if one.recovery]
        judged = self._pipelines.judged
        while wanted:
            await judged.after(judged.times)
            try:
                # From the store, so that every control plane goes by what was said to any of them.
                self._switches = await self._stored.switches()
            except Exception:
                log.exception("it cannot be read which pipelines mend themselves; trying again")
                continue
            for name in wanted:
                try:
                    await self._look_after(name)
                except Exception:
                    log.exception("a pipeline cannot be looked after; trying again", pipeline=name)

    async def set(self, name: str, *, enabled: bool, by: str) -> None:
        """Turn the recovery of a pipeline on or off; off takes back what still waits for a person."""
        await self._stored.set(name, Switch(enabled, by, now_ms()))
        self._switches = await self._stored.switches()
        tries = [] if enabled else await self._stored.tries(name, now_ms() - HOUR_MS)
        waits = await self._operation(tries[-1]) if tries else None
        if waits is not None and waits.state == operations_pb2.OPERATION_STATE_AWAITING_APPROVAL:
            await self._take_back(waits)
        # Faults are counted anew: what was at fault before it was turned on is given its time, too.
        self._faults.setdefault(name, Faults()).since_ms.clear()
        self._shown.pop(name, None)

    def shown(self, name: str) -> pb.Recovery | None:
        """Say how the recovery of a pipeline stands; None where it has none."""
        wanted = self._pipelines.wanted[name].recovery
        if wanted is None:
            return None
        switch = self._switches.get(name)
        shown = pb.Recovery()
        shown.CopyFrom(self._shown.get(name, pb.Recovery()))
        shown.enabled = bool(switch and switch.enabled)
        shown.rules.extend(cure.words for cure in wanted.cures)
        shown.budget_per_hour = wanted.budget_per_hour
        if switch:
            shown.set_by = switch.set_by
            shown.set_time.FromMilliseconds(switch.set_ms)
        return shown

    async def _look_after(self, name: str) -> None:
        pipeline, wanted = self._pipelines.newest.get(name), self._pipelines.wanted[name]
        switch = self._switches.get(name)
        now = now_ms()
        faults = self._faults.setdefault(name, Faults())
        if wanted.recovery is None or pipeline is None or now - pipeline.time.ToMilliseconds() > STALE_MS:
            faults.since_ms.clear()
            return
        # Also while it is off: what flowed by itself in between begins with the first step.
        faults.see(wanted.recovery.cures, _at_fault(pipeline), now)
        tries = await self._stored.tries(name, now - KEPT_MS)
        if switch is None or not switch.enabled:
            faults.since_ms.clear()
            self._shown[name] = pb.Recovery(attempts_last_hour=len(lately(tries, now)))
            return
        faults.asked_ms = switch.set_ms
        newest = await self._operation(tries[-1]) if tries else None
        if newest is not None and _came_too_late(newest):
            await self._stored.drop(tries[-1].uid)
            tries = tries[:-1]
        if newest is not None and not ended(newest):
            decision = Decision(f"{newest.name} is at work")
            if newest.state == operations_pb2.OPERATION_STATE_AWAITING_APPROVAL:
                decision = await self._waiting(name, switch, newest, tries[-1])
        else:
            decision = decide(wanted.recovery, faults, tries, now)
        if decision.step:
            decision = await self._mend(name, switch, decision, tries)
        self._shown[name] = pb.Recovery(
            attempts_last_hour=len(lately(tries, now)), message=decision.message,
            operation=newest.name if newest else "",
        )  # fmt: skip

    async def _operation(self, tried: Try) -> operations_pb2.Operation | None:
        return await self._engine.by_request(_request(tried.uid))

    async def _mend(self, name: str, switch: Switch, decision: Decision, tries: list[Try]) -> Decision:
        wanted = self._pipelines.wanted[name]
        hop = next(one for one in wanted.hops if one.name == decision.hop)
        step = decision.step
        if step is None:
            return decision
        try:
            plan = await self._plan(wanted, hop, step)
            if refused := await self._nobody_answers(name, switch, step, host_name(plan.host)):
                return Decision(f"{hop.name}: {step} is not done: {refused}")
            if other := await self._others_work(plan, self._faults[name], tries):
                # What is at fault may be mended by it: it is given its time anew.
                self._faults[name].since_ms.clear()
                return Decision(f"{hop.name}: {step} waits: {other} has been at work on {host_name(plan.host)}")
            if why := await self._not_now(plan):
                # No try: nothing was begun, and it is looked again at once.
                return Decision(f"{hop.name}: {step} waits: {why}")
            if not await self._begin(name, switch, hop, step, plan, tries):
                return Decision(
                    f"{hop.name}: {step} was not begun: the recovery was turned off or on, or another tried"
                )
        except (SolwardError, InspectError) as error:
            return Decision(f"{hop.name}: {step} cannot be done now: {error.reason}: {error.message}")
        return Decision(f"{hop.name}: {step} was begun")

    async def _plan(self, wanted: PipelineSettings, hop: HopSettings, step: Cure) -> UnitPlan:
        if step == "restart_unit":
            return plan_service(await self._host(hop.unit_host or hop.host), self._links, hop.unit)
        if step in _PLUGIN_STEPS:
            plugin = _plugin_of(wanted, hop)
            return plan_plugin(_PLUGIN_STEPS[step], await self._host(plugin.host), self._links, plugin.source)
        return plan_unit(RESTART, await self._host(wanted.hops[0].host), self._links, Wish())

    async def _not_now(self, plan: UnitPlan) -> str:
        """Say which gate keeps it from being begun now; empty where none does."""
        if not plan.gates:
            return ""
        _, gates = await self._gating.judge(plan)
        return next((f"{gate.id}: {gate.message}" for gate in gates if gate.verdict != PASS), "")

    async def _nobody_answers(self, name: str, switch: Switch, step: str, host: str) -> str:
        """Say why who turned it on may not have this done any more; empty where he may."""
        asked: list[tuple[str, Message]] = [(SET_RECOVERY, pb.SetRecoveryRequest(pipeline=name, enabled=True))]
        if step == "restart_validator":
            asked.append((RESTART_VALIDATOR, validator_pb2.RestartRequest(host=host)))
        try:
            for method, request in asked:
                await self._by_name.judge(switch.set_by, switch.set_ms, method, request)
        except SolwardError as error:
            again = f"an administrator may turn it on in his own name: ctl geyser recovery {name} on"
            why = f"{error.reason}: {error.message}; {again}"
            if (name, switch) not in self._orphaned:
                self._orphaned.add((name, switch))
                log.warning("a recovery may not go on", pipeline=name, set_by=switch.set_by, reason=error.reason)
                self._tell(host, _orphan(name, why))
            return why
        self._orphaned.discard((name, switch))
        return ""

    async def _others_work(self, plan: UnitPlan, faults: Faults, tries: list[Try]) -> str:
        """Name what others did to the host's units since something is at fault, or are doing; empty: nothing."""
        since_ms = min(faults.since_ms.values(), default=now_ms())
        own = [operation.name for one in tries if (operation := await self._operation(one))]
        for other in await self._engine.newest_on(plan.host_uid):
            running = other.state == operations_pb2.OPERATION_STATE_RUNNING
            if other.kind in _TURNS_UNITS and other.name not in own and (
                running or other.end_time.ToMilliseconds() > since_ms
            ):  # fmt: skip
                return other.name
        return ""

    async def _waiting(self, name: str, switch: Switch, operation: operations_pb2.Operation, tried: Try) -> Decision:
        """Take back what waits for a person, once nothing is at fault any more, or nobody answers for it."""
        if refused := await self._nobody_answers(name, switch, tried.step, operation.host):
            await self._take_back(operation)
            return Decision(f"{operation.name} was taken back: {refused}")
        if self._faults[name].since_ms:
            return Decision(f"{operation.name} waits for a person's approval: ctl operations approve")
        await self._take_back(operation)
        return Decision(f"{operation.name} was taken back: nothing is at fault any more")

    async def _take_back(self, operation: operations_pb2.Operation) -> None:
        try:
            await self._engine.steer(operation.name.partition("/")[2], abort)
        except SolwardError as error:
            # A person was quicker: it is at work, or has ended.
            log.info("what waited for approval is not taken back", operation=operation.name, reason=error.reason)

    async def _begin(
        self, name: str, switch: Switch, hop: HopSettings, step: Cure, plan: UnitPlan, tries: list[Try]
    ) -> bool:
        tried = Try(uuid.uuid4().hex, hop.name, step, now_ms())
        since_ms = tries[0].begun_ms if tries else tried.begun_ms - KEPT_MS
        # Noted before it begins: killed in between, the budget has lost a try, and the host had none too many.
        if not await self._stored.add(name, switch, tried, tries[-1].uid if tries else "", since_ms):
            return False
        why = f"recovery of pipelines/{name}: {hop.name} is at fault: {_why(self._pipelines.newest[name], hop.name)}"
        try:
            operation = await self._engine.begin_unit(
                # In the name of who turned it on, and answers for it; another person approves where that is needed.
                plan, requester=switch.set_by, reason=why[:1000],
                request_key=_request(tried.uid), approvals=1 if step == "restart_validator" else 0,
            )  # fmt: skip
        except SolwardError:
            # Somebody else is at work on the host: nothing was begun, so it was no try.
            await self._stored.drop(tried.uid)
            raise
        figures.RECOVERIES.labels(name, step).inc()
        log.info("a pipeline mends itself", pipeline=name, hop=hop.name, step=step, operation=operation.name)
        self._tell(operation.host, _event(name, hop.name, step, operation))
        return True

    async def _host(self, host: str) -> HostRow:
        row = await self._hosts.by_name(host)
        if row is None:
            name = host_name(host)
            raise SolwardError(grpc.StatusCode.NOT_FOUND, "HOST_NOT_FOUND", f"there is no {name}", {"host": name})
        return row


def _request(uid: str) -> str:
    return f"recovery/{uid}"


def _plugin_of(wanted: PipelineSettings, hop: HopSettings) -> HopSettings:
    """Find the plugin that a hop is, or hangs on."""
    hops, before = {one.name: one for one in wanted.hops}, wanted.before()
    while hop.kind != "plugin":
        hop = hops[before[hop.name]]
    return hop


def _came_too_late(operation: operations_pb2.Operation) -> bool:
    """Whether the agent did nothing, because the unit was another run by then: somebody else was quicker."""
    return any(step.receipt.reason in _TOO_LATE and step.receipt.result == REFUSED for step in operation.steps)


def _at_fault(pipeline: pb.Pipeline) -> dict[str, pb.Flow]:
    """Give how hops flow, but that of all that are at fault the one that the verdict names alone is to be mended."""
    return {
        hop.name: hop.flow if hop.flow == pb.FLOW_OK or hop.name == pipeline.slow_hop else pb.FLOW_STARVED
        for hop in pipeline.hops
    }


def _why(pipeline: pb.Pipeline, hop: str) -> str:
    return next(one.message for one in pipeline.hops if one.name == hop)


def _orphan(name: str, why: str) -> link_pb2.Event:
    return link_pb2.Event(
        kind="geyser.recovery_refused", unix_ms=now_ms(), severity=link_pb2.SEVERITY_INFO, area="geyser", times=1,
        message=f"pipeline {name} does not mend itself: {why}"[:1000],
    )  # fmt: skip


def _event(name: str, hop: str, step: str, operation: operations_pb2.Operation) -> link_pb2.Event:
    return link_pb2.Event(
        kind="geyser.recovery", unix_ms=now_ms(), severity=link_pb2.SEVERITY_INFO, area="geyser", times=1,
        message=f"pipeline {name}, hop {hop}: {step} was begun as {operation.name}",
    )  # fmt: skip
