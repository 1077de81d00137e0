"""What is done to a validator's unit, as a durable workflow: approval, gates, act, verification, readiness."""

import asyncio

import structlog
from dbos import DBOS, DBOSConfiguredInstance
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from common.names import operation_name
from controlplane.links.dispatch import Order
from controlplane.links.inspect import LOOK_SECONDS, InspectError
from controlplane.links.registry import Links
from controlplane.operations.approvals import wait_for_approval
from controlplane.operations.gates import Gate, Scene, before_slot, together
from controlplane.operations.gating import Gating
from controlplane.operations.host_job import carry_out_job
from controlplane.operations.outcome import close
from controlplane.operations.plan import CONFIG, UnitPlan
from controlplane.operations.readiness import wait_until_ready
from controlplane.operations.soak import soak
from controlplane.operations.steps import Steps
from controlplane.operations.undo import put_back

log = structlog.get_logger(__name__)

# How long an agent may take beyond systemd's own time before its receipt counts as lost.
RECEIPT_MARGIN_S = 30.0
# How long the agent's next report of the unit may take once it is there.
REPORT_SECONDS = 10.0
# Between two looks at gates that are waited for.
GATE_SECONDS = 5.0
# A look that fails is tried again before a person is asked.
LOOKS = 3
LOOK_AGAIN_S = 2.0

# The verdict of an operation that a person ended before it began.
ABORTED = int(pb.VERDICT_UNSPECIFIED)
# A UnitPlan as DBOS keeps it; fields that a later version added may be missing at its end.
Stored = tuple[object, ...]


