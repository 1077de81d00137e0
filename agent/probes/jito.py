"""Tell of the Jito block engine, region by region.

Series: `jito_region_rtt_seconds{region}` and, where the engine says when it got a request,
`jito_region_uplink_seconds{region}`, once for each measurement; `jito_region_errors{region,class}`;
`jito_results_stream_up{region}`; `jito_region_listed{region}`, whether the engine lists a region of the settings, and
`jito_region_unknown{region}`, one that it lists besides; `jito_region_left_alone{region}`;
`jito_region_leader_slots{region}`, slots until the next leader, of the region that it is of;
`jito_limiter_wait_seconds{region}`, how long a call would wait now; `jito_sends{region,outcome}`, tries by what came
of them; `jito_bundle_results{region,outcome}`; `jito_foreign_results{region}`, results of others' bundles, which are
dropped; and `jito_relay_connect_seconds{relay}` or `jito_relay_errors{relay}`. Where the agent sends bundles of its
own, `jito_canary_sends{region,outcome}`, those that were not sent by their reason, and `jito_canary_spent_lamports`,
put aside today; each is told as events of kind `jito.canary`. Each result of ours is an event of kind `jito.bundle`,
sent up at once.
"""

import asyncio
from collections.abc import Mapping
from time import perf_counter

from solward.hosts.v1 import link_pb2

from agent.jito.canary import Canary, Note
from agent.jito.engine import Engine
from agent.jito.results import Result
from agent.probes.base import Series, Sink
from agent.probes.http1 import HttpTarget
from common.names import BUNDLE, CANARY

CONNECT_S = 5.0


class JitoProbe:
    """Tells what the engine knows.

    Args:
        relays: URLs by name, to see whether they can be reached.
        period_s: seconds between two looks at a relay.
        canary: sends bundles of the agent's own; None: none are sent.
    """

    name = "jito"

    def __init__(
        self, engine: Engine, relays: Mapping[str, str], period_s: float = 60.0, canary: Canary | None = None
    ) -> None:
        self._engine = engine
        self._canary = canary
        self._relays = {name: HttpTarget(url) for name, url in relays.items()}
        self._period_s = period_s

    async def run(self, sink: Sink) -> None:
        """Run the engine, and tell, until cancelled."""
        self._engine.listen(lambda result: sink.event(as_event(result), urgent=True))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._engine.run())
            group.create_task(self._tell_on(sink))
            if self._canary:
                group.create_task(self._canary.run(lambda note: sink.event(as_note(note), urgent=True)))
            for name, target in self._relays.items():
                group.create_task(self._reach_on(name, target, sink))

    async def _tell_on(self, sink: Sink) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.tell(sink)

    def tell(self, sink: Sink) -> None:
        """Record how things stand, and what happened since the last time."""
        counts = self._engine.take_counts()
        for name, region in self._engine.regions.items():
            sink.sample(Series.of("jito_results_stream_up", region=name), float(self._engine.streams[name].up))
            sink.sample(Series.of("jito_limiter_wait_seconds", region=name), region.gate.limiter.wait_s)
            sink.sample(Series.of("jito_region_left_alone", region=name), float(region.breaker.state == "open"))
        if counts.leader:
            sink.sample(Series.of("jito_region_leader_slots", region=counts.leader.region), float(counts.leader.slots))
        for name, measured in counts.measured.items():
            sink.sample(Series.of("jito_region_rtt_seconds", region=name), measured.rtt_s)
            if measured.uplink_s is not None:
                sink.sample(Series.of("jito_region_uplink_seconds", region=name), measured.uplink_s)
        for (name, outcome), times in counts.sends.items():
            sink.sample(Series.counting("jito_sends", region=name, outcome=outcome), times)
        for (name, outcome), times in counts.results.items():
            sink.sample(Series.counting("jito_bundle_results", region=name, outcome=outcome), times)
        for (name, kind), times in counts.errors.items():
            sink.sample(Series.counting("jito_region_errors", region=name, **{"class": kind}), times)
        for name, times in counts.foreign.items():
            sink.sample(Series.counting("jito_foreign_results", region=name), times)

        self._tell_listing(sink)
        self._tell_canaries(sink)

    def _tell_listing(self, sink: Sink) -> None:
        if listing := self._engine.listing:
            for name in listing.there | listing.gone:
                sink.sample(Series.of("jito_region_listed", region=name), float(name in listing.there))
            for name in listing.unknown:
                sink.sample(Series.of("jito_region_unknown", region=name), 1.0)

    def _tell_canaries(self, sink: Sink) -> None:
        if self._canary:
            sink.sample(Series.of("jito_canary_spent_lamports"), float(self._canary.spent_lamports))
            for (name, outcome), times in self._canary.take_counts().items():
                sink.sample(Series.counting("jito_canary_sends", region=name, outcome=outcome), times)

    async def _reach_on(self, name: str, target: HttpTarget, sink: Sink) -> None:
        while True:
            try:
                async with asyncio.timeout(CONNECT_S):
                    await target.resolve()
                    begun = perf_counter()
                    (await target.connect()).close()
                sink.sample(Series.of("jito_relay_connect_seconds", relay=name), perf_counter() - begun)
            except (OSError, TimeoutError):
                sink.sample(Series.counting("jito_relay_errors", relay=name), 1.0)
            await asyncio.sleep(self._period_s)


def as_event(result: Result) -> link_pb2.Event:
    """Say a result as the link does."""
    attributes = {"bundle": result.bundle, "region": result.region, "outcome": result.outcome}
    if result.slot:
        attributes["slot"] = str(result.slot)
    if result.validator:
        attributes["validator"] = result.validator
    if result.bid_lamports is not None:
        attributes["bid_lamports"] = str(result.bid_lamports)
    if result.message:
        attributes["message"] = result.message
    if result.canary:
        attributes["canary"] = "1"
    return link_pb2.Event(
        kind=BUNDLE, unix_ms=result.unix_ms, message=f"bundle {result.bundle[:16]}: {result.outcome}",
        attributes=attributes, severity=link_pb2.SEVERITY_INFO, area="jito", times=1,
    )  # fmt: skip


def as_note(note: Note) -> link_pb2.Event:
    """Say of a canary, as the link does."""
    attributes = {"bundle": note.bundle, "region": note.region, "outcome": note.outcome} | note.figures
    return link_pb2.Event(
        kind=CANARY, unix_ms=note.unix_ms, message=f"canary {note.bundle[:16]}: {note.outcome}",
        attributes=attributes, severity=link_pb2.SEVERITY_INFO, area="jito", times=1,
    )  # fmt: skip
