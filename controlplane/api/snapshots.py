"""Snapshots of one host: looked at by its agent, and worked on by jobs of that host."""

import grpc
from solward.controls.v1 import controls_pb2 as pb
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2

from common.errors import SolwardError, wrong_field
from common.names import host_name
from controlplane.api.lookup import find_only_host
from controlplane.api.plans import Operating
from controlplane.links.dispatch import Dispatch
from controlplane.links.inspect import InspectError, inspect_snapshots
from controlplane.links.registry import Links
from controlplane.operations import snapshot_plan
from controlplane.store.hosts import HostRepository, HostRow


class Snapshots:
    """What ControlsService does with snapshots."""

    def __init__(self, hosts: HostRepository, links: Links, dispatch: Dispatch, operating: Operating) -> None:
        self._hosts = hosts
        self._links = links
        self._dispatch = dispatch
        self._operating = operating

    async def list(self, host: str) -> link_pb2.SnapshotsReport:
        """Have the agent look at the snapshot folders."""
        return await self._look(await find_only_host(self._hosts, host))

    async def create(self, request: pb.CreateSnapshotRequest) -> operations_pb2.Operation:
        """Keep the newest complete pair, an archive by name, or the next one; or make one of the ledger."""
        _refuse_mixed(request)
        if request.from_ledger:
            return await self._operating.operate(
                snapshot_plan.MAKE, request,
                lambda row: snapshot_plan.make(row, self._links, request.slot, incremental=request.incremental),
            )  # fmt: skip
        kind = snapshot_plan.CREATE
        if first := await self._operating.first(kind, request):
            return first
        found = await self.list(request.host)
        return await self._operating.operate(
            kind, request,
            lambda row: snapshot_plan.create(row, self._links, found, request.archive, request.wait_seconds),
        )  # fmt: skip

    async def verify(self, request: pb.VerifySnapshotRequest) -> operations_pb2.Operation:
        """Read an archive whole, or load it as a boot does."""
        if request.deep and request.bytes_per_second:
            raise wrong_field("bytes_per_second", "cannot be given with deep: the tool reads as fast as it can")
        kind = snapshot_plan.DEEP if request.deep else snapshot_plan.VERIFY
        if first := await self._operating.first(kind, request):
            return first
        found = await self.list(request.host)
        if request.deep:
            return await self._operating.operate(
                kind, request,
                lambda row: snapshot_plan.deep(row, self._links, found, request.archive, request.timeout_seconds),
            )  # fmt: skip
        return await self._operating.operate(
            kind, request,
            lambda row: snapshot_plan.verify(
                row, self._links, found, request.archive, request.bytes_per_second, request.timeout_seconds
            ),
        )  # fmt: skip

    async def prune(self, request: pb.PruneSnapshotsRequest) -> operations_pb2.Operation:
        """Remove archives by policy; the plan names each."""
        kind = snapshot_plan.PRUNE
        if first := await self._operating.first(kind, request):
            return first
        row = await find_only_host(self._hosts, request.host)
        found = await self._look(row, request.policy)
        return await self._operating.operate(
            kind, request, lambda row: snapshot_plan.prune(row, self._links, found, request.policy)
        )

    async def unpin(self, request: pb.UnpinSnapshotRequest) -> operations_pb2.Operation:
        """Let a kept snapshot go."""
        kind = snapshot_plan.UNPIN
        if first := await self._operating.first(kind, request):
            return first
        found = await self.list(request.host)
        return await self._operating.operate(
            kind, request, lambda row: snapshot_plan.unpin(row, self._links, found, request.slot)
        )

    async def _look(self, row: HostRow, policy: link_pb2.PrunePolicy | None = None) -> link_pb2.SnapshotsReport:
        host = self._links.get(row.uid)
        try:
            if host is None or not host.connected:
                raise InspectError("HOST_OFFLINE", "its agent is not connected")
            return await inspect_snapshots(self._dispatch, row.uid, host.validator, policy)
        except InspectError as error:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                error.reason,
                f"the snapshots of {host_name(row.name)} cannot be looked at: {error.message}",
                {"host": host_name(row.name)},
            ) from None


def _refuse_mixed(request: pb.CreateSnapshotRequest) -> None:
    """Refuse fields that say nothing together."""
    if request.from_ledger:
        wrong = "archive" if request.archive else "wait_seconds" if request.wait_seconds else ""
        what = "cannot be given with from_ledger, which makes a new one"
    else:
        wrong = "slot" if request.slot else "incremental" if request.incremental else ""
        what = "is for from_ledger alone"
    if wrong:
        raise wrong_field(wrong, what)
