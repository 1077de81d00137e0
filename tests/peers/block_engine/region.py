"""One region: its limit, its auctions, and who listens to its results."""

import asyncio
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc
from jito import bundle_pb2

from controlplane.mev.transactions import TIP_ACCOUNTS
from tests.peers.block_engine.judge import LIMITED, Judged, Refused, judge
from tests.peers.block_engine.world import World

TICK_S = 0.05
VALIDATOR = "J1to3PQfXidUUhprQWgdKkQAMWPJAEqSJ7amkBDE9qhF"
RETRY_KEY = "x-wait-to-retry-ms"
BATCH_UNITS = 48_000_000
LONGEST_LOCK_S = 120.0
LOOK_BACK_S = 300.0
R = bundle_pb2.Rejected


@dataclass
class Faults:
    """What goes wrong, each by itself.

    Attributes:
        upstream_errors: so many calls fail as if Envoy had lost the engine.
        lost_acks: so many bundles are taken in, and their acknowledgement lost.
        hold_acks: bundles are taken in, and never acknowledged.
        refuse: bundles are refused with this message (JSON-RPC code, HTTP status, gRPC code follow from it).
        shadow_drop: bundles are acknowledged and thrown away.
        silent: the results stream is open and says nothing.
        stale: nothing is answered.
        regions: those that are listed; None: those that there are.
        uuid: JSON-RPC is for nobody else.
        no_regions: GetRegions is not offered.
        leader_region: whose the next leader is said to be; empty: this one's.
    """

    upstream_errors: int = 0
    lost_acks: int = 0
    refuse: str = ""
    shadow_drop: bool = False
    silent: bool = False
    stale: bool = False
    foreign: int = 0
    duplicates: int = 0
    late_s: float = 0.0
    missing: bool = False
    wrong_tip_accounts: bool = False
    auth_refused: bool = False
    require_auth: bool = False
    token_s: float = 1800.0
    globally_limited: bool = False
    simulation_failure: str = ""
    internal_error: str = ""
    dropped: str = ""
    dropped_after: int | None = None
    no_endpoints: bool = False
    hold_auctions: bool = False
    hold_acks: bool = False
    most_streams: int = 1
    leader_region: str = ""
    regions: tuple[str, ...] | None = None
    no_regions: bool = False
    uuid: str = ""


# Words, with what both wires say besides them.
TABLE: dict[str, tuple[int, int, grpc.StatusCode]] = {
    "transaction has too many account locks": (-32603, 500, grpc.StatusCode.INTERNAL),
    "Bundle Dropped, no connected leader up soon": (-32603, 500, grpc.StatusCode.INTERNAL),
}


@dataclass
class _Caller:
    free_at: float = 0.0
    strikes: int = 0