@DBOS.dbos_class()
class UnitWorkflow(DBOSConfiguredInstance):
    """Carries out a UnitPlan; a killed control plane goes on where it stopped, and nothing is done twice."""

    def __init__(
        self, steps: Steps, links: Links, gating: Gating, *, begin_within_s: float, ready_within_s: float
    ) -> None:
        self._steps = steps
        self._board = steps.board
        self._links = links
        self._gating = gating
        self._begin_within_s = begin_within_s
        self._ready_within_s = ready_within_s
        super().__init__(config_name="unit")

    @DBOS.workflow()
    async def run(self, uid: str, plan: Stored) -> None:
        """Wait, judge and act, each once; then verify and close, which may be done again without harm."""
        wanted = UnitPlan(*plan)  # type: ignore[arg-type]
        try:
            await self._steps.work_on(uid)
            verdict = await self.approved(uid)
            request = wanted.request
            if verdict == pb.VERDICT_PASS:
                verdict, request = await self.gated(uid, plan)
            if verdict == pb.VERDICT_PASS and wanted.config:
                verdict = await self.configure(uid, plan)
            if verdict == pb.VERDICT_PASS and wanted.request:
                verdict = await self._acted(uid, plan, wanted, request)
                if wanted.rollback and verdict == pb.VERDICT_FAIL:
                    await self.undo(uid, plan)
        except Exception:
            # Tried a few times already: an operation must end, or it would keep its host for ever.
            log.exception("an operation cannot go on", operation=operation_name(uid))
            verdict = pb.VERDICT_ERROR
        await self.close(uid, verdict)
        await self.record(uid)

    async def _acted(self, uid: str, plan: Stored, wanted: UnitPlan, request: bytes) -> int:
        verdict = await self.carry_out(uid, plan, request)
        if wanted.leaves_unit:
            return verdict
        if verdict == pb.VERDICT_PASS:
            verdict = await self._verify(uid, wanted)
        if verdict == pb.VERDICT_PASS and wanted.ready:
            verdict = await self._ready(uid, wanted, request)
        if verdict == pb.VERDICT_PASS and wanted.soak_s:
            verdict = await self._soak(uid, wanted)
        return verdict

    @DBOS.step(retries_allowed=True, max_attempts=3, interval_seconds=1.0)
    async def configure(self, uid: str, plan: Stored) -> int:
        """Have the agent change the flags."""
        wanted = UnitPlan(*plan)  # type: ignore[arg-type]
        if await self._steps.passed(uid, "configure"):
            return int(pb.VERDICT_PASS)
        await self._steps.begin(uid, "configure")
        return await self._steps.ordered(uid, "configure", self._order(uid, wanted, "configure", CONFIG, wanted.config))

    @DBOS.step(retries_allowed=True, max_attempts=3, interval_seconds=1.0)
    async def undo(self, uid: str, plan: Stored) -> int:
        """Put the flags back; restart the node, unless its old run goes on, and wait until it has caught up."""
        wanted = UnitPlan(*plan)  # type: ignore[arg-type]
        await self._steps.begin(uid, "undo")
        verdict, message, figures = await put_back(
            self._steps.dispatch, self._gating, wanted,
            await self._steps.get(uid, "configure"), await self._steps.get(uid, "act"),
            lambda step, action, request: self._order(uid, wanted, step, action, request), self._ready_within_s,
            lambda signed, receipt: self._steps.record_receipt(uid, signed, receipt),
            lambda said: self._steps.say(uid, "undo", said),
        )  # fmt: skip
        return await self._steps.end(uid, "undo", verdict, message, **figures)

    @DBOS.step(retries_allowed=True, max_attempts=3, interval_seconds=1.0)
    async def approved(self, uid: str) -> int:
        """Wait for other people's approval, where it is required."""
        operation = await self._board.get(uid)
        if not operation.approvals_required:
            return int(pb.VERDICT_PASS)
        await self._steps.begin(uid, "approve")
        verdict, message = await wait_for_approval(self._board, uid)
        return await self._steps.end(uid, "approve", verdict, message)

    @DBOS.step(retries_allowed=True, max_attempts=3, interval_seconds=1.0)
    async def gated(self, uid: str, plan: Stored) -> tuple[int, bytes]:
        """Wait for the agent, and for the gates to pass.

        Its end is remembered, since the request that it gives is what the agent is held to: the node's identity,
        and the slot from which it is too late to begin.
        """
        wanted = UnitPlan(*plan)  # type: ignore[arg-type]
        if wanted.request and await self._steps.passed(uid, "act"):
            # Tried again after it was done: it goes on with what the agent was held to then.
            return int(pb.VERDICT_PASS), _as_done(wanted.request, await self._steps.get(uid, "act"))
        while True:
            verdict, request = await self._gated(uid, wanted)
            if await self._steps.aborted(uid):
                return ABORTED, request
            if verdict != pb.VERDICT_PASS or not await self._steps.held(uid):
                return verdict, request

    async def _gated(self, uid: str, wanted: UnitPlan) -> tuple[int, bytes]:
        verdict = await self._check(uid, wanted)
        if verdict != pb.VERDICT_PASS or not wanted.gates:
            return verdict, wanted.request
        for name in wanted.gates:
            await self._steps.begin(uid, f"gate-{name}")
        judged = await self._judge(uid, wanted)
        if judged is None:
            return int(pb.VERDICT_ERROR), wanted.request
        scene, gates = judged
        for gate in gates:
            await self._steps.end(uid, f"gate-{gate.id}", gate.verdict, gate.message, **gate.figures)
        verdict = int(pb.VERDICT_PASS if wanted.force else together(gates))
        return verdict, _narrowed(wanted.request, scene)

    async def _judge(self, uid: str, wanted: UnitPlan) -> tuple[Scene, list[Gate]] | None:
        left_s, failures = float(wanted.wait_s), 0
        while True:
            try:
                scene, gates = await self._gating.judge(wanted, operation_name(uid))
            except InspectError as error:
                failures += 1
                message = f"{error.reason}: {error.message}"
                if failures >= LOOKS and left_s <= 0:
                    await self._steps.end(uid, f"gate-{wanted.gates[0]}", pb.VERDICT_ERROR, message)
                    return None
                if await self._steps.aborted(uid):
                    return None
                # What cannot be looked at for a moment is no verdict: there is time as long as the gates have it.
                await self._steps.say(uid, f"gate-{wanted.gates[0]}", message)
                await asyncio.sleep(LOOK_AGAIN_S)
                left_s -= LOOK_AGAIN_S
                continue
            done = together(gates) == pb.VERDICT_PASS or wanted.force or left_s <= 0
            if done or await self._steps.aborted(uid):
                return scene, gates
            for gate in gates:
                await self._steps.say(uid, f"gate-{gate.id}", gate.message)
            await asyncio.sleep(min(left_s, GATE_SECONDS))
            left_s -= GATE_SECONDS

    @DBOS.step(retries_allowed=True, max_attempts=3, interval_seconds=1.0)
    async def carry_out(self, uid: str, plan: Stored, request: bytes) -> int:
        """Have the agent act.

        The step whose end DBOS must remember: done again, it would get the agent's first receipt.
        """
        if await self._steps.passed(uid, "act"):
            return int(pb.VERDICT_PASS)
        await self._steps.begin(uid, "act")
        wanted = UnitPlan(*plan)  # type: ignore[arg-type]
        await self._board.change_step(uid, "act", lambda step: _note_identity(step, request))
        order = self._order(uid, wanted, "act", wanted.action, request)
        if not wanted.is_job:
            return await self._steps.ordered(uid, "act", order)
        verdict, ended = await carry_out_job(self._steps, uid, order)
        return ABORTED if ended else verdict

    async def _check(self, uid: str, wanted: UnitPlan) -> int:
        # The unit itself is looked at by the agent, at the last moment; here it may have been acted on already.
        await self._steps.begin(uid, "check")
        try:
            # After a restart of the control plane, agents are still on their way back.
            await self._links.wait_until(lambda: self._is_back(wanted), self._begin_within_s)
        except TimeoutError:
            return await self._steps.end(uid, "check", pb.VERDICT_FAIL, "HOST_OFFLINE: the agent is not connected")
        return await self._steps.end(uid, "check", pb.VERDICT_PASS, "connected")

    def _order(self, uid: str, wanted: UnitPlan, step: str, action: str, request: bytes) -> Order:
        return Order(
            operation=operation_name(uid),
            step=step,
            host_uid=wanted.host_uid,
            action=action,
            request=request,
            begin_within_s=self._begin_within_s,
            finish_within_s=wanted.timeout_s + RECEIPT_MARGIN_S,
        )

    async def _verify(self, uid: str, wanted: UnitPlan) -> int:
        await self._steps.begin(uid, "verify")
        after = await self._after(uid)
        try:
            # After a restart of the control plane it may not be back yet.
            await self._links.wait_until(lambda: self._is_back(wanted), self._begin_within_s)
            await self._links.wait_until(lambda: self._agrees(wanted, after), REPORT_SECONDS)
        except TimeoutError:
            why = f"the agent's report of {wanted.unit} does not agree with its receipt"
            return await self._steps.end(uid, "verify", pb.VERDICT_INCONCLUSIVE, why)
        seen = f"{wanted.unit} is {after.active_state}/{after.sub_state}"
        return await self._steps.end(uid, "verify", pb.VERDICT_PASS, seen, pid=str(after.main_pid))

    async def _ready(self, uid: str, wanted: UnitPlan, request: bytes) -> int:
        await self._steps.begin(uid, "ready")
        after = await self._after(uid)
        identity = link_pb2.ActionRequest.FromString(request).unit.expected_identity
        teller = self._steps.teller(uid, "ready")
        try:
            found = await wait_until_ready(
                self._gating, wanted, identity, after, self._ready_within_s,
                lambda: self._gone(wanted, after), teller.tell,
            )  # fmt: skip
        finally:
            await teller.close()
        # Forced means that nobody waits for an outside view.
        inconclusive = found.verdict == pb.VERDICT_INCONCLUSIVE
        verdict = pb.VERDICT_PASS if wanted.force and inconclusive else found.verdict
        return await self._steps.end(uid, "ready", verdict, found.message, **found.figures)

    async def _soak(self, uid: str, wanted: UnitPlan) -> int:
        await self._steps.begin(uid, "soak")
        after = await self._after(uid)
        teller = self._steps.teller(uid, "soak")
        try:
            verdict, message = await soak(
                self._gating, wanted, lambda: self._gone(wanted, after), lambda: self._connected(wanted),
                lambda: self._steps.aborted(uid), teller.tell,
            )  # fmt: skip
        finally:
            await teller.close()
        if wanted.force and verdict == pb.VERDICT_INCONCLUSIVE and not await self._steps.aborted(uid):
            verdict = pb.VERDICT_PASS
        return await self._steps.end(uid, "soak", verdict, message)

    def _is_back(self, wanted: UnitPlan) -> bool:
        host = self._links.get(wanted.host_uid)
        return host is not None and host.connected

    async def _connected(self, wanted: UnitPlan) -> bool:
        """Whether its agent is there, or comes back within as long as a look may take."""
        try:
            await self._links.wait_until(lambda: self._is_back(wanted), LOOK_SECONDS)
        except TimeoutError:
            return False
        return True

    async def _after(self, uid: str) -> link_pb2.UnitState:
        return (await self._steps.get(uid, "act")).receipt.after

    def _gone(self, wanted: UnitPlan, after: link_pb2.UnitState) -> str:
        """Say what has become of a unit that is no longer the run that was started; empty while it is."""
        host = self._links.get(wanted.host_uid)
        report = host.units.get(wanted.unit) if host and host.link else None
        if report is None or report.state.invocation_id == after.invocation_id:
            return ""
        return (
            f"UNIT_DIED: {wanted.unit} did not stay up: it is {report.state.active_state}/{report.state.sub_state} now"
        )

    def _agrees(self, plan: UnitPlan, after: link_pb2.UnitState) -> bool:
        host = self._links.get(plan.host_uid)
        report = host.units.get(plan.unit) if host and host.link else None
        return report is not None and (report.state.active_state, report.state.invocation_id) == (
            after.active_state,
            after.invocation_id,
        )

    @DBOS.step(retries_allowed=True, max_attempts=10, interval_seconds=1.0)
    async def close(self, uid: str, verdict: int) -> None:
        """End the operation; a store that is down for a while is waited for, or its host would be busy for ever."""
        await self._board.change(uid, lambda operation: close(operation, verdict))

    @DBOS.step(retries_allowed=True, max_attempts=10, interval_seconds=1.0)
    async def record(self, uid: str) -> None:
        """Put the operation's outcome on record; an audit store that is down for a while is waited for."""
        await self._steps.record_outcome(uid)


def _note_identity(step: pb.Step, request: bytes) -> None:
    # What a later attempt must find again.
    unit = link_pb2.ActionRequest.FromString(request).unit
    if unit.expected_identity:
        step.figures["identity"] = unit.expected_identity


def _as_done(request: bytes, act: pb.Step) -> bytes:
    wanted = link_pb2.ActionRequest.FromString(request)
    if wanted.WhichOneof("action") == "unit":
        wanted.unit.expected_identity = act.figures.get("identity", "")
    return wanted.SerializeToString(deterministic=True)


def _narrowed(request: bytes, scene: Scene) -> bytes:
    """Hold an act to what its gates have seen: this identity, and not later than its own leader slots allow."""
    wanted = link_pb2.ActionRequest.FromString(request)
    if wanted.WhichOneof("action") == "unit" and wanted.unit.graceful:
        wanted.unit.expected_identity = scene.node.identity
        wanted.unit.before_slot = before_slot(scene)
    return wanted.SerializeToString(deterministic=True)
