"""The results stream of one region: one connection, of which only what is ours is passed on."""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
import structlog
from jito import bundle_pb2, searcher_pb2

from agent.jito.channel import ours_alone
from agent.jito.memory import Memory, Remembered
from agent.jito.region import Region
from common.clock import now_ms

log = structlog.get_logger(__name__)

HEADERS_S = 10.0
# Ours were taken and nothing came for so long, not even of others: the stream is open and yet dead.
SILENT_S = 30.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
# Results may come minutes late.
REMEMBERED_S, MOST_REMEMBERED = 900.0, 10_000
_MESSAGE = 512
_DROPPED = {
    bundle_pb2.BlockhashExpired: "dropped_blockhash_expired",
    bundle_pb2.PartiallyProcessed: "dropped_partially_processed",
    bundle_pb2.NotFinalized: "dropped_not_finalized",
}


class Result(NamedTuple):
    """What an engine told of a bundle of ours; `unix_ms` is when it was told."""

    bundle: str
    region: str
    outcome: str
    unix_ms: int
    slot: int = 0
    validator: str = ""
    bid_lamports: int | None = None
    message: str = ""
    canary: bool = False


class Wanted(NamedTuple):
    """A bundle whose results are wanted until a time, by the clock of whoever keeps it; a canary is the agent's own."""

    until: float
    canary: bool


_NOT_WANTED = Wanted(0.0, canary=False)


