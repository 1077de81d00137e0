"""jito.v1: bundles, and what may be tipped."""

from collections.abc import AsyncIterator

import grpc
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb
from solward.jito.v1.jito_pb2_grpc import JitoServiceServicer

from common.clock import now_ms
from common.errors import SolwardError, wrong_field
from controlplane.api.lookup import find_host, find_only_host
from controlplane.api.paging import page_position, page_token
from controlplane.api.reach import Reach
from controlplane.guard.context import Context, caller, current_call
from controlplane.mev.bus import BundleBus
from controlplane.mev.chain import unreachable
from controlplane.mev.choice import Standing
from controlplane.mev.landings import Landings
from controlplane.mev.learning import Learning
from controlplane.mev.priority_fees import CAVEAT, advise
from controlplane.mev.recent_fees import RecentFees
from controlplane.mev.regions import regions
from controlplane.mev.spend import NEAR_MS, spend
from controlplane.mev.submit import Submitter
from controlplane.mev.tip_feed import TipFeed
from controlplane.mev.tips import Floor
from controlplane.mev.tracker import Tracker
from controlplane.operations.outside import OutsideTrouble, OutsideView
from controlplane.store.bundles import DAY_MS, BundleRepository, Position
from controlplane.store.hosts import HostRepository
from controlplane.telemetry.ingest import Ingest

BUNDLES_PAGE = 50
SPEND_DAYS = 7


