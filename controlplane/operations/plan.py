"""Plans: what an operation will do, shown before it does it, with a hash that approvals and callers hold it to."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import grpc
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from common.errors import SolwardError
from common.names import host_name
from controlplane.links.registry import AgentLink, KnownHost, Links
from controlplane.operations.gates import GATES, OF_VOTERS, Gate, title
from controlplane.store.hosts import HostRow

DEFAULT_TIMEOUT_S = 300
SETTLE_MS = 1000
# How long a vote, or the lack of any, may take to show.
PROOF_MS = 30_000

_VERBS = {
    "validator.start": (link_pb2.UNIT_VERB_START, "Start"),
    "validator.stop": (link_pb2.UNIT_VERB_STOP, "Stop"),
    "validator.restart": (link_pb2.UNIT_VERB_RESTART, "Restart"),
    "geyser.restart": (link_pb2.UNIT_VERB_RESTART, "Restart"),
}
# What must hold before each act, of a node that its agent knows. A node that is down has no leader slots to miss.
_GATES: dict[str, tuple[str, ...]] = {
    "validator.start": ("disk", "identity"),
    "validator.stop": tuple(gate for gate in GATES if gate not in ("snapshot", *OF_VOTERS)),
    "validator.restart": tuple(gate for gate in GATES if gate not in OF_VOTERS),
}
VOTE = "validator.vote"
CONFIG, RESTART = "validator.config", "validator.restart"
# What an allowlist calls every kind of work on snapshots.
SNAPSHOT = "validator.snapshot"
LEDGER = "validator.ledger"
NUDGE = "ledger.nudge"
# Of Geyser pipelines: a plugin of the validator, and a consumer, which is a unit of its own.
RELOAD_PLUGIN, LOAD_PLUGIN, PLUGIN = "geyser.reload_plugin", "geyser.load_plugin", "geyser.plugin"
RESTART_SERVICE = "geyser.restart"
# States of a unit without a process.
DOWN = ("inactive", "failed")
# A repair of a ledger, whose parts are operations of their own.
LEDGER_REPAIR = "controls.ledger"


class Wish(NamedTuple):
    """What a caller may ask for besides the act itself; times in seconds."""

    timeout_s: int = 0
    force: bool = False
    wait_s: int = 0


class UnitPlan(NamedTuple):
    """What is to be done to a host's validator.

    Attributes:
        state: the unit's state that the plan was made for, "active/running".
        request: a serialized ActionRequest.
        gates: names of the gates that must pass first.
        force: go on although they do not.
        wait_s: how long they may take to pass.
        ready: whether the node must catch up afterwards.
        config: a serialized ActionRequest that changes flags first; `request` is empty where no restart follows.
        diff: the difference that it makes, for people.
        rollback: put the flags back where the node is not up in time.
        soak_s: how long it is watched after it has caught up.
    """

    kind: str
    host_uid: str
    host: str
    unit: str
    state: str
    request: bytes
    timeout_s: int
    gates: tuple[str, ...] = ()
    force: bool = False
    wait_s: int = 0
    ready: bool = False
    config: bytes = b""
    diff: tuple[str, ...] = ()
    rollback: bool = False
    soak_s: int = 0

    @property
    def hash(self) -> str:
        """SHA-256 over the plan and the bytes of its request, timeout included: a plan that has changed has another."""
        parts = [self.kind, self.host_uid, self.host, self.unit, self.state, self.request.hex()]
        parts += [",".join(self.gates), str(self.force), str(self.wait_s), str(self.ready)]
        parts += [self.config.hex(), str(self.rollback), str(self.soak_s)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def operation(self, requester: str, reason: str, gates: Sequence[Gate] = ()) -> pb.Operation:
        """Show the plan as an operation that has not begun, with its gates as they stand now if they were judged."""
        return pb.Operation(
            kind=self.kind,
            host=host_name(self.host),
            requester=requester,
            state=pb.OPERATION_STATE_PLANNED,
            plan_hash=self.hash,
            reason=reason,
            steps=[
                pb.Step(id="check", title=f"Wait for the agent of {self.host}"),
                *(_gate_step(name, gates) for name in self.gates),
                *self._steps(),
            ],
        )

    def _steps(self) -> list[pb.Step]:
        steps: list[pb.Step] = []
        if self.config:
            steps.append(
                pb.Step(
                    id="configure", title=f"Change the flags of {self.unit}", figures={"diff": "\n".join(self.diff)}
                )
            )
        if self.is_plugin:
            return [pb.Step(id="act", title=self._plugin_title())]
        if self.leaves_unit:
            how = f"As a job on {self.host}" if self.is_job else f"Have {self.host} ask its peers"
            figures = {"diff": "\n".join(self.diff)}
            return [pb.Step(id="act", title=f"{how}, for at most {self.timeout_s} s", figures=figures)]
        if self.request:
            steps.append(pb.Step(id="act", title=self._act_title()))
            steps.append(pb.Step(id="verify", title=f"Verify that the agent sees {self.unit} {self._wanted}"))
        if self.ready:
            steps.append(pb.Step(id="ready", title=f"Wait until {self.host} has caught up"))
        if self.soak_s:
            steps.append(pb.Step(id="soak", title=f"Watch {self.host} for {self.soak_s} s"))
        if self.rollback:
            steps.append(pb.Step(id="undo", title="Only if it is not up in time: put the flags back and restart"))
        return steps

    @property
    def is_job(self) -> bool:
        """Whether it is carried out by a job of the host, which leaves the unit alone."""
        return self.kind.startswith(("snapshot.", "ledger.")) and self.kind != NUDGE

    @property
    def leaves_unit(self) -> bool:
        """Whether the unit is not touched, so that its state says nothing of what was done."""
        return self.is_job or self.is_plugin or self.kind == NUDGE

    @property
    def is_plugin(self) -> bool:
        """Whether it is about a plugin of the validator, and not about the unit."""
        return self.kind in (RELOAD_PLUGIN, LOAD_PLUGIN)

    @property
    def action(self) -> str:
        """What the act is called in permits and allowlists."""
        if self.is_plugin:
            return PLUGIN
        if self.leaves_unit:
            return LEDGER if self.kind.startswith("ledger.") else SNAPSHOT
        return RESTART if self.kind == CONFIG else self.kind

    @property
    def _wanted(self) -> str:
        return "inactive" if self.kind == "validator.stop" else "active"

    def _plugin_title(self) -> str:
        asked = link_pb2.ActionRequest.FromString(self.request).plugin
        if asked.verb == link_pb2.PLUGIN_VERB_LOAD:
            return f"Have the validator load the plugin {asked.source}"
        return f"Have the validator drop the plugin {asked.source} and load it anew: what comes in between is lost"

    def _act_title(self) -> str:
        if self.kind == CONFIG:
            return f"Restart {self.unit}, by its own exit, for at most {self.timeout_s} s"
        if self.kind == VOTE:
            vote = link_pb2.ActionRequest.FromString(self.request).vote
            if vote.enable:
                return f"Turn voting on, with the voters that root listed on {self.host}"
            return "Turn voting off until the next start; leader slots go on as before"
        does, verb = _VERBS[self.kind]
        if does != link_pb2.UNIT_VERB_RESTART and self.state.partition("/")[0] == self._wanted:
            return f"{verb} {self.unit}: it is already {self._wanted}, so nothing will change"
        graceful = link_pb2.ActionRequest.FromString(self.request).unit.graceful
        how = ", by its own exit," if graceful else ""
        return f"{verb} {self.unit}{how} if it still is {self.state}, for at most {self.timeout_s} s"


def plan_unit(kind: str, host: HostRow, links: Links, wish: Wish) -> UnitPlan:
    """Plan a start, stop or restart of a host's validator.

    Raises: SolwardError HOST_OFFLINE or ACTION_NOT_ALLOWED when it could not be carried out now.
    """
    link, report = _validator(kind, host, links)
    unit, knows = report.state.unit, link.hello.knows_validator
    timeout_s = wish.timeout_s or DEFAULT_TIMEOUT_S
    action = link_pb2.UnitAction(
        unit=unit,
        verb=_VERBS[kind][0],
        timeout_ms=timeout_s * 1000,
        settle_ms=SETTLE_MS,
        expected_invocation=report.state.invocation_id,
        expected_active_state=report.state.active_state,
        # A unit that is not running has no process to ask.
        graceful=knows and kind != "validator.start" and report.state.main_pid > 0,
        force=wish.force,
    )
    request = link_pb2.ActionRequest(unit=action).SerializeToString(deterministic=True)
    # A restart of what does not run is a start: another node may vote in its place by now.
    judged = kind if action.graceful or kind != RESTART else "validator.start"
    gates = _GATES[judged] if knows and (action.graceful or judged == "validator.start") else ()
    ready = knows and kind != "validator.stop"
    state = f"{report.state.active_state}/{report.state.sub_state}"
    return UnitPlan(
        kind, host.uid, host.name, unit, state, request, timeout_s, gates, wish.force, wish.wait_s, ready
    )  # fmt: skip


def plan_vote(host: HostRow, links: Links, *, enable: bool) -> UnitPlan:
    """Plan to turn a validator's voting on or off; raises as `plan_unit`, and VALIDATOR_UNKNOWN."""
    report = known_validator(VOTE, host, links)
    action = link_pb2.VoteAction(
        unit=report.state.unit,
        enable=enable,
        expected_invocation=report.state.invocation_id,
        proof_ms=PROOF_MS,
    )
    request = link_pb2.ActionRequest(vote=action).SerializeToString(deterministic=True)
    state = f"{report.state.active_state}/{report.state.sub_state}"
    gates = ("health", "sole-voter") if enable else ()
    return UnitPlan(VOTE, host.uid, host.name, report.state.unit, state, request, DEFAULT_TIMEOUT_S, gates)


