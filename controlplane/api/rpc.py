"""rpc.v1: reports from the live ring."""

import asyncio
from collections.abc import AsyncIterator

import grpc
from solward.rpc.v1 import rpc_pb2 as pb
from solward.rpc.v1.rpc_pb2_grpc import RpcServiceServicer

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.api.lookup import find_host
from controlplane.guard.context import Context
from controlplane.store.hosts import HostRepository
from controlplane.telemetry.analysis import Analysis
from controlplane.telemetry.explain_report import explanations
from controlplane.telemetry.explanations import Explanations
from controlplane.telemetry.health_report import anomaly, health
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.rpc_connections import connections
from controlplane.telemetry.rpc_report import report


class RpcApi(RpcServiceServicer):
    """Serves RpcService."""

    def __init__(self, hosts: HostRepository, ingest: Ingest, analysis: Analysis, explanations: Explanations) -> None:
        self._hosts = hosts
        self._explanations = explanations
        self._analysis = analysis
        self._ingest = ingest
        # Reports of this second: every viewer of the same question gets the same one.
        self._reports: dict[tuple[str, str, int], pb.Metrics] = {}
        self._second = 0

    async def GetMetrics(self, request: pb.GetMetricsRequest, context: Context) -> pb.Metrics:
        return self._report(await self._known(request.host), "", request.window_seconds)

    async def GetLatency(self, request: pb.GetLatencyRequest, context: Context) -> pb.Metrics:
        return self._report(await self._known(request.host), request.method, request.window_seconds)

    async def GetConnections(self, request: pb.GetConnectionsRequest, context: Context) -> pb.Connections:
        return connections(self._ingest, await self._known(request.host), request.window_seconds)

    async def GetHealth(self, request: pb.GetHealthRequest, context: Context) -> pb.Health:
        return health(self._analysis, await self._known(request.host))

    async def GetExplanations(self, request: pb.GetExplanationsRequest, context: Context) -> pb.Explanations:
        host = await self._known(request.host)
        return explanations(self._explanations, [host] if host else sorted(self._ingest.feeds))

    async def AcknowledgeAnomaly(self, request: pb.AcknowledgeAnomalyRequest, context: Context) -> pb.Anomaly:
        host = await self._known(request.host)
        found = anomaly(self._analysis, host)
        if found is None:
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "NOTHING_UNUSUAL",
                f"nothing is unusual of {request.host} now: ctl rpc health",
                {"host": request.host},
            )  # fmt: skip
        self._analysis.acknowledge(host)
        return found

    async def WatchMetrics(self, request: pb.WatchMetricsRequest, context: Context) -> AsyncIterator[pb.Metrics]:
        host = await self._known(request.host)
        while True:
            yield self._report(host, "", request.window_seconds)
            await asyncio.sleep(1.0)

    def _report(self, host: str, method: str, window_s: int) -> pb.Metrics:
        second = now_ms() // 1000
        if second != self._second:
            self._reports.clear()
            self._second = second
        question = (host, method, window_s)
        if question not in self._reports:
            self._reports[question] = report(self._ingest, host, method, window_s)
        return self._reports[question]

    async def _known(self, name: str) -> str:
        return (await find_host(self._hosts, name)).name if name else ""