class JitoApi(JitoServiceServicer):
    """Serves JitoService."""

    def __init__(
        self, hosts: HostRepository, bundles: BundleRepository, submitter: Submitter, tracker: Tracker, bus: BundleBus,
        tips: TipFeed, learning: Learning, outside: OutsideView, ingest: Ingest, landings: Landings,
    ) -> None:  # fmt: skip
        self._hosts = hosts
        self._bundles = bundles
        self._tips = tips
        self._learning = learning
        self._fees = RecentFees(outside)
        self._ingest = ingest
        self._landings = landings
        self._submitter = submitter
        self._tracker = tracker
        self._bus = bus

    async def SubmitBundle(self, request: pb.SubmitBundleRequest, context: Context) -> pb.Bundle:
        host = await find_only_host(self._hosts, request.host)
        bundle = await self._submitter.submit(request, host, caller().name, (await Reach.of_caller(self._hosts)).sees)
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
        found = await self._page(request, before, size + 1)
        more = page_token(request, list(found[size - 1][0])) if len(found) > size else ""
        return pb.ListBundlesResponse(bundles=await self._seen(found[:size]), next_page_token=more)

    async def WatchBundles(self, request: pb.WatchBundlesRequest, context: Context) -> AsyncIterator[pb.Bundle]:
        if request.host:
            await find_host(self._hosts, request.host)
        # What changes while the newest are read is told after them.
        after = self._bus.newest
        if request.newest:
            for bundle in reversed(await self._seen(await self._page(request, None, request.newest))):
                yield bundle
        async for bundle in self._bus.watch(after):
            if bundle.canary != request.canaries or request.strategy not in ("", bundle.strategy):
                continue
            if request.host in ("", bundle.host) and (await Reach.of_caller(self._hosts)).sees(bundle.host):
                yield bundle

    async def _page(
        self, request: pb.ListBundlesRequest | pb.WatchBundlesRequest, before: Position | None, size: int
    ) -> list[tuple[Position, pb.Bundle]]:
        uids = await self._uids(request.host, await Reach.of_caller(self._hosts))
        return await self._bundles.page(uids, request.strategy, before, size, canaries=request.canaries)

    async def _seen(self, found: list[tuple[Position, pb.Bundle]]) -> list[pb.Bundle]:
        reach = await Reach.of_caller(self._hosts)
        current = [self._tracker.current(key[1]) or bundle for key, bundle in found]
        return [one for one in current if reach.sees(one.host)]

    async def ListRegions(self, request: pb.ListRegionsRequest, context: Context) -> pb.ListRegionsResponse:
        named = [(await find_host(self._hosts, request.host)).name] if request.host else sorted(self._ingest.feeds)
        return pb.ListRegionsResponse(regions=regions(self._ingest, named, self._landings, now_ms() / 1000))

    async def GetTips(self, request: pb.GetTipsRequest, context: Context) -> pb.Tips:
        newest = self._tips.newest
        if newest is None:
            raise _tips_unknown()
        found = pb.Tips(floor=_floor(newest), congestion=self._tips.congestion, age_seconds=self._tips.age_s,
                       source=self._tips.source)  # fmt: skip
        found.time.CopyFrom(found.floor.time)
        since = newest.unix_s - request.history_seconds
        found.history.extend(_floor(one) for one in self._tips.history if one.unix_s > since)
        return found

    async def GetPriorityFees(self, request: pb.GetPriorityFeesRequest, context: Context) -> pb.PriorityFees:
        try:
            answer = await self._fees.of(request.accounts)
            advice = advise(answer, request.compute_units)
        except (OutsideTrouble, ValueError) as trouble:
            raise unreachable(trouble) from None
        levels = [
            pb.PriorityFee(level=one.name, percentile=one.percentile, micro_lamports=one.micro_lamports,
                           lamports=one.lamports) for one in advice.levels
        ]  # fmt: skip
        return pb.PriorityFees(levels=levels, slots=advice.slots, free_share=advice.free_share, caveat=CAVEAT)

    async def GetExpectedValue(self, request: pb.GetExpectedValueRequest, context: Context) -> pb.ExpectedValue:
        limits, way = await self._way(request)
        wanted, cap = pb.GetExpectedValueRequest(), request.cap_lamports
        wanted.CopyFrom(request)
        if limits is not None:
            wanted.cap_lamports = min(cap or limits.max_tip_lamports, limits.max_tip_lamports)
        found = self._learning.expected_value(wanted, await self._bundles.budget(), way)
        if found is None:
            raise _tips_unknown()
        if limits is not None and wanted.cap_lamports != cap:
            found.reasons.append(f"root of {request.host} allows {limits.max_tip_lamports:,} lamports a bundle")
        return found

    async def GetSpend(self, request: pb.GetSpendRequest, context: Context) -> pb.Spend:
        since = now_ms() - (request.days or SPEND_DAYS) * DAY_MS
        return spend(await self._bundles.sums(since), await self._bundles.overpaid(since, NEAR_MS))

    async def GetBudget(self, request: pb.GetBudgetRequest, context: Context) -> pb.Budget:
        return await self._bundles.budget()

    async def UpdateBudget(self, request: pb.UpdateBudgetRequest, context: Context) -> pb.Budget:
        return await self._bundles.set_budget(request.daily_lamports, request.bundle_lamports, caller().name)

    async def _way(self, request: pb.GetExpectedValueRequest) -> tuple[link_pb2.BundleLimits | None, Standing | None]:
        """Find what the host would take, and the region that it would be sent in; None where none is meant or known."""
        if not request.host:
            if request.region:
                raise wrong_field("region", "needs the host whose way to it is meant: give host, too, or neither")
            return None, None
        host = await find_host(self._hosts, request.host)
        limits, ranked = self._submitter.way(host, request.region)
        found = next((one.standing for one in ranked if request.region in ("", one.region)), None)
        if found is None and request.region:
            known = ", ".join(sorted(one.region for one in ranked)) or "none"
            raise wrong_field("region", f"must be one that {request.host} tells of ({known}), not {request.region}")
        return limits, found

    async def _uids(self, host: str, reach: Reach) -> list[str] | None:
        if host:
            return [(await find_host(self._hosts, host)).uid]
        if reach.whole:
            return None
        return [(await find_host(self._hosts, name)).uid for name in sorted(reach.hosts)]


def _tips_unknown() -> SolwardError:
    why = "nobody has told what others tip: see jito.tip_stream_url and jito.tip_floor_url, and ctl status"
    return SolwardError(grpc.StatusCode.FAILED_PRECONDITION, "TIPS_UNKNOWN", why)


def _floor(floor: Floor) -> pb.TipFloor:
    p25, p50, p75, p95, p99 = floor.tips
    found = pb.TipFloor(
        p25_lamports=p25, p50_lamports=p50, p75_lamports=p75, p95_lamports=p95, p99_lamports=p99,
        ema_p50_lamports=floor.ema_p50,
    )  # fmt: skip
    found.time.FromMilliseconds(round(floor.unix_s * 1000))
    return found