def plan_config(
    host: HostRow, links: Links, wish: Wish, change: link_pb2.ConfigAction, report: link_pb2.FlagsReport,
    *, restart: bool, rollback: bool,
) -> UnitPlan:  # fmt: skip
    """Plan a change of flags.

    Args:
        change: what is wished; it is held to the flags that `report` shows.
        report: the flags, with what would come of the change.
        restart: restart the validator where it cannot be told all of it.
        rollback: put the flags back where it is not up in time.

    Raises: as `plan_unit`; NOTHING_TO_CHANGE.
    """
    _validator(CONFIG, host, links)
    if not report.diff:
        raise SolwardError(
            grpc.StatusCode.FAILED_PRECONDITION, "NOTHING_TO_CHANGE", "the flags stand as wished already",
            {"host": host_name(host.name), "etag": report.etag},
        )  # fmt: skip
    restarts = restart and bool(report.at_next_start)
    base = plan_unit(RESTART, host, links, wish) if restarts else None
    wanted = link_pb2.ConfigAction()
    wanted.CopyFrom(change)
    wanted.etag, wanted.apply_now = report.etag, not restarts
    config = link_pb2.ActionRequest(config=wanted).SerializeToString(deterministic=True)
    if base is not None:
        return base._replace(kind=CONFIG, config=config, diff=tuple(report.diff), rollback=rollback)
    return plan_written(host, links, config, tuple(report.diff))


