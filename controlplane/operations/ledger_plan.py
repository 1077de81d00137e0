"""Plans for a host's ledger: a survey of a node that is down, and a repair that takes the node down and up again."""

import hashlib

import grpc
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from common.errors import SolwardError
from common.names import host_name
from controlplane.links.registry import Links
from controlplane.operations.plan import LEDGER, UnitPlan, allowed_validator
from controlplane.operations.sequence import Part, SequencePlan
from controlplane.store.hosts import HostRow

SURVEY, REPAIR, MEND = "ledger.survey", "controls.ledger", "ledger.repair"
STOP, START = "validator.stop", "validator.start"
JOB_S = 6 * 3600
# The tool reads every slot of the range.
MOST_SLOTS = 100_000


def survey(host: HostRow, links: Links, first: int, last: int, timeout_s: int) -> UnitPlan:
    """Plan to look at a range of slots.

    Raises: SolwardError RANGE_WRONG, NODE_RUNS, and as `plan.plan_unit`.
    """
    plan = _job(SURVEY, host, links, first, last, "", timeout_s)
    if plan.state.startswith("active"):
        raise SolwardError(
            grpc.StatusCode.FAILED_PRECONDITION, "NODE_RUNS",
            f"the validator of {host_name(host.name)} runs: opening its ledger beside it takes hours and slows it; "
            "stop it first, or ask for the repair, which does",
            {"host": host_name(host.name)},
        )  # fmt: skip
    return plan


def repair(
    host: HostRow, links: Links, first: int, last: int, digest: str, timeout_s: int, wait_s: int
) -> SequencePlan:
    """Plan to mend a range of slots: stop the node through its gates, do what can be done, and start it again.

    Args:
        digest: of what a survey said would be done; empty: whatever is found.

    Raises: SolwardError RANGE_WRONG, and as `plan.plan_unit`.
    """
    job = _job(MEND, host, links, first, last, digest, timeout_s)
    slots = f"slots {first} to {last}"
    parts = [Part("repair", f"Look at {slots}, and do what can be done", MEND, tuple(job), always=False)]
    if job.state.startswith("active"):
        parts.insert(0, Part("stop", f"Stop {job.unit}, through its gates and by its own exit", STOP))
        parts.append(Part("start", f"Start {job.unit}, whatever came of the repair, and see that it catches up", START,
                          always=True))  # fmt: skip
    words = [REPAIR, host.uid, job.hash, *(part.step for part in parts), str(wait_s)]
    digest = hashlib.sha256("\0".join(words).encode()).hexdigest()
    return SequencePlan(REPAIR, host.uid, host.name, digest, tuple(tuple(part) for part in parts), wait_s)


def shown(plan: SequencePlan, requester: str, reason: str) -> pb.Operation:
    """Show a repair as an operation that has not begun."""
    parts = [Part(*fields) for fields in plan.parts]  # type: ignore[arg-type]
    return pb.Operation(
        kind=plan.kind, host=host_name(plan.host), requester=requester, state=pb.OPERATION_STATE_PLANNED,
        plan_hash=plan.hash, reason=reason, steps=[pb.Step(id=part.step, title=part.title) for part in parts],
    )  # fmt: skip


def _job(kind: str, host: HostRow, links: Links, first: int, last: int, digest: str, timeout_s: int) -> UnitPlan:
    if not first <= last or last - first >= MOST_SLOTS:
        what = f"must not be before first_slot, nor {MOST_SLOTS} slots or more after it"
        raise SolwardError(
            grpc.StatusCode.INVALID_ARGUMENT, "RANGE_WRONG", f"last_slot {what}", {"field": "last_slot"},
            (("last_slot", what),),
        )  # fmt: skip
    report = allowed_validator(LEDGER, host, links)
    verb = link_pb2.LEDGER_VERB_SURVEY if kind == SURVEY else link_pb2.LEDGER_VERB_REPAIR
    action = link_pb2.LedgerAction(
        unit=report.state.unit, verb=verb, first_slot=first, last_slot=last, plan_digest=digest,
        timeout_ms=(timeout_s or JOB_S) * 1000,
    )  # fmt: skip
    request = link_pb2.ActionRequest(ledger=action).SerializeToString(deterministic=True)
    state = f"{report.state.active_state}/{report.state.sub_state}"
    lines = (f"slots {first} to {last}",)
    return UnitPlan(kind, host.uid, host.name, report.state.unit, state, request, timeout_s or JOB_S, diff=lines)
