"""Putting flags back: the version that stood before, a restart of whatever runs by now, and its catching up."""

from collections.abc import Awaitable, Callable

from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from controlplane.links.dispatch import Dispatch, NoReceipt, NotDelivered, Order
from controlplane.operations.gating import Gating
from controlplane.operations.plan import CONFIG, RESTART, SETTLE_MS, UnitPlan
from controlplane.operations.readiness import wait_until_ready
from controlplane.operations.teller import Teller

Ordering = Callable[[str, str, bytes], Order]
Record = Callable[[link_pb2.SignedReceipt, link_pb2.Receipt], Awaitable[None]]
Ending = tuple[pb.Verdict, str, dict[str, str]]


class _NotDone(Exception):
    """A step did not come to its end."""


async def put_back(
    dispatch: Dispatch, gating: Gating, plan: UnitPlan, configured: pb.Step, act: pb.Step, order: Ordering,
    ready_within_s: float, record: Record, say: Callable[[str], Awaitable[None]],
) -> Ending:  # fmt: skip
    """Put the flags back after a node did not come up with new ones, and restart it unless its old run goes on.

    Args:
        configured: the step that changed them, whose figures name the version before.
        act: the step that was to restart it.
        order: makes an order of a step's id, action and request.
        record: puts a receipt on record.
        say: shown what it is at.
    """
    previous = int(configured.figures.get("previous_version", "0"))
    if not previous:
        return pb.VERDICT_FAIL, "VERSION_NOT_FOUND: no version from before is known", {}
    teller = Teller(say)
    try:
        teller.tell(f"putting version {previous} of the flags back")
        await _do(dispatch, order("undo-configure", CONFIG, _back(plan, previous)), record, teller)
        if _runs_on(act):
            done = f"version {previous} of the flags was put back; the node runs on as it did and was not restarted"
            return pb.VERDICT_PASS, done, {"version": str(previous)}
        receipt = await _do(dispatch, order("undo-act", RESTART, _restart(plan)), record, teller)
        found = await wait_until_ready(gating, plan, "", receipt.after, ready_within_s, lambda: "", teller.tell)
    except _NotDone as why:
        return pb.VERDICT_FAIL, str(why), {}
    finally:
        await teller.close()
    figures = {"version": str(previous)} | found.figures
    if found.verdict == pb.VERDICT_PASS:
        return pb.VERDICT_PASS, f"version {previous} of the flags was put back, and the node has caught up", figures
    return found.verdict, f"version {previous} of the flags was put back; {found.message}", figures


def _runs_on(act: pb.Step) -> bool:
    """Whether the run from before goes on: the act was refused, not delivered, or could not end it.

    Such a node has its own leader slots still to serve; to force it down would cost what the refusal saved.
    """
    if not act.HasField("receipt") or act.receipt.result == link_pb2.RECEIPT_RESULT_REFUSED:
        return True
    before, after = act.receipt.before, act.receipt.after
    return after.active_state == "active" and after.invocation_id == before.invocation_id


async def _do(dispatch: Dispatch, order: Order, record: Record, teller: Teller) -> link_pb2.Receipt:
    try:
        signed, receipt = await dispatch.carry_out(order, teller.tell)
    except NotDelivered:
        raise _NotDone("HOST_OFFLINE: the command was not delivered") from None
    except NoReceipt:
        raise _NotDone("RECEIPT_MISSING: what was done is not known") from None
    await record(signed, receipt)
    if receipt.result != link_pb2.RECEIPT_RESULT_DONE:
        raise _NotDone(f"{receipt.reason}: {receipt.message}")
    return receipt


def _back(plan: UnitPlan, version: int) -> bytes:
    action = link_pb2.ConfigAction(unit=plan.unit, to_version=version)
    return link_pb2.ActionRequest(config=action).SerializeToString(deterministic=True)


def _restart(plan: UnitPlan) -> bytes:
    # Forced: a node that does not come up may not answer its admin socket either, and has no duty that it could miss.
    action = link_pb2.UnitAction(
        unit=plan.unit, verb=link_pb2.UNIT_VERB_RESTART, timeout_ms=plan.timeout_s * 1000, settle_ms=SETTLE_MS,
        graceful=True, force=True,
    )  # fmt: skip
    return link_pb2.ActionRequest(unit=action).SerializeToString(deterministic=True)