def plan_written(host: HostRow, links: Links, config: bytes, diff: tuple[str, ...]) -> UnitPlan:
    """Plan to write flags for the next start, and to tell the running node what it can be told; no restart follows."""
    _, report = _validator(CONFIG, host, links)
    state = f"{report.state.active_state}/{report.state.sub_state}"
    return UnitPlan(
        CONFIG, host.uid, host.name, report.state.unit, state, b"", DEFAULT_TIMEOUT_S, config=config, diff=diff
    )


def validator_unit(host: KnownHost) -> link_pb2.UnitReport | None:
    """Find the host's validator: the first unit on its allowlist with any validator action, as last reported."""
    return host.units.get(host.validator)


def allowed_validator(action: str, host: HostRow, links: Links) -> link_pb2.UnitReport:
    """Find the validator of a host that its root lets be acted on so; raises SolwardError as `plan_unit`."""
    return _validator(action, host, links)[1]


def known_validator(action: str, host: HostRow, links: Links) -> link_pb2.UnitReport:
    """As `allowed_validator`, of an agent that knows more of it than its unit; raises also VALIDATOR_UNKNOWN."""
    link, report = _validator(action, host, links)
    if not link.hello.knows_validator:
        raise SolwardError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "VALIDATOR_UNKNOWN",
            f"the agent of {host_name(host.name)} knows no validator: root on that host names it in "
            "/etc/solward/agent.yaml, under validator",
            {"host": host_name(host.name)},
        )
    return report


def refuse_without_tool(action: str, host: HostRow, links: Links) -> None:
    """Refuse what needs agave-ledger-tool on a host that has none; raises SolwardError LEDGER_TOOL_UNKNOWN."""
    link, _ = _validator(action, host, links)
    if not link.hello.has_ledger_tool:
        raise SolwardError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "LEDGER_TOOL_UNKNOWN",
            f"{host_name(host.name)} has no agave-ledger-tool: root on that host names it in "
            "/etc/solward/allowlist.yaml, as ledger_tool, and starts the agent anew",
            {"host": host_name(host.name)},
        )


def refuse_running(host: HostRow, plan: UnitPlan, why: str) -> None:
    """Refuse what needs a node that is down; raises SolwardError NODE_RUNS."""
    if plan.state.partition("/")[0] not in DOWN:
        raise SolwardError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "NODE_RUNS",
            f"the validator of {host_name(host.name)} is {plan.state}, and {why}: stop it first (ctl validator stop)",
            {"host": host_name(host.name)},
        )


def _gate_step(name: str, gates: Sequence[Gate]) -> pb.Step:
    step = pb.Step(id=f"gate-{name}", title=title(name))
    for gate in gates:
        if gate.id == name:
            step.verdict, step.message = gate.verdict, gate.message
            step.figures.update(gate.figures)
    return step


def _validator(kind: str, host: HostRow, links: Links) -> tuple[AgentLink, link_pb2.UnitReport]:
    known = links.get(host.uid)
    if known is None or known.link is None:
        raise SolwardError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "HOST_OFFLINE",
            f"the agent of {host_name(host.name)} is not connected: look at solward-agent on that host",
            {"host": host_name(host.name)},
        )
    report = validator_unit(known)
    allowed = {entry.unit: entry.actions for entry in known.link.hello.allowed_units}
    if report is None or kind not in allowed.get(report.state.unit, ()):
        raise _not_allowed(kind, host)
    return known.link, report


def _not_allowed(kind: str, host: HostRow) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "ACTION_NOT_ALLOWED",
        f"the allowlist on {host_name(host.name)} does not let its validator be acted on by {kind}, or its agent "
        "cannot see the unit: root on that host decides, in /etc/solward/allowlist.yaml",
        {"host": host_name(host.name), "action": kind},
    )
