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
Ending = tuple[pb.Verdict, str, dict[str, str]]


class _NotDone(Exception):
    """A step did not come to its end."""


async def put_back(
    dispatch: Dispatch, gating: Gating, plan: UnitPlan, configured: pb.Step, order: Ordering, ready_within_s: float,
    say: Callable[[str], Awaitable[None]],
) -> Ending:  # fmt: skip
    """Put the flags back after a node did not come up with new ones.

    Args:
        configured: the step that changed them, whose figures name the version before.
        order: makes an order of a step's id, action and request.
        say: shown what it is at.
    """
    previous = int(configured.figures.get("previous_version", "0"))
    if not previous:
        return pb.VERDICT_FAIL, "VERSION_NOT_FOUND: no version from before is known", {}
    teller = Teller(say)
    try:
        teller.tell(f"putting version {previous} of the flags back")
        await _do(dispatch, order("undo-configure", CONFIG, _back(plan, previous)), teller)
        receipt = await _do(dispatch, order("undo-act", RESTART, _restart(plan)), teller)
        found = await wait_until_ready(gating, plan, "", receipt.after, ready_within_s, lambda: "", teller.tell)
    except _NotDone as why:
        return pb.VERDICT_FAIL, str(why), {}
    finally:
        await teller.close()
    figures = {"version": str(previous)} | found.figures
    if found.verdict == pb.VERDICT_PASS:
        return pb.VERDICT_PASS, f"version {previous} of the flags was put back, and the node has caught up", figures
    return found.verdict, f"version {previous} of the flags was put back; {found.message}", figures


async def _do(dispatch: Dispatch, order: Order, teller: Teller) -> link_pb2.Receipt:
    try:
        _, receipt = await dispatch.carry_out(order, teller.tell)
    except NotDelivered:
        raise _NotDone("HOST_OFFLINE: the command was not delivered") from None
    except NoReceipt:
        raise _NotDone("RECEIPT_MISSING: what was done is not known") from None
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
