"""The block engine as this host knows it: its regions, what was sent to them, and what they told."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import grpc
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.jito.known import KNOWN
from agent.jito.listing import Listing, compare, warn
from agent.jito.listing import ask as ask_regions
from agent.jito.memory import Memory
from agent.jito.region import Leader, Measured, Place, Region
from agent.jito.results import SILENT_S, Result, ResultsStream, Sent
from agent.jito.send import Ack, Way, send
from agent.jito.verdicts import SendFailed, of_grpc

log = structlog.get_logger(__name__)

# After a measurement that failed.
AGAIN_S = 10.0
# Between two questions for the regions there are: they change a few times a year.
LIST_S = 600.0


def known_places(cluster: str) -> dict[str, Place]:
    """Give where a cluster's regions are."""
    urls = {name: f"https://{name}.{cluster}.block-engine.jito.wtf" for name in KNOWN[cluster]}
    return {name: Place(url, url) for name, url in urls.items()}


@dataclass(frozen=True)
class Wishes:
    """How to use the block engine.

    Attributes:
        places: the regions.
        key: who we are; None: nobody.
        roots: authorities to trust, PEM; None: the usual ones.
        per_second: calls a second and region, over all ways.
        results: whether to open results streams.
        period_s: seconds between two measurements of a region.
        send_s: seconds that one try may take.
        silent_s: seconds of silence that end a results stream, once a bundle was taken.
        leader_s: seconds between two questions for the next leader, to one region after the other; 0: none is asked.
        uuid: what Jito gave us to raise our limit; empty: nothing.
    """

    places: Mapping[str, Place]
    key: Ed25519PrivateKey | None = None
    roots: bytes | None = None
    per_second: float = 1.0
    results: bool = True
    period_s: float = 60.0
    send_s: float = 5.0
    silent_s: float = SILENT_S
    leader_s: float = 2.0
    uuid: str = field(default="", repr=False)


@dataclass
class Counts:
    """What happened since it was last taken, by region and kind."""

    sends: Counter[tuple[str, str]] = field(default_factory=Counter)
    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    foreign: Counter[str] = field(default_factory=Counter)
    measured: dict[str, Measured] = field(default_factory=dict)
    leader: Leader | None = None


