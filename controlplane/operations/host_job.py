"""A step that is a long job of the host: a person may end it, and then the job is stopped where it is."""

import asyncio

from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2 as pb

from controlplane.links.dispatch import NoReceipt, NotDelivered, Order
from controlplane.operations.steps import Steps

STOP = "stop"


async def carry_out_job(steps: Steps, uid: str, order: Order) -> tuple[int, bool]:
    """Have the job of a step done.

    Returns: its verdict, and whether a person ended it.
    """
    attempt = (await steps.get(uid, order.step)).figures.get("attempt")
    at_agent = f"{order.step}.{attempt}" if attempt else order.step
    job = asyncio.create_task(steps.ordered(uid, order.step, order))
    stopped = False
    try:
        while not job.done():
            seen = steps.board.changes
            # Again and again: a job that is told to stop before it has begun would begin all the same.
            if await steps.aborted(uid):
                stopped = await _stop(steps, order, at_agent) or stopped
            await steps.board.wait(seen)
        verdict = await job
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
    return verdict, stopped and verdict != pb.VERDICT_PASS


async def _stop(steps: Steps, order: Order, at_agent: str) -> bool:
    asked = link_pb2.ActionRequest.FromString(order.request)
    unit = asked.ledger.unit if asked.HasField("ledger") else asked.snapshot.unit
    action = link_pb2.StopJobAction(unit=unit, step=at_agent, action=order.action)
    request = link_pb2.ActionRequest(stop_job=action).SerializeToString(deterministic=True)
    try:
        _, receipt = await steps.dispatch.carry_out(order._replace(step=STOP, request=request), lambda _: None)
    except (NotDelivered, NoReceipt):
        # The agent is away: asked again once it is back.
        return False
    return receipt.result == link_pb2.RECEIPT_RESULT_DONE
