"""metrics.v1: stored telemetry, and how the control plane itself fares."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc
from solward.metrics.v1 import metrics_pb2 as pb
from solward.metrics.v1 import topics_pb2
from solward.metrics.v1.metrics_pb2_grpc import MetricsServiceServicer

from common.breaker import Breaker, breakers
from common.clock import timestamp
from common.errors import SolwardError
from controlplane.api.query_range import query_range, restore_day
from controlplane.api.reach import Reach
from controlplane.api.topics import LiveTopics
from controlplane.guard.context import Context, caller
from controlplane.identity.second_factors import CERTIFICATE
from controlplane.identity.sessions import Sessions
from controlplane.store.hosts import HostRepository
from controlplane.telemetry.ingest import Ingest

STATES = {
    "closed": pb.BREAKER_STATE_CLOSED, "open": pb.BREAKER_STATE_OPEN, "half-open": pb.BREAKER_STATE_HALF_OPEN,
}  # fmt: skip


class MetricsApi(MetricsServiceServicer):
    """Serves MetricsService.

    Args:
        hosts: to know which ones a caller may see.
        ingest: its store, where there is one, is asked.
        topics: what is told live.
        sessions: make tickets.
    """

    def __init__(self, hosts: HostRepository, ingest: Ingest, topics: LiveTopics, sessions: Sessions) -> None:
        self._sessions = sessions
        self._hosts = hosts
        self._ingest = ingest
        self._topics = topics

    async def QueryRange(self, request: pb.QueryRangeRequest, context: Context) -> pb.QueryRangeResponse:
        return await query_range(self._ingest.store, request, await Reach.of_caller(self._hosts))

    async def RestoreDay(self, request: pb.RestoreDayRequest, context: Context) -> pb.RestoreDayResponse:
        return await restore_day(self._ingest.store, request.day)

    async def ListConnections(self, request: pb.ListConnectionsRequest, context: Context) -> pb.ListConnectionsResponse:
        return pb.ListConnectionsResponse(
            connections=[_connection(one) for one in breakers()], store_problem=self._ingest.unkept
        )

    async def WatchTopics(
        self, request: topics_pb2.WatchTopicsRequest, context: Context
    ) -> AsyncIterator[topics_pb2.WatchTopicsResponse]:
        async with aclosing(self._topics.watch(list(request.topics))) as frames:
            async for frame in frames:
                yield frame

    async def CheckTopics(
        self, request: topics_pb2.CheckTopicsRequest, context: Context
    ) -> topics_pb2.CheckTopicsResponse:
        return await self._topics.check(list(request.topics))

    async def CreateTicket(self, request: topics_pb2.CreateTicketRequest, context: Context) -> topics_pb2.Ticket:
        who = caller()
        if who.session.startswith(CERTIFICATE):
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "SESSION_WANTED",
                "a ticket stands for a session, and this call carries a certificate: ask with an access token",
            )
        ticket, expires_ms = await self._sessions.new_ticket(who.session, who.expires_ms)
        return topics_pb2.Ticket(ticket=ticket, expire_time=timestamp(expires_ms))


def _connection(breaker: Breaker) -> pb.Connection:
    return pb.Connection(
        name=breaker.name, state=STATES[breaker.state], failures=breaker.failures, retry_seconds=breaker.retry_s
    )
