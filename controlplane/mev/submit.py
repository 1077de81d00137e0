"""Submission: a bundle is checked, its tip is reserved, and it is handed to the tracker, once."""

from collections.abc import Callable, Iterable

import grpc
from solward.hosts.v1 import link_pb2
from solward.jito.v1 import jito_pb2 as pb

from common.clock import now_ms
from common.errors import SolwardError
from common.names import host_id, host_name
from controlplane.mev import figures
from controlplane.mev.again import DEFAULT_SENDS
from controlplane.mev.chain import Chain, unreachable
from controlplane.mev.choice import Choice, Standing
from controlplane.mev.learning import Learning
from controlplane.mev.limits import check_limits
from controlplane.mev.tracker import Tracker
from controlplane.mev.transactions import Bundle, read_bundle
from controlplane.mev.watch import finding
from controlplane.operations.outside import OutsideTrouble
from controlplane.store.bundles import BUNDLES, BundleRepository, OverBudget, Stored, affords
from controlplane.store.hosts import HostRow


class Submitter:
    """Takes bundles in.

    Args:
        cluster: "mainnet" or "testnet".
        bundles: where they are stored, with the budget.
        chain: tells how long a blockhash lives.
        tracker: sends and follows them.
        learning: is told of each.
        tell: takes a finding about a host, by its resource name.
        online: whether a host's agent is connected, by its uid.
        limits: what a host's agent told of bundles, by its uid; None where nothing was told.
        choose: puts a host's regions in order, by its id; empty where nothing is known of them.
    """

    def __init__(
        self, cluster: str, bundles: BundleRepository, chain: Chain, tracker: Tracker,
        learning: Learning, tell: Callable[[str, link_pb2.Event], None], online: Callable[[str], bool],
        limits: Callable[[str], link_pb2.BundleLimits | None], choose: Callable[[str], list[Choice]],
    ) -> None:  # fmt: skip
        self._cluster = cluster
        self._bundles = bundles
        self._chain = chain
        self._tracker = tracker
        self._learning = learning
        self._tell = tell
        self._online = online
        self._limits = limits
        self._choose = choose

    def way(self, host: HostRow, region: str) -> tuple[link_pb2.BundleLimits | None, list[Choice]]:
        """Tell what a host's agent would take of bundles now, and by which regions, the best first.

        Raises: SolwardError, as `check_limits` refuses.
        """
        limits = self._limits(host.uid)
        if limits is not None:
            check_limits(limits, host.name, 0, region)
        return limits, self._choices(host.name, limits)

    def _choices(self, host: str, limits: link_pb2.BundleLimits | None) -> list[Choice]:
        """Put a host's regions in order, without those that its root does not allow."""
        return [one for one in self._choose(host) if limits is None or one.region in limits.regions]

    async def submit(
        self, request: pb.SubmitBundleRequest, host: HostRow, requester: str, sees: Callable[[str], bool]
    ) -> pb.Bundle:
        """Take a bundle in; one that is there already is given as it stands.

        Args:
            request: as it was asked.
            host: whose agent sends it.
            requester: who asked, by the name of the principal.
            sees: whether that reaches a host, by resource name.

        Raises: SolwardError BUNDLE_INVALID, BUNDLE_EXISTS, HOST_OFFLINE, BLOCKHASH_DEAD, SIMULATION_FAILED,
            BUDGET_EXHAUSTED, CHAIN_UNSET, CHAIN_UNREACHABLE, TOO_MANY_BUNDLES, and what `check_limits` refuses.
        """
        try:
            return await self._submit(request, host, requester, sees)
        except SolwardError as error:
            figures.REFUSED.labels(error.reason).inc()
            raise

    async def _submit(
        self, request: pb.SubmitBundleRequest, host: HostRow, requester: str, sees: Callable[[str], bool]
    ) -> pb.Bundle:
        read = read_bundle(request.transactions, self._cluster)
        key = f"{requester} {request.request_id}" if request.request_id else None
        await self._tracker.settle(read.uid)
        known = await self._bundles.find(read.uid, key)
        if known and known.bundle.canary:
            known = None
        if known and not sees(known.bundle.host):
            raise SolwardError(
                grpc.StatusCode.ALREADY_EXISTS, "BUNDLE_EXISTS", "it was submitted by a host that is out of your reach"
            )
        if known and (known.bundle.state != pb.BUNDLE_STATE_FAILED or await self._bundles.find("", key)):
            return self._as_it_stands(known)
        self._check_online(host)
        limits = self._limits(host.uid)
        if limits is not None:
            check_limits(limits, host.name, read.tip_lamports, request.region)
        bundle = await self._checked(read, request, host_name(host.name), requester)
        way = self._route(bundle, limits)
        if request.validate_only:
            await self._check_budget(read.tip_lamports)
            return bundle
        self._check_room()
        _begin(bundle, known.bundle if known else None)
        if known := await self._store(bundle, host, request.transactions, key, way):
            return self._as_it_stands(known)
        figures.SUBMITTED.labels(bundle.strategy).inc()
        self._tracker.follow(Stored(bundle, host.uid, list(request.transactions)))
        return bundle

    def _as_it_stands(self, known: Stored) -> pb.Bundle:
        return self._tracker.current(known.uid) or known.bundle

    async def _check_budget(self, tip: int) -> None:
        budget = await self._bundles.budget()
        if not affords(budget, tip):
            raise _over(budget, tip)

    def _check_online(self, host: HostRow) -> None:
        # An opportunity is gone in a slot or two: whoever is told at once sends by another host.
        if not self._online(host.uid):
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "HOST_OFFLINE",
                f"the agent of {host_name(host.name)} is not connected: name another host, or try again",
                {"host": host_name(host.name)},
            )  # fmt: skip

    def _check_room(self) -> None:
        if self._tracker.full:
            raise SolwardError(
                grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_BUNDLES",
                "as many bundles are under way as are followed: try again when some have ended",
            )  # fmt: skip

    async def _store(
        self, bundle: pb.Bundle, host: HostRow, transactions: Iterable[bytes], key: str | None, way: Standing | None
    ) -> Stored | None:
        """Store it, its tip reserved; gives the one that is stored already, where there is one."""
        self._learning.sent(bundle, way)
        is_new = False
        try:
            known = await self._bundles.add(bundle, host.uid, transactions, key)
            is_new = known is None
        except OverBudget as error:
            if error.budget.daily_lamports:
                words = f"{bundle.name} would tip {bundle.tip_lamports:,}"
                self._tell(bundle.host, finding("jito.budget_exhausted", words))
            raise _over(error.budget, bundle.tip_lamports) from None
        finally:
            if not is_new:
                self._learning.forget(bundle)
        return known

    async def _checked(self, read: Bundle, request: pb.SubmitBundleRequest, host: str, requester: str) -> pb.Bundle:
        try:
            life = await self._chain.life(read.blockhashes)
        except OutsideTrouble as trouble:
            raise unreachable(trouble) from None
        if life is None:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "BLOCKHASH_DEAD",
                "the blockhash of a transaction cannot be used (any more): sign again on a fresh one",
            )  # fmt: skip
        if failure := await self._chain.simulate(request.transactions):
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "SIMULATION_FAILED", f"it fails when it is simulated: {failure}"
            )
        bundle = pb.Bundle(
            name=f"{BUNDLES}{read.uid}", host=host, requester=requester, strategy=request.strategy,
            state=pb.BUNDLE_STATE_CHECKED, signatures=read.signatures, tip_lamports=read.tip_lamports,
            profit_lamports=request.profit_lamports, fee_lamports=read.fee_lamports, compute_units=read.compute_units,
            region=request.region, last_valid_block_height=life.last_valid_block_height,
            wished_region=request.region, own_transactions=read.own,
            max_sends=request.max_sends or DEFAULT_SENDS,
        )  # fmt: skip
        bundle.create_time.FromMilliseconds(now_ms())
        return bundle

    def _route(self, bundle: pb.Bundle, limits: link_pb2.BundleLimits | None) -> Standing | None:
        """Say where it goes first, and why; gives how that region stands, where it is known."""
        choices = self._choices(host_id(bundle.host), limits)
        if bundle.region:
            bundle.region_reasons.append("it was asked for")
            return next((one.standing for one in choices if one.region == bundle.region), None)
        bundle.region_order.extend(one.region for one in choices)
        if not choices:
            bundle.region_reasons.append("nothing is known of regions here: the agent takes the nearest")
            return None
        bundle.region_reasons.extend(choices[0].reasons)
        return choices[0].standing


