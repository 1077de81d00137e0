"""The live topic of operations: what is at work, what waits for a person, and what has just ended."""

from solward.metrics.v1 import topics_pb2
from solward.operations.v1 import operations_pb2 as pb

from common.clock import now_ms
from common.errors import info_of
from controlplane.guard.places import hosts_of
from controlplane.operations.board import ended
from controlplane.store.operations import OperationRepository
from controlplane.telemetry.topics import Topic, View

TOPIC = "operations"
# For so long after its end an operation is still told of.
JUST_MS = 60_000
MOST = 100
# Looked through for those that a watcher may see.
_LOOKED = 1_000


class OperationsTopic:
    """Makes its frames.

    Args:
        operations: from the store, so that every control plane tells the same.
    """

    def __init__(self, operations: OperationRepository) -> None:
        self._operations = operations

    async def make(self, topic: Topic, view: View) -> topics_pb2.TopicFrame:
        """Tell what the watcher may see: operations of which every host is within reach."""
        since_ms = now_ms() - JUST_MS
        found = [
            one
            for one in await self._operations.current(since_ms, _LOOKED)
            if all(view.sees(TOPIC, host) for host in hosts_of(one))
            and not (ended(one) and one.end_time.ToMilliseconds() < since_ms)
        ]
        found.sort(key=lambda one: (ended(one), -one.create_time.ToMilliseconds(), one.name))
        now = topics_pb2.OperationsNow(open_count=sum(not ended(one) for one in found))
        now.operations.extend(_in_short(one) for one in found[:MOST])
        return topics_pb2.TopicFrame(operations=now)


def _in_short(operation: pb.Operation) -> topics_pb2.OperationNow:
    now = topics_pb2.OperationNow(
        name=operation.name, kind=operation.kind, host=operation.host, requester=operation.requester,
        state=operation.state, parent=operation.parent, approvals=len(operation.approvals),
        approvals_required=operation.approvals_required, target_count=len(operation.targets),
        done_count=sum(one.state == pb.TARGET_STATE_SUCCEEDED for one in operation.targets),
        failed_count=sum(one.state in _WRONG for one in operation.targets),
        create_time=operation.create_time,
    )  # fmt: skip
    if step := next((one for one in reversed(operation.steps) if one.HasField("start_time")), None):
        now.step, now.message = step.title, step.message
    if operation.HasField("error"):
        now.reason, now.message = info_of(operation.error).reason, operation.error.message
    if operation.HasField("end_time"):
        now.end_time.CopyFrom(operation.end_time)
    return now


_WRONG = (pb.TARGET_STATE_FAILED, pb.TARGET_STATE_PAUSED)
