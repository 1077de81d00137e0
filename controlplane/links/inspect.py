"""Inspection: an agent looks at its validator, or at what it watches, for us, under a permit like any other command."""

import uuid

from solward.geyser.v1 import geyser_pb2
from solward.hosts.v1 import link_pb2

from controlplane.links.dispatch import Dispatch, NoReceipt, NotDelivered, Order

LOOK_SECONDS = 15.0


class InspectError(Exception):
    """The agent did not look; `reason` is stable."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


async def inspect(dispatch: Dispatch, host_uid: str, unit: str) -> link_pb2.NodeReport:
    """Have a host's agent look at its validator now.

    Raises: InspectError HOST_OFFLINE, or the agent's own reason.
    """
    return (await _look(dispatch, host_uid, link_pb2.InspectAction(unit=unit))).node


async def inspect_flags(
    dispatch: Dispatch, host_uid: str, unit: str, change: link_pb2.ConfigAction | None = None
) -> link_pb2.FlagsReport:
    """Have a host's agent read the flags of its validator, and say what would come of a change; raises as `inspect`."""
    return (await _look(dispatch, host_uid, link_pb2.InspectAction(unit=unit, flags=True, change=change))).flags


async def inspect_snapshots(
    dispatch: Dispatch, host_uid: str, unit: str, prune: link_pb2.PrunePolicy | None = None
) -> link_pb2.SnapshotsReport:
    """Have a host's agent look at the snapshot folders, and say what a prune would remove; raises as `inspect`."""
    action = link_pb2.InspectAction(unit=unit, snapshots=True, prune=prune)
    return (await _look(dispatch, host_uid, action)).snapshots


async def inspect_partition_lags(
    dispatch: Dispatch, host_uid: str, ask: link_pb2.PartitionLagsAsk
) -> geyser_pb2.PartitionLags:
    """Have a host's agent tell a consumer group's lag by partition; raises as `inspect`."""
    return (await _look(dispatch, host_uid, link_pb2.InspectAction(partition_lags=ask))).partition_lags


async def _look(dispatch: Dispatch, host_uid: str, action: link_pb2.InspectAction) -> link_pb2.Receipt:
    request = link_pb2.ActionRequest(inspect=action).SerializeToString(deterministic=True)
    order = Order(
        operation=f"looks/{uuid.uuid4().hex}",
        step="inspect",
        host_uid=host_uid,
        action="validator.inspect",
        request=request,
        begin_within_s=LOOK_SECONDS,
        finish_within_s=LOOK_SECONDS,
    )
    try:
        _, receipt = await dispatch.carry_out(order, lambda _: None)
    except (NotDelivered, NoReceipt):
        raise InspectError("HOST_OFFLINE", "the agent did not look in time") from None
    if receipt.result != link_pb2.RECEIPT_RESULT_DONE:
        raise InspectError(receipt.reason or "NOT_INSPECTED", receipt.message)
    return receipt
