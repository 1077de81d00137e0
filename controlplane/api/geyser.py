"""geyser.v1: pipelines, and what agents look at for them."""

import grpc
from solward.geyser.v1 import geyser_pb2 as pb
from solward.geyser.v1.geyser_pb2_grpc import GeyserServiceServicer
from solward.hosts.v1 import link_pb2

from common.errors import SolwardError
from common.names import host_name
from controlplane.api.lookup import find_host
from controlplane.api.reach import Reach
from controlplane.geyser.mender import Mender
from controlplane.geyser.pipelines import Pipelines, sees
from controlplane.geyser.report import consumer_groups, sources
from controlplane.guard.context import Context, caller, current_call
from controlplane.links.dispatch import Dispatch
from controlplane.links.inspect import InspectError, inspect_partition_lags
from controlplane.store.hosts import HostRepository, HostRow
from controlplane.telemetry.ingest import Ingest

USUAL_PARTITIONS = 100


class GeyserApi(GeyserServiceServicer):
    """Serves GeyserService."""

    def __init__(
        self, hosts: HostRepository, pipelines: Pipelines, mender: Mender, ingest: Ingest, dispatch: Dispatch
    ) -> None:
        self._dispatch = dispatch
        self._hosts = hosts
        self._pipelines = pipelines
        self._mender = mender
        self._ingest = ingest

    async def ListPipelines(self, request: pb.ListPipelinesRequest, context: Context) -> pb.ListPipelinesResponse:
        reach = await Reach.of_caller(self._hosts)
        found = [self._shown(name) for name in sorted(self._pipelines.wanted)]
        return pb.ListPipelinesResponse(pipelines=[one for one in found if sees(one, reach.sees)])

    async def GetPipeline(self, request: pb.GetPipelineRequest, context: Context) -> pb.Pipeline:
        name = self._named(request.pipeline)
        found = self._shown(name) if name else None
        # Whoever may not see it is not told that it is there.
        if found is None or not sees(found, (await Reach.of_caller(self._hosts)).sees):
            raise _unknown(request.pipeline)
        return found

    async def SetRecovery(self, request: pb.SetRecoveryRequest, context: Context) -> pb.Pipeline:
        name = self._named(request.pipeline)
        if name is None:
            raise _unknown(request.pipeline)
        if self._pipelines.wanted[name].recovery is None:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "NO_RECOVERY",
                f"pipelines/{name} says of no hop how it can be mended: add recovery to it in controlplane.yaml",
                {"pipeline": f"pipelines/{name}"},
            )  # fmt: skip
        await self._mender.set(name, enabled=request.enabled, by=caller().name)
        current_call().notes.update(pipeline=name, enabled=str(request.enabled).lower())
        return self._shown(name)

    async def ListConsumerGroups(
        self, request: pb.ListConsumerGroupsRequest, context: Context
    ) -> pb.ListConsumerGroupsResponse:
        hosts = await self._within(request.host)
        return pb.ListConsumerGroupsResponse(groups=consumer_groups(self._ingest, hosts, request.group))

    async def ListPartitionLags(self, request: pb.ListPartitionLagsRequest, context: Context) -> pb.PartitionLags:
        host, source = await self._where(request)
        ask = link_pb2.PartitionLagsAsk(
            source=source, group=request.group, topic=request.topic, limit=request.limit or USUAL_PARTITIONS
        )
        try:
            found = await inspect_partition_lags(self._dispatch, host.uid, ask)
        except InspectError as error:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, error.reason,
                f"the agent of {host_name(host.name)} does not tell: {error.message}", {"host": host_name(host.name)},
            ) from None  # fmt: skip
        found.host = host_name(host.name)
        return found

    async def ListSources(self, request: pb.ListSourcesRequest, context: Context) -> pb.ListSourcesResponse:
        return pb.ListSourcesResponse(sources=sources(self._ingest, await self._within(request.host)))

    async def _where(self, request: pb.ListPartitionLagsRequest) -> tuple[HostRow, str]:
        """Find the host and the source where a group is, where the caller leaves either out."""
        hosts = await self._within(request.host)
        if request.host and request.source:
            return await find_host(self._hosts, request.host), request.source
        found = {
            (row.host, row.source)
            for row in consumer_groups(self._ingest, hosts, request.group)
            if row.topic == request.topic and request.source in ("", row.source)
        }
        which = f"group {request.group!r} in topic {request.topic!r}"
        said = {"group": request.group, "topic": request.topic}
        if not found:
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "GROUP_NOT_FOUND",
                f"no agent within your reach tells of {which}: see ctl geyser lag", said,
            )  # fmt: skip
        if len(found) > 1:
            seen = ", ".join(f"{host} ({source})" for host, source in sorted(found))
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "GROUP_AMBIGUOUS",
                f"{which} is told of by {seen}: name one host and source", said,
            )  # fmt: skip
        ((host, source),) = found
        return await find_host(self._hosts, host), source

    def _named(self, asked: str) -> str | None:
        name = asked.removeprefix("pipelines/")
        return name if name in self._pipelines.wanted else None

    def _shown(self, name: str) -> pb.Pipeline:
        shown = pb.Pipeline()
        shown.CopyFrom(self._pipelines.newest.get(name) or self._pipelines.look(name))
        if recovery := self._mender.shown(name):
            shown.recovery.CopyFrom(recovery)
        return shown

    async def _within(self, host: str) -> list[str]:
        """Name the hosts that the caller asks for and reaches, by id."""
        if host:
            return [(await find_host(self._hosts, host)).name]
        reach = await Reach.of_caller(self._hosts)
        return [name for name in sorted(self._ingest.feeds) if reach.sees(host_name(name))]


def _unknown(asked: str) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.NOT_FOUND, "PIPELINE_NOT_FOUND",
        f"there is no pipeline {asked!r} that you may see: see ctl geyser pipelines", {"pipeline": asked},
    )  # fmt: skip