def _begin(bundle: pb.Bundle, failed: pb.Bundle | None) -> None:
    """Have a bundle sent for the first time, or anew where no block engine took it."""
    bundle.state, bundle.sends = pb.BUNDLE_STATE_SENDING, 1
    if failed and failed.reason != "HOST_OFFLINE":
        # Its agent remembers what came of the sends before: this is one of its own.
        bundle.sends += failed.sends
        bundle.max_sends += failed.sends


def _over(budget: pb.Budget, tip: int) -> SolwardError:
    left = max(0, budget.daily_lamports - budget.spent_lamports - budget.reserved_lamports)
    if not budget.daily_lamports:
        why = "no budget is set, and nothing is sent without one: ctl jito budget set"
    elif budget.bundle_lamports and tip > budget.bundle_lamports:
        why = f"it tips {tip:,} lamports, and one bundle may tip {budget.bundle_lamports:,}"
    else:
        why = f"it tips {tip:,} lamports, and {left:,} of today's {budget.daily_lamports:,} are left"
    return SolwardError(
        grpc.StatusCode.FAILED_PRECONDITION, "BUDGET_EXHAUSTED", why,
        {"tip_lamports": str(tip), "left_lamports": str(left), "daily_lamports": str(budget.daily_lamports)},
    )  # fmt: skip
