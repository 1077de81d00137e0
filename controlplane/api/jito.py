"""jito.v1: bundles, and what may be tipped."""

from collections.abc import AsyncIterator

import grpc
from solward.jito.v1 import jito_pb2 as pb
from solward.jito.v1.jito_pb2_grpc import JitoServiceServicer

from common.errors import SolwardError
from controlplane.api.lookup import find_host, find_only_host
from controlplane.api.paging import page_position, page_token
from controlplane.api.reach import Reach
from controlplane.guard.context import Context, caller, current_call
from controlplane.mev.bus import BundleBus
from controlplane.mev.submit import Submitter
from controlplane.mev.tracker import Tracker
from controlplane.store.bundles import BundleRepository
from controlplane.store.hosts import HostRepository

BUNDLES_PAGE = 50


class JitoApi(JitoServiceServicer):
    """Serves JitoService."""

    def __init__(
        self, hosts: HostRepository, bundles: BundleRepository, submitter: Submitter, tracker: Tracker, bus: BundleBus
    ) -> None:
        self._hosts = hosts
        self._bundles = bundles
        self._submitter = submitter
        self._tracker = tracker
        self._bus = bus

    async def SubmitBundle(self, request: pb.SubmitBundleRequest, context: Context) -> pb.Bundle:
        host = await find_only_host(self._hosts, request.host)
        bundle = await self._submitter.submit(request, host, caller().name)
        current_call().notes.update(bundle=bundle.name, tip_lamports=str(bundle.tip_lamports))
        return bundle

    async def GetBundle(self, request: pb.GetBundleRequest, context: Context) -> pb.Bundle:
        stored = await self._bundles.find(request.bundle)
        reach = await Reach.of_caller(self._hosts)
        # Whoever may not see it is not told that it is there.
        if stored is None or not reach.sees(stored.bundle.host):
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "BUNDLE_NOT_FOUND",
                f"no bundle {request.bundle} was submitted here: see ctl jito bundles", {"bundle": request.bundle},
            )  # fmt: skip
        return self._tracker.current(request.bundle) or stored.bundle

    async def ListBundles(self, request: pb.ListBundlesRequest, context: Context) -> pb.ListBundlesResponse:
        position = page_position(request, int, str)
        before = (position[0], position[1]) if position else None
        size = request.page_size or BUNDLES_PAGE
        reach = await Reach.of_caller(self._hosts)
        found = await self._bundles.page(await self._uids(request.host, reach), request.strategy, before, size + 1)
        more = page_token(request, list(found[size - 1][0])) if len(found) > size else ""
        current = [self._tracker.current(key[1]) or bundle for key, bundle in found[:size]]
        return pb.ListBundlesResponse(bundles=[one for one in current if reach.sees(one.host)], next_page_token=more)

    async def WatchBundles(self, request: pb.WatchBundlesRequest, context: Context) -> AsyncIterator[pb.Bundle]:
        if request.host:
            await find_host(self._hosts, request.host)
        async for bundle in self._bus.watch():
            if request.host in ("", bundle.host) and (await Reach.of_caller(self._hosts)).sees(bundle.host):
                yield bundle

    async def GetBudget(self, request: pb.GetBudgetRequest, context: Context) -> pb.Budget:
        return await self._bundles.budget()

    async def UpdateBudget(self, request: pb.UpdateBudgetRequest, context: Context) -> pb.Budget:
        return await self._bundles.set_budget(request.daily_lamports, request.bundle_lamports, caller().name)

    async def _uids(self, host: str, reach: Reach) -> list[str] | None:
        if host:
            return [(await find_host(self._hosts, host)).uid]
        if reach.whole:
            return None
        return [(await find_host(self._hosts, name)).uid for name in sorted(reach.hosts)]
