"""validator.v1: the validator beside an agent."""

import grpc
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2
from solward.validator.v1 import validator_pb2 as pb
from solward.validator.v1.validator_pb2_grpc import ValidatorServiceServicer

from common.clock import timestamp
from common.errors import SolwardError, wrong_field
from common.flags.catalogue import CATALOGUE, NEVER, Flag
from common.flags.runtime import CALLS
from common.names import host_name
from controlplane.api.lookup import find_only_host
from controlplane.api.plans import ActRequest, Operating
from controlplane.guard.context import Context
from controlplane.links.dispatch import Dispatch
from controlplane.links.inspect import InspectError, inspect, inspect_flags
from controlplane.links.registry import Links
from controlplane.operations.plan import (
    CONFIG,
    VOTE,
    Wish,
    plan_config,
    plan_unit,
    plan_vote,
    validator_unit,
)
from controlplane.store.hosts import HostRepository, HostRow

# What an agent says of a change that cannot be: the caller's to put right.
WRONG = ("FLAG_UNKNOWN", "FLAG_REMOVED", "FLAG_TOO_NEW", "FLAG_TWICE", "VALUE_WRONG", "TOO_MANY_FLAGS")


class ValidatorApi(ValidatorServiceServicer):
    """Serves ValidatorService."""

    def __init__(self, hosts: HostRepository, links: Links, dispatch: Dispatch, operating: Operating) -> None:
        self._hosts = hosts
        self._links = links
        self._dispatch = dispatch
        self._operating = operating

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.ValidatorStatus:
        row = await find_only_host(self._hosts, request.host)
        host = self._links.get(row.uid)
        report = validator_unit(host) if host else None
        if host is None or report is None:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "VALIDATOR_UNKNOWN",
                f"the agent of {host_name(row.name)} has not reported a validator since the control plane started",
                {"host": host_name(row.name)},
            )
        return pb.ValidatorStatus(
            host=host_name(row.name),
            unit=report.state,
            observe_time=timestamp(report.unix_ms),
            connected=host.connected,
        )

    async def GetNode(self, request: pb.GetNodeRequest, context: Context) -> link_pb2.NodeReport:
        row = await find_only_host(self._hosts, request.host)
        host = self._links.get(row.uid)
        if host is None or not host.connected:
            raise _not_inspected(row, InspectError("HOST_OFFLINE", "its agent is not connected"))
        try:
            return await inspect(self._dispatch, row.uid, host.validator)
        except InspectError as error:
            raise _not_inspected(row, error) from None

    async def GetFlags(self, request: pb.GetFlagsRequest, context: Context) -> link_pb2.FlagsReport:
        row = await find_only_host(self._hosts, request.host)
        return await self._flags(row, None)

    async def UpdateFlags(self, request: pb.UpdateFlagsRequest, context: Context) -> operations_pb2.Operation:
        if bool(request.changes) == bool(request.to_version):
            raise wrong_field("changes", "must be given, or to_version, and not both")
        row = await find_only_host(self._hosts, request.host)
        change = link_pb2.ConfigAction(changes=request.changes, to_version=request.to_version, etag=request.etag)
        wish = Wish(request.timeout_seconds, wait_s=request.wait_seconds)
        if first := await self._operating.first(CONFIG, request):
            return first
        report = await self._flags(row, change)
        return await self._operating.operate(
            CONFIG, request,
            lambda host: plan_config(
                host, self._links, wish, change, report,
                restart=not request.no_restart, rollback=not request.no_rollback,
            ),
        )  # fmt: skip

    async def ListKnownFlags(self, request: pb.ListKnownFlagsRequest, context: Context) -> pb.ListKnownFlagsResponse:
        return pb.ListKnownFlagsResponse(flags=[_known(flag) for _, flag in sorted(CATALOGUE.items())])

    async def _flags(self, row: HostRow, change: link_pb2.ConfigAction | None) -> link_pb2.FlagsReport:
        """Have the agent read the flags, and say what would come of a change, whose unit is filled in."""
        host = self._links.get(row.uid)
        if host is None or not host.connected:
            raise _not_inspected(row, InspectError("HOST_OFFLINE", "its agent is not connected"))
        if change is not None:
            change.unit = host.validator
        try:
            return await inspect_flags(self._dispatch, row.uid, host.validator, change)
        except InspectError as error:
            if error.reason in WRONG:
                what = error.message
                raise SolwardError(
                    grpc.StatusCode.INVALID_ARGUMENT, error.reason, what, {"field": "changes"}, (("changes", what),)
                ) from None
            raise _not_inspected(row, error) from None

    async def Restart(self, request: pb.RestartRequest, context: Context) -> operations_pb2.Operation:
        wish = Wish(request.timeout_seconds, request.force, request.wait_seconds)
        return await self._act("validator.restart", request, wish)

    async def Start(self, request: pb.StartRequest, context: Context) -> operations_pb2.Operation:
        wish = Wish(request.timeout_seconds, request.force, request.wait_seconds)
        return await self._act("validator.start", request, wish)

    async def Stop(self, request: pb.StopRequest, context: Context) -> operations_pb2.Operation:
        wish = Wish(request.timeout_seconds, request.force, request.wait_seconds)
        return await self._act("validator.stop", request, wish)

    async def SetVoting(self, request: pb.SetVotingRequest, context: Context) -> operations_pb2.Operation:
        enable = request.action == "on"
        return await self._operating.operate(VOTE, request, lambda host: plan_vote(host, self._links, enable=enable))

    async def _act(self, kind: str, request: ActRequest, wish: Wish) -> operations_pb2.Operation:
        return await self._operating.operate(kind, request, lambda host: plan_unit(kind, host, self._links, wish))


def _known(flag: Flag) -> pb.KnownFlag:
    told = {name for call in CALLS for name in call.flags}
    return pb.KnownFlag(
        name=flag.name, kind=flag.kind, many=flag.many, since=str(flag.since) if any(flag.since) else "",
        until=str(flag.until) if flag.until != NEVER else "", choices=flag.choices, guarded=flag.guarded,
        at_run_time=flag.name in told,
    )  # fmt: skip


def _not_inspected(row: HostRow, error: InspectError) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.FAILED_PRECONDITION,
        error.reason,
        f"the validator of {host_name(row.name)} cannot be looked at: {error.message}",
        {"host": host_name(row.name)},
    )