class Sent:
    """The bundles of which results are wanted: those that were sent of late, by this life of the agent or the last.

    Args:
        memory: outlives the agent; None: nothing does.
        now: a clock that nobody sets; what is in the memory goes by the wall clock.
    """

    def __init__(self, memory: Memory | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._memory = memory
        self._now = now
        self._wanted: OrderedDict[str, Wanted] = OrderedDict()

    async def recall(self) -> None:
        """Want the results of what the last life has sent."""
        if self._memory:
            wall = time.time()
            for one in await asyncio.to_thread(self._memory.recall, wall, REMEMBERED_S):
                self._wanted.setdefault(one.ident, Wanted(self._now() + one.until - wall, one.canary))

    async def add(self, ident: str, *, canary: bool = False) -> None:
        """Want the results of a bundle, from before it is sent."""
        if self._memory and ident not in self:
            await asyncio.to_thread(self._memory.add, Remembered(ident, time.time() + REMEMBERED_S, canary))
        self._wanted[ident] = Wanted(self._now() + REMEMBERED_S, canary)
        self._wanted.move_to_end(ident)
        while len(self._wanted) > MOST_REMEMBERED or next(iter(self._wanted.values())).until < self._now():
            self._wanted.popitem(last=False)

    def is_canary(self, ident: str) -> bool:
        """Whether a bundle is a canary of this agent's."""
        return self._wanted.get(ident, _NOT_WANTED).canary

    def __contains__(self, ident: str) -> bool:
        return self._wanted.get(ident, _NOT_WANTED).until > self._now()


def read_result(message: bundle_pb2.BundleResult, region: str, unix_ms: int) -> Result | None:
    """Read a message of the stream; None for a kind that is not known."""
    kind, ident = message.WhichOneof("result"), message.bundle_id
    if kind == "accepted":
        accepted = message.accepted
        return Result(ident, region, kind, unix_ms, accepted.slot, accepted.validator_identity[:64])
    if kind == "processed":
        processed = message.processed
        return Result(ident, region, kind, unix_ms, processed.slot, processed.validator_identity[:64])
    if kind == "finalized":
        return Result(ident, region, kind, unix_ms)
    if kind == "dropped":
        outcome = _DROPPED.get(message.dropped.reason)
        return Result(ident, region, outcome, unix_ms) if outcome else None
    why = message.rejected.WhichOneof("reason") if kind == "rejected" else None
    if why is None:
        return None
    said = getattr(message.rejected, why)
    bid = said.simulated_bid_lamports if why.endswith("bid_rejected") else None
    words = f"{said.tx_signature}: {said.msg}" if why == "simulation_failure" else said.msg
    return Result(ident, region, why, unix_ms, bid_lamports=bid, message=words[:_MESSAGE])


class ResultsStream:
    """Keeps the stream of a region up.

    Args:
        tell: called with each result of ours.
        silent_s: seconds of silence, after a bundle of ours was taken, that end a stream.
    """

    def __init__(self, region: Region, sent: Sent, tell: Callable[[Result], None], silent_s: float = SILENT_S) -> None:
        self._region = region
        self._sent = sent
        self._tell = tell
        self._silent_s = silent_s
        self._owed_since: float | None = None
        self._failures = 0
        self._full = False
        self.up = False
        # Set once it was up.
        self.opened = asyncio.Event()
        self.foreign = self.unknown = self.reopened = 0

    def owed(self) -> None:
        """Note that a bundle was taken here, so that something should come."""
        if self._owed_since is None:
            self._owed_since = time.monotonic()

    async def run(self) -> None:
        """Keep it up until cancelled."""
        while True:
            try:
                with ours_alone():
                    await self._once()
                why = "it ended"
            except grpc.aio.AioRpcError as error:
                self._full = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                self._region.judge(error)
                why = error.details() or error.code().name
            except TimeoutError:
                why = "it is silent"
            self._failures += 1
            self.reopened += 1
            wait_s = self._wait_s()
            log.info("a results stream is opened again", region=self._region.name, why=why, seconds=round(wait_s, 1))
            await asyncio.sleep(wait_s)

    async def _once(self) -> None:
        await self._region.gate.enter()
        metadata = await self._region.auth.metadata()
        channel = self._region.channel.channel
        request = searcher_pb2.SubscribeBundleResultsRequest()
        call = self._region.searcher().SubscribeBundleResults(request, metadata=metadata)
        try:
            async with asyncio.timeout(HEADERS_S):
                await call.initial_metadata()
            # A stream that was refused has headers as well, and its end is read at once.
            self._owed_since = None
            self.up = not call.done()
            if self.up:
                self.opened.set()
            await self._read(call)
        except TimeoutError:
            self._region.channel.renew(channel)
            raise
        finally:
            self.up = False
            call.cancel()

    async def _read(self, call: grpc.aio.UnaryStreamCall[Any, bundle_pb2.BundleResult]) -> None:
        reading = asyncio.ensure_future(call.read())
        try:
            while True:
                await asyncio.wait({reading}, timeout=self._left_s())
                if not reading.done():
                    if self._left_s() > 0:
                        continue
                    raise TimeoutError
                message = reading.result()
                if not isinstance(message, bundle_pb2.BundleResult):
                    await _raise_status(call)
                    return
                reading = asyncio.ensure_future(call.read())
                self._failures, self._owed_since = 0, None
                self._take(message)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _take(self, message: bundle_pb2.BundleResult) -> None:
        if message.bundle_id not in self._sent:
            self.foreign += 1
            return
        result = read_result(message, self._region.name, now_ms())
        if result is None:
            self.unknown += 1
        else:
            self._tell(result._replace(canary=self._sent.is_canary(result.bundle)))

    def _left_s(self) -> float:
        """Give the seconds after which silence ends the stream; looked at again at least so often."""
        if self._owed_since is None:
            return self._silent_s
        return max(0.0, self._owed_since + self._silent_s - time.monotonic())

    def _wait_s(self) -> float:
        # An engine that holds our last stream to be open still needs a while to see that it is not.
        first = 5.0 if self._full else FIRST_WAIT_S
        ceiling = min(LONGEST_WAIT_S, first * 2 ** min(self._failures, 8))
        return random.uniform(first, ceiling)  # noqa: S311


async def _raise_status(call: grpc.aio.UnaryStreamCall[Any, bundle_pb2.BundleResult]) -> None:
    code = await call.code()
    if code is not grpc.StatusCode.OK:
        raise grpc.aio.AioRpcError(
            code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
        )
