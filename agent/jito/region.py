"""One region of the block engine: its channel, its limit, who we are there, and how far away it is."""

import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jito import block_engine_pb2, searcher_pb2
from jito.block_engine_pb2_grpc import BlockEngineValidatorStub
from jito.searcher_pb2_grpc import SearcherServiceStub

from agent.jito.auth import UUID_KEY, Auth
from agent.jito.channel import RegionChannel, ours_alone
from agent.jito.limiter import Gate, Limiter
from agent.jito.verdicts import of_grpc
from agent.probes.http1 import JSON, HttpTarget
from common.breaker import Breaker

if TYPE_CHECKING:
    from jito.block_engine_pb2_grpc import BlockEngineValidatorAsyncStub
    from jito.searcher_pb2_grpc import SearcherServiceAsyncStub

log = structlog.get_logger(__name__)

WARM_CALLS = 3
CALL_S = 10.0
RECEIVED_AT = "x-request-received-at"
# A way that would take longer is a clock that is wrong.
_LONGEST_WAY_S = 5.0
# An epoch's: what is farther is no next leader.
_MOST_SLOTS = 432_000
_BUNDLES = "/api/v1/bundles"


class Place(NamedTuple):
    """Where a region is: its URL for gRPC, and that for JSON-RPC."""

    url: str
    json_rpc: str


class Measured(NamedTuple):
    """How far away a region is, in seconds; `uplink_s` only where the engine tells when it got the request."""

    rtt_s: float
    uplink_s: float | None


class Leader(NamedTuple):
    """The next leader that takes bundles: its region, and how many slots away its turn is."""

    region: str
    slots: int


class Region:
    """One region.

    Args:
        roots: authorities to trust, PEM; None: the usual ones.
        key: who we are; None: nobody.
        per_second: calls a second, over all ways.
        uuid: what Jito gave us to raise our limit; empty: nothing.
    """

    def __init__(
        self, name: str, place: Place, roots: bytes | None, key: Ed25519PrivateKey | None, per_second: float,
        uuid: str = "",
    ) -> None:  # fmt: skip
        self.name = name
        self.channel = RegionChannel(name, place.url, roots)
        self.auth = Auth(name, self.channel, key, uuid)
        self.gate = Gate(Limiter(per_second))
        self.breaker = Breaker(f"jito {name}", failures=3, longest_s=30.0)
        tls = ssl.create_default_context(cadata=roots.decode()) if roots else None
        self.http = HttpTarget(place.json_rpc.rstrip("/") + _BUNDLES, tls, {**JSON, UUID_KEY: uuid} if uuid else JSON)
        self.rtt_s: float | None = None
        self.limited = 0

    def searcher(self) -> "SearcherServiceAsyncStub":
        """Give the searcher's calls, on the channel that is used now."""
        return SearcherServiceStub(self.channel.channel)

    def validator(self) -> "BlockEngineValidatorAsyncStub":
        """Give what validators ask, on the channel that is used now."""
        return BlockEngineValidatorStub(self.channel.channel)

    def over_limit(self, hint_s: float | None) -> None:
        """Note that a call was one too many."""
        self.limited += 1
        pause = self.gate.limiter.limited(hint_s)
        log.warning("a block engine limits this host", region=self.name, seconds=round(pause, 1))

    async def measure(self) -> Measured:
        """Time warm calls, as Jito's validator ranks regions: the least of three.

        Raises: grpc.aio.AioRpcError where the region does not answer.
        """

        async def ask(_: int) -> Measured:
            request = block_engine_pb2.GetBlockEngineEndpointRequest()
            try:
                return await self._timed(lambda: self.validator().GetBlockEngineEndpoints(request, timeout=CALL_S))
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                    raise
            asked = searcher_pb2.GetTipAccountsRequest()
            metadata = await self.auth.metadata()
            return await self._timed(lambda: self.searcher().GetTipAccounts(asked, metadata=metadata, timeout=CALL_S))

        # The first opens the connection, and is not counted.
        await ask(0)
        found = [await ask(turn) for turn in range(WARM_CALLS)]
        ways = [one.uplink_s for one in found if one.uplink_s is not None]
        self.rtt_s = min(one.rtt_s for one in found)
        return Measured(self.rtt_s, min(ways) if ways else None)

    async def tip_accounts(self) -> list[str]:
        """Ask which accounts may be tipped, base58; raises grpc.aio.AioRpcError."""
        metadata = await self.auth.metadata()
        request = searcher_pb2.GetTipAccountsRequest()
        return list(
            (
                await self.ask(lambda: self.searcher().GetTipAccounts(request, metadata=metadata, timeout=CALL_S))
            ).accounts
        )

    async def next_leader(self, regions: Sequence[str]) -> Leader | None:
        """Ask for the next leader of some regions; None where it is of none of them. Raises grpc.aio.AioRpcError."""
        metadata = await self.auth.metadata()
        request = searcher_pb2.NextScheduledLeaderRequest(regions=regions)
        call = partial(self.searcher().GetNextScheduledLeader, request, metadata=metadata, timeout=CALL_S)
        told = await self.ask(call)
        slots = told.next_leader_slot - told.current_slot
        if told.next_leader_region not in regions or not 0 <= slots < _MOST_SLOTS:
            return None
        return Leader(told.next_leader_region, slots)

    async def ask(self, call: Callable[[], grpc.aio.UnaryUnaryCall[Any, Any]]) -> Any:
        """Make a call that is in no hurry, when the region's limit lets it; raises grpc.aio.AioRpcError."""
        await self.gate.enter()
        try:
            with ours_alone():
                answer = await call()
        except grpc.aio.AioRpcError as error:
            self.judge(error)
            raise
        self.gate.limiter.answered()
        return answer

    async def _timed(self, call: Callable[[], grpc.aio.UnaryUnaryCall[Any, Any]]) -> Measured:
        await self.gate.enter()
        begun, begun_unix = time.perf_counter(), time.time()
        made = call()
        try:
            with ours_alone():
                await made
        except grpc.aio.AioRpcError as error:
            self.judge(error)
            raise
        seconds = time.perf_counter() - begun
        self.gate.limiter.answered()
        received = _received_at(await made.initial_metadata()) or _received_at(await made.trailing_metadata())
        uplink = received - begun_unix if received is not None else None
        return Measured(seconds, uplink if uplink is not None and abs(uplink) < _LONGEST_WAY_S else None)

    def judge(self, error: grpc.aio.AioRpcError) -> None:
        """Take from a failed call what it says of limits and tokens."""
        verdict = of_grpc(error)
        if verdict.limited:
            self.over_limit(verdict.wait_s)
        elif error.code() is grpc.StatusCode.UNAUTHENTICATED:
            self.auth.refused()

    async def close(self) -> None:
        """Close it."""
        self.http.close()
        self.breaker.close()
        await self.channel.close()


def _received_at(metadata: grpc.aio.Metadata | None) -> float | None:
    for key, value in metadata or ():
        if key == RECEIVED_AT and isinstance(value, str):
            try:
                stamp = datetime.fromisoformat(value)
            except ValueError:
                return None
            return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()
    return None
