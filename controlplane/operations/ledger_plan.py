"""Plans for a host's ledger: a survey of a node that is down, and a repair that takes the node down and up again."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import grpc
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from common.errors import SolwardError
from common.names import host_name
from controlplane.links.registry import Links
from controlplane.operations.plan import (
    DOWN,
    LEDGER,
    LEDGER_REPAIR,
    NUDGE,
    UnitPlan,
    allowed_validator,
    known_validator,
    refuse_running,
    refuse_without_tool,
)
from controlplane.operations.sequence import Part, SequencePlan
from controlplane.store.hosts import HostRow

SURVEY, MEND = "ledger.survey", "ledger.repair"
STOP, START = "validator.stop", "validator.start"
JOB_S = 6 * 3600
# The tool reads every slot of the range.
MOST_SLOTS = 100_000
# Each is a call of the admin socket for each shred, and a node that is asked for more repairs less by itself.
MOST_NUDGED = 512
WATCH_S = 30
# To ask for all of them.
NUDGE_S = 60


class Range(NamedTuple):
    """What is asked of a ledger.

    Attributes:
        first: the first slot.
        last: the last.
        timeout_s: how long the job may take; 0: JOB_S.
        purge_from: of a survey: plan to delete all from this slot on.
        digest: of a repair: what a survey planned, which is done; empty: what is found now.
    """

    first: int
    last: int
    timeout_s: int = 0
    purge_from: int | None = None
    digest: str = ""


def survey(host: HostRow, links: Links, asked: Range) -> UnitPlan:
    """Plan to look at a range of slots.

    Raises: SolwardError RANGE_WRONG, NODE_RUNS, and as `plan.plan_unit`.
    """
    plan = _job(SURVEY, host, links, asked)
    refuse_running(host, plan, "to open its ledger beside it takes hours and slows it")
    return plan


def repair(host: HostRow, links: Links, asked: Range, wait_s: int) -> SequencePlan:
    """Plan to mend a range of slots: stop the node through its gates, do what can be done, and start it again.

    Args:
        wait_s: how long the gates may take to pass.

    Raises: SolwardError RANGE_WRONG, NODE_RUNS where a survey is to be gone by, and as `plan.plan_unit`.
    """
    job = _job(MEND, host, links, asked)
    if asked.digest:
        # It was of a node that was down, which has written to its ledger since: it would be stopped for nothing.
        refuse_running(host, job, "what a survey planned is good only while it has not run since")
    what = "do what the survey planned" if asked.digest else "look at them, and mend what can be mended"
    parts = [Part("repair", f"Slots {asked.first} to {asked.last}: {what}", MEND, tuple(job))]
    if job.state.partition("/")[0] not in DOWN:
        # Before it is stopped: what may not be started would stay down, and what is not known cannot be mended.
        known_validator(LEDGER, host, links)
        for action in (STOP, START):
            allowed_validator(action, host, links)
        back = f"Start {job.unit}, whatever came of the repair, and wait until it has caught up"
        parts.insert(0, Part("stop", f"Stop {job.unit}, through its gates and by its own exit", STOP))
        parts.append(Part("start", back, START, puts_back=True))
    words = [LEDGER_REPAIR, job.hash, *(part.step for part in parts), str(wait_s)]
    plan_hash = hashlib.sha256("\0".join(words).encode()).hexdigest()
    return SequencePlan(LEDGER_REPAIR, host.uid, host.name, plan_hash, tuple(tuple(part) for part in parts), wait_s)


def nudge(host: HostRow, links: Links, first: int, last: int, shreds: Sequence[int], watch_s: int) -> UnitPlan:
    """Plan to have a running node ask its peers for shreds of slots.

    Args:
        shreds: which of each slot, by index; none: the first.
        watch_s: how long it is watched whether the slots come; 0: WATCH_S.

    Raises: SolwardError RANGE_WRONG, NODE_DOWN, and as `plan.plan_unit`.
    """
    _refuse_range(first, last, MOST_NUDGED)
    report = allowed_validator(LEDGER, host, links)
    state = f"{report.state.active_state}/{report.state.sub_state}"
    if report.state.active_state != "active":
        raise SolwardError(
            grpc.StatusCode.FAILED_PRECONDITION, "NODE_DOWN",
            f"the validator of {host_name(host.name)} is {state}: only a running one asks its peers",
            {"host": host_name(host.name)},
        )  # fmt: skip
    watch_s = watch_s or WATCH_S
    action = link_pb2.NudgeAction(
        unit=report.state.unit,
        expected_invocation=report.state.invocation_id,
        first_slot=first,
        last_slot=last,
        shreds=sorted(set(shreds)) or [0],
        watch_ms=watch_s * 1000,
    )
    request = link_pb2.ActionRequest(nudge=action).SerializeToString(deterministic=True)
    lines = (f"slots {first} to {last}", f"shreds {', '.join(map(str, action.shreds))} of each")
    timeout_s = watch_s + NUDGE_S
    return UnitPlan(NUDGE, host.uid, host.name, report.state.unit, state, request, timeout_s, diff=lines)


def shown(plan: SequencePlan, requester: str, reason: str) -> pb.Operation:
    """Show a repair as an operation that has not begun."""
    parts = [Part(*fields) for fields in plan.parts]  # type: ignore[arg-type]
    return pb.Operation(
        kind=plan.kind, host=host_name(plan.host), requester=requester, state=pb.OPERATION_STATE_PLANNED,
        plan_hash=plan.hash, reason=reason, steps=[pb.Step(id=part.step, title=part.title) for part in parts],
    )  # fmt: skip


def _job(kind: str, host: HostRow, links: Links, asked: Range) -> UnitPlan:
    first, last = asked.first, asked.last
    _refuse_range(first, last, MOST_SLOTS)
    report = allowed_validator(LEDGER, host, links)
    refuse_without_tool(LEDGER, host, links)
    timeout_s = asked.timeout_s or JOB_S
    action = link_pb2.LedgerAction(
        unit=report.state.unit,
        verb=link_pb2.LEDGER_VERB_SURVEY if kind == SURVEY else link_pb2.LEDGER_VERB_REPAIR,
        first_slot=first,
        last_slot=last,
        plan_digest=asked.digest,
        timeout_ms=timeout_s * 1000,
        purge_from=asked.purge_from,
    )
    request = link_pb2.ActionRequest(ledger=action).SerializeToString(deterministic=True)
    state = f"{report.state.active_state}/{report.state.sub_state}"
    lines = [f"slots {first} to {last}"]
    if asked.purge_from is not None:
        lines.append(f"plan to purge from slot {asked.purge_from} on")
    if asked.digest:
        lines.append(f"as survey {asked.digest} planned")
    return UnitPlan(kind, host.uid, host.name, report.state.unit, state, request, timeout_s, diff=tuple(lines))


def _refuse_range(first: int, last: int, most: int) -> None:
    if not first <= last or last - first >= most:
        what = f"must not be before first_slot, nor {most} slots or more after it"
        raise SolwardError(
            grpc.StatusCode.INVALID_ARGUMENT, "RANGE_WRONG", f"last_slot {what}", {"field": "last_slot"},
            (("last_slot", what),),
        )  # fmt: skip
