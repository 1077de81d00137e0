"""metrics.v1: how the control plane itself fares."""

from solward.metrics.v1 import metrics_pb2 as pb
from solward.metrics.v1.metrics_pb2_grpc import MetricsServiceServicer

from common.breaker import Breaker, breakers
from controlplane.guard.context import Context

STATES = {
    "closed": pb.BREAKER_STATE_CLOSED, "open": pb.BREAKER_STATE_OPEN, "half-open": pb.BREAKER_STATE_HALF_OPEN,
}  # fmt: skip


class MetricsApi(MetricsServiceServicer):
    """Serves MetricsService."""

    async def ListConnections(self, request: pb.ListConnectionsRequest, context: Context) -> pb.ListConnectionsResponse:
        return pb.ListConnectionsResponse(connections=[_connection(one) for one in breakers()])


def _connection(breaker: Breaker) -> pb.Connection:
    return pb.Connection(
        name=breaker.name, state=STATES[breaker.state], failures=breaker.failures, retry_seconds=breaker.retry_s
    )