@dataclass
class Region:
    """One region of the peer.

    Attributes:
        uuids: the way and the UUID of each call that bore one.
        received: every bundle that was sent here, its transactions as they came.
    """

    name: str
    world: World
    per_second: float = 1.0
    faults: Faults = field(default_factory=Faults)
    batch_units: int = BATCH_UNITS
    received: list[tuple[str, list[bytes]]] = field(default_factory=list)
    calls: list[tuple[float, str]] = field(default_factory=list)
    states: dict[str, tuple[str, int | None, float, list[str]]] = field(default_factory=dict)
    limited: int = 0
    uuids: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._callers: dict[str, _Caller] = {}
        self._pending: dict[str, Judged] = {}
        self.listeners: set[asyncio.Queue[bundle_pb2.BundleResult]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def count(self, address: str, what: str) -> None:
        """Count a call against the one bucket of an address; raises Refused."""
        if self.faults.globally_limited:
            raise Refused(
                "Network congested. Endpoint is globally rate limited.", LIMITED, 429,
                grpc.StatusCode.RESOURCE_EXHAUSTED, nameless=True,
            )  # fmt: skip
        now, caller = time.monotonic(), self._callers.setdefault(address, _Caller())
        self.calls.append((now, what))
        if now >= caller.free_at:
            caller.free_at, caller.strikes = now + 1 / self.per_second, 0
            return
        caller.strikes += 1
        self.limited += 1
        if caller.strikes > 1:
            caller.free_at = now + min(LONGEST_LOCK_S, 2.0**caller.strikes / self.per_second)
        wait_ms = round((caller.free_at - now) * 1000) + 1
        raise Refused(
            f"Rate limit exceeded. Limit: {self.per_second:g} per second for txn requests. Retry after {wait_ms}ms",
            LIMITED, 429, grpc.StatusCode.RESOURCE_EXHAUSTED, wait_ms=wait_ms,
        )  # fmt: skip

    async def trouble(self) -> None:
        """Be down as the faults say."""
        if self.faults.stale:
            await asyncio.sleep(3600)
        if self.faults.upstream_errors:
            self.faults.upstream_errors -= 1
            raise upstream()

    async def submit(self, transactions: list[bytes]) -> str:
        """Take a bundle in; give its id. Raises Refused."""
        if self.faults.refuse:
            raise Refused(self.faults.refuse, *TABLE.get(self.faults.refuse, ()))
        judged = judge(transactions, self.world)
        self.received.append((judged.ident, transactions))
        self.states[judged.ident] = ("Pending", None, time.monotonic(), judged.signatures)
        if not self.faults.shadow_drop:
            self._pending[judged.ident] = judged
        if self.faults.lost_acks:
            self.faults.lost_acks -= 1
            raise upstream()
        if self.faults.hold_acks:
            await asyncio.sleep(3600)
        return judged.ident

    def tip_accounts(self) -> list[str]:
        return sorted(TIP_ACCOUNTS["testnet" if self.faults.wrong_tip_accounts else "mainnet"])

    async def run(self) -> None:
        """Hold auctions until cancelled."""
        try:
            while True:
                await asyncio.sleep(TICK_S)
                if not self.faults.hold_auctions:
                    self._auction()
                for _ in range(self.faults.foreign):
                    self._publish(
                        bundle_pb2.BundleResult(bundle_id=uuid.uuid4().hex * 2, finalized=bundle_pb2.Finalized())
                    )
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _auction(self) -> None:
        pending, self._pending = list(self._pending.values()), {}
        winners = []
        for group in _conflicting(pending):
            # The tip for each compute unit decides.
            best, *lost = sorted(group, key=lambda one: -one.tip / one.units)
            winners.append(best)
            for one in lost:
                bid = bundle_pb2.StateAuctionBidRejected(auction_id=uuid.uuid4().hex, simulated_bid_lamports=one.tip)
                self.reject(one, R(state_auction_bid_rejected=bid))
        units = self.batch_units
        for one in sorted(winners, key=lambda one: -one.tip / one.units):
            if self._fails(one):
                continue
            if one.units > units:
                batch = bundle_pb2.WinningBatchBidRejected(auction_id=uuid.uuid4().hex, simulated_bid_lamports=one.tip)
                self.reject(one, R(winning_batch_bid_rejected=batch))
                continue
            units -= one.units
            self._later(self._land(one))

    def _fails(self, one: Judged) -> bool:
        faults = self.faults
        if faults.simulation_failure:
            failure = bundle_pb2.SimulationFailure(tx_signature=one.signatures[0], msg=faults.simulation_failure)
            self.reject(one, R(simulation_failure=failure))
        elif faults.internal_error:
            self.reject(one, R(internal_error=bundle_pb2.InternalError(msg=faults.internal_error)))
        elif faults.dropped:
            self.reject(one, R(dropped_bundle=bundle_pb2.DroppedBundle(msg=faults.dropped)))
        else:
            return False
        return True

    def reject(self, one: Judged, why: bundle_pb2.Rejected) -> None:
        self.states[one.ident] = ("Failed", None, time.monotonic(), one.signatures)
        self._publish(bundle_pb2.BundleResult(bundle_id=one.ident, rejected=why))

    async def _land(self, one: Judged) -> None:
        world = self.world
        accepted = bundle_pb2.Accepted(slot=world.slot + 1, validator_identity=VALIDATOR)
        self._publish(bundle_pb2.BundleResult(bundle_id=one.ident, accepted=accepted))
        await asyncio.sleep(world.slot_s)
        reason = self.faults.dropped_after
        # Of one bundle that came twice, or in two regions, the chain takes one.
        if reason is not None or any(name in world.landed for name in one.signatures):
            if reason == bundle_pb2.PartiallyProcessed:
                world.land(one.signatures[:1], world.slot, 0)
            dropped = bundle_pb2.Dropped(reason=reason if reason is not None else bundle_pb2.NotFinalized)
            self._publish(bundle_pb2.BundleResult(bundle_id=one.ident, dropped=dropped))
            return
        slot = world.slot
        world.land(one.signatures, slot, one.tip)
        self.states[one.ident] = ("Landed", slot, time.monotonic(), one.signatures)
        processed = bundle_pb2.Processed(validator_identity=VALIDATOR, slot=slot, bundle_index=0)
        self._publish(bundle_pb2.BundleResult(bundle_id=one.ident, processed=processed))
        await asyncio.sleep(world.slot_s * world.final_slots)
        self._publish(bundle_pb2.BundleResult(bundle_id=one.ident, finalized=bundle_pb2.Finalized()))

    def _publish(self, result: bundle_pb2.BundleResult) -> None:
        if self.faults.missing:
            return
        if self.faults.late_s:
            self._later(self._late(result, self.faults.late_s))
            return
        for _ in range(1 + self.faults.duplicates):
            for listener in self.listeners:
                listener.put_nowait(result)

    async def _late(self, result: bundle_pb2.BundleResult, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for listener in self.listeners:
            listener.put_nowait(result)

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def inflight(self, ident: str) -> dict[str, Any]:
        """Say how a bundle of the last five minutes stands."""
        state, slot, at, _ = self.states.get(ident, ("Invalid", None, 0.0, []))
        if time.monotonic() - at > LOOK_BACK_S:
            state, slot = "Invalid", None
        return {"bundle_id": ident, "status": state, "landed_slot": slot}

    def status(self, ident: str) -> dict[str, Any] | None:
        state, slot, _, signatures = self.states.get(ident, ("Invalid", None, 0.0, []))
        if state != "Landed":
            return None
        final = self.world.slot - (slot or 0) >= self.world.final_slots
        return {
            "bundle_id": ident, "transactions": signatures, "slot": slot, "err": {"Ok": None},
            "confirmation_status": "finalized" if final else "processed",
        }  # fmt: skip


def upstream() -> Refused:
    """Envoy, without an engine behind it."""
    words = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
    return Refused(words, 0, 503, grpc.StatusCode.UNAVAILABLE)


def _conflicting(bundles: Iterable[Judged]) -> list[list[Judged]]:
    groups: list[tuple[set[str], list[Judged]]] = []
    for one in bundles:
        locks, members = set(one.locks), [one]
        apart = []
        for other, others in groups:
            if other & locks:
                locks |= other
                members += others
            else:
                apart.append((other, others))
        groups = [*apart, (locks, members)]
    return [members for _, members in groups]