class Engine:
    """Puts the parts together; each region stands and falls by itself.

    Args:
        memory: remembers what was sent over restarts; None: nothing does.
    """

    def __init__(self, wishes: Wishes, memory: Memory | None = None) -> None:
        self._wishes = wishes
        self.sent = Sent(memory)
        self.regions = {
            name: Region(name, place, wishes.roots, wishes.key, wishes.per_second, wishes.uuid)
            for name, place in wishes.places.items()
        }
        self.streams = {
            name: ResultsStream(region, self.sent, self._told, wishes.silent_s) for name, region in self.regions.items()
        }
        self.listing: Listing | None = None
        self._counts = Counts()
        self._listeners: list[Callable[[Result], None]] = []

    def listen(self, tell: Callable[[Result], None]) -> None:
        """Have each result of ours told, at once."""
        self._listeners.append(tell)

    async def run(self) -> None:
        """Measure regions and keep results streams up until cancelled."""
        await self.sent.recall()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_for_ever(self._list_on), name="jito regions")
                if self._wishes.leader_s:
                    group.create_task(_for_ever(self._ask_on), name="jito leader")
                for name, region in self.regions.items():
                    group.create_task(_for_ever(partial(self._measure_on, region)), name=f"jito {name}")
                    if self._wishes.results:
                        group.create_task(_for_ever(self.streams[name].run), name=f"jito results {name}")
        finally:
            for region in self.regions.values():
                await region.close()

    def take_counts(self) -> Counts:
        """Give what happened since the last call."""
        taken, self._counts = self._counts, Counts()
        for name, stream in self.streams.items():
            taken.foreign[name], stream.foreign = stream.foreign, 0
        return taken

    def ranked(self, allowed: Collection[str] = (), order: Sequence[str] = ()) -> list[str]:
        """Give the regions that may be used, the best first: open before left alone, near before far.

        Args:
            allowed: names; none: all.
            order: names that come first, in their order, where they are not left alone.
        """
        places = {name: place for place, name in enumerate(self.regions) if not allowed or name in allowed}

        wished = {name: place for place, name in enumerate(order)}

        def merit(name: str) -> tuple[bool, int, bool, float, int]:
            region = self.regions[name]
            near = region.rtt_s is None, region.rtt_s or 0.0, places[name]
            return region.breaker.state == "open", wished.get(name, len(wished)), *near

        return sorted(places, key=merit)

    async def send(
        self, name: str, ident: str, transactions: Sequence[bytes], way: Way, begun: Callable[[], None],
        *, canary: bool = False, urgent: bool = True,
    ) -> Ack:  # fmt: skip
        """Send a bundle once.

        Args:
            name: the region.
            ident: the bundle's id, computed by us.
            way: "grpc" or "http".
            begun: called just before it goes.
            canary: it is the agent's own.
            urgent: it goes before all that is not.

        Raises: SendFailed.
        """
        # Before it goes: its results may be here before the acknowledgement.
        await self.sent.add(ident, canary=canary)
        try:
            ack = await send(self.regions[name], transactions, way, self._wishes.send_s, begun, urgent=urgent)
        except SendFailed as failed:
            self._counts.sends[name, failed.verdict.reason.lower()] += 1
            raise
        self._counts.sends[name, "acknowledged"] += 1
        self.streams[name].owed()
        if ack.ident != ident:
            log.error("a block engine gives a bundle another id than ours", region=name, ours=ident)
        return ack

    def _told(self, result: Result) -> None:
        self._counts.results[result.region, result.outcome] += 1
        for tell in self._listeners:
            tell(result)

    async def _list_on(self) -> None:
        """Ask which regions there are, one region after the other until one tells."""
        names, place = list(self.regions), 0
        while True:
            region, wait_s = self.regions[names[place % len(names)]], LIST_S
            place += 1
            try:
                found = compare(names, await ask_regions(region))
                warn(self.listing, found)
                self.listing = found
            except grpc.aio.AioRpcError as error:
                self._counts.errors[region.name, of_grpc(error).reason.lower()] += 1
                wait_s = AGAIN_S
            await asyncio.sleep(wait_s)

    async def _ask_on(self) -> None:
        """Ask for the next leader, each time another region, so that no one's limit pays for all."""
        names, place = list(self.regions), 0
        while True:
            region = self.regions[names[place % len(names)]]
            place += 1
            # What is left alone, or waits for its limit, is not asked: bundles come first.
            if region.breaker.state == "closed" and region.gate.limiter.wait_s <= 0:
                try:
                    self._counts.leader = await region.next_leader(names)
                except grpc.aio.AioRpcError as error:
                    self._counts.errors[region.name, of_grpc(error).reason.lower()] += 1
            await asyncio.sleep(self._wishes.leader_s)

    async def _measure_on(self, region: Region) -> None:
        while True:
            try:
                self._counts.measured[region.name] = await region.measure()
                region.breaker.succeeded()
                wait_s = self._wishes.period_s
            except grpc.aio.AioRpcError as error:
                region.rtt_s, wait_s = None, min(AGAIN_S, self._wishes.period_s)
                reason = of_grpc(error).reason
                self._counts.errors[region.name, reason.lower()] += 1
                if reason in ("REGION_UNAVAILABLE", "REGION_SILENT"):
                    region.breaker.failed()
            await asyncio.sleep(wait_s * random.uniform(0.9, 1.1))  # noqa: S311


async def _for_ever(work: Callable[[], Awaitable[None]]) -> None:
    """Do what has no end; what goes wrong in one region must not end the others, nor the agent."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("a part of the block engine's client failed unexpectedly; it begins again")
        await asyncio.sleep(AGAIN_S)
