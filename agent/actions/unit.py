"""Start, stop and restart of a unit: preconditions again, the act, and the state verified after."""

import asyncio
from pathlib import Path
from typing import Literal

from solward.hosts.v1 import link_pb2

from agent.actions.base import ActFailed, Outcome, Tell
from agent.actions.graceful import exit_gracefully, save_tower
from agent.host.node import Node
from agent.host.node_rpc import RpcError
from agent.host.systemd import JobResult, Systemd, SystemdError, UnitState
from agent.permits import Refusal
from agent.spans import span

FAILED, DONE = link_pb2.RECEIPT_RESULT_FAILED, link_pb2.RECEIPT_RESULT_DONE
START, STOP, RESTART = link_pb2.UNIT_VERB_START, link_pb2.UNIT_VERB_STOP, link_pb2.UNIT_VERB_RESTART
_WORDS = {START: "start", STOP: "stop", RESTART: "restart"}


class UnitAct:
    """One action on one unit.

    Args:
        node: the validator behind the unit; None where the agent's settings name none.
        towers: the folder that towers are copied to before their node goes down.
    """

    def __init__(self, systemd: Systemd, action: link_pb2.UnitAction, node: Node | None, towers: Path) -> None:
        self._systemd = systemd
        self._action = action
        self._node = node
        self._towers = towers
        self._figures: dict[str, str] = {}
        self._seen: str | None = None

    async def look(self) -> link_pb2.UnitState:
        """Read the unit before; raise Refusal where systemd does not know it."""
        now = await look_at(self._systemd, self._action.unit)
        self._seen = now.invocation_id
        return now

    async def precondition(self, now: link_pb2.UnitState) -> None:
        """Refuse if unit or node are not what the caller saw when it asked; copy the tower aside."""
        refuse_changed(self._action.unit, self._action.expected_active_state, self._action.expected_invocation, now)
        if not self._action.graceful:
            return
        if self._node is None:
            raise Refusal("VALIDATOR_UNKNOWN", "agent.yaml names no validator, so none can be asked to exit")
        if now.main_pid:
            await self._still_as_seen(self._node)

    async def _still_as_seen(self, node: Node) -> None:
        action = self._action
        try:
            identity, slot = await asyncio.gather(node.identity(), node.slot())
        except (RpcError, KeyError, TypeError, ValueError) as error:
            if not action.force:
                raise Refusal("NODE_UNREADABLE", f"the node cannot be looked at a last time: {error}") from None
            return
        if action.expected_identity and identity != action.expected_identity:
            raise Refusal("IDENTITY_CHANGED", f"the node ran as {action.expected_identity} and runs as {identity} now")
        if action.before_slot and slot >= action.before_slot and not action.force:
            raise Refusal("LEADER_SOON", f"slot {slot} is too close before the node's own leader slots")
        if not action.force and not await node.admin.reachable():
            raise Refusal("ADMIN_UNREACHABLE", f"nobody answers at {node.admin.path}: the node cannot exit in peace")
        self._figures |= await save_tower(node, identity, self._towers, force=action.force)

    def already_done(self, before: link_pb2.UnitState, now: link_pb2.UnitState) -> bool:
        """Whether an attempt that we did not live to see the end of has done its work."""
        verb = self._action.verb
        if verb == STOP:
            return now.active_state in ("inactive", "failed")
        if verb == START:
            return now.active_state == "active"
        # Whatever became of the new run: to restart it once more would be a second restart.
        return now.invocation_id not in ("", before.invocation_id)

    async def act(self, tell: Tell) -> Outcome:
        """Do it, then see that the unit settles as wanted."""
        job_ms = 0.0
        try:
            job = await self._job(tell)
            job_ms = job.seconds * 1000
            tell(f"job {job.result} after {job_ms:.0f} ms; watching that it stays so")
            return await self.settle(job_ms)
        except (SystemdError, ActFailed) as error:
            return await self._failed(error, job_ms)

    async def see_through(self, now: link_pb2.UnitState) -> Outcome:
        """See to its end what an earlier attempt has done."""
        if now.active_state == "activating":
            try:
                # Joins the start that is under way; the unit may need minutes to come up.
                await self._systemd.start(self._action.unit, timeout_s=self._action.timeout_ms / 1000)
            except SystemdError as error:
                return await self._failed(error, 0.0)
        return await self.settle(0.0)

    async def settle(self, job_ms: float) -> Outcome:
        """See that the unit stays as wanted for the settle time."""
        wanted: Literal["active", "inactive"] = "inactive" if self._action.verb == STOP else "active"
        try:
            with span("settle", unit=self._action.unit):
                state = await self._systemd.verify(self._action.unit, wanted, self._action.settle_ms / 1000)
        except SystemdError as error:
            return await self._failed(error, job_ms)
        return Outcome(DONE, after=to_wire(state), job_ms=job_ms, figures=self._figures)

    async def _failed(self, error: SystemdError | ActFailed, job_ms: float) -> Outcome:
        return Outcome(FAILED, error.reason, error.message, await self._after(), job_ms, figures=self._figures)

    async def _job(self, tell: Tell) -> JobResult:
        verb = self._action.verb
        if self._node and self._action.graceful and verb != START:
            with span("graceful exit", unit=self._action.unit):
                exited = await exit_gracefully(self._systemd, self._node.admin, self._action, tell, self._seen)
            # Whatever Restart= says: started by us, by systemd already, or on its way to be, this joins it.
            if exited and verb == RESTART:
                verb = START
        tell(f"systemd works on {self._action.unit}")
        verbs = {START: self._systemd.start, STOP: self._systemd.stop, RESTART: self._systemd.restart}
        with span(f"systemd {_WORDS.get(verb, 'job')}", unit=self._action.unit):
            return await verbs[verb](self._action.unit, timeout_s=self._action.timeout_ms / 1000)

    async def _after(self) -> link_pb2.UnitState | None:
        # systemd may need a moment to say how it ended; not knowing is said by leaving it out.
        await asyncio.sleep(0.1)
        try:
            return to_wire(await self._systemd.state(self._action.unit))
        except SystemdError:
            return None


async def look_at(systemd: Systemd, unit: str) -> link_pb2.UnitState:
    """Read a unit; raise Refusal where systemd does not know it."""
    try:
        return to_wire(await systemd.state(unit))
    except SystemdError as error:
        raise Refusal(error.reason, error.message) from None


def refuse_changed(unit: str, state: str, invocation: str, now: link_pb2.UnitState) -> None:
    """Refuse if a unit is not in the state (empty: any) or invocation (empty: any) that the caller saw."""
    if state and state != now.active_state:
        raise Refusal(
            "STATE_CHANGED", f"{unit} was {state} when this was asked for and is {now.active_state} now; ask again"
        )
    if invocation and invocation != now.invocation_id:
        raise Refusal(
            "INVOCATION_CHANGED", f"{unit} was started anew since this was asked for; look again and ask again"
        )


def to_wire(state: UnitState) -> link_pb2.UnitState:
    """Say a unit's state as the link does."""
    return link_pb2.UnitState(
        unit=state.unit,
        load_state=state.load_state,
        active_state=state.active_state,
        sub_state=state.sub_state,
        invocation_id=state.invocation_id,
        main_pid=state.main_pid,
        restarts=state.n_restarts,
        exit_status=state.exec_main_status,
        result=state.result,
    )
