"""Tell of Yellowstone streams: whether they stand, how late slots are against the node's own, and what never came.

Series, each with the label `source`: `geyser_stream_up` each second, and while it is 1 `geyser_stream_silent_seconds`;
`geyser_newest_slot`; `geyser_events_rate{kind}`, by kind slot, and where blocks are counted block, transaction and
entry; `geyser_slot_delay_seconds`, once for each slot that the node told of too; `geyser_missed_slots` and
`geyser_slot_gaps`; `geyser_errors{class}`, ends by class. A subscription that stood and ended is an event of kind
`geyser.stream`, and so is the first of a row that cannot be opened.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

import structlog
from solward.hosts.v1 import link_pb2
from yellowstone import geyser_pb2

from agent.geyser.bells import PluginBells
from agent.geyser.board import SlotBoard
from agent.geyser.ends import End
from agent.geyser.plugin_settings import StreamSettings
from agent.geyser.slots import SlotTracker
from agent.geyser.stream import GeyserStream
from agent.probes.base import Series, Sink
from common.clock import now_ms

log = structlog.get_logger(__name__)

KIND: Final = "geyser.stream"
TICK_S, AGAIN_S = 1.0, 10.0


class _Source:
    """One stream, and what is told of it."""

    def __init__(
        self, name: str, wanted: StreamSettings, board: SlotBoard | None, sink: Sink, bells: PluginBells
    ) -> None:
        self._bells = bells
        self._name = name
        self._sink = sink
        self._counts = wanted.counts
        self._tracker = SlotTracker(board, wanted.missed_after_seconds)
        self._events: Counter[str] = Counter()
        self._last_end = ""
        self._told_at = time.monotonic()
        self._stream = GeyserStream(name, wanted, self, bells.loaded)

    async def run(self) -> None:
        """Keep the stream up until cancelled; what goes wrong here must end neither others nor the agent."""
        while True:
            try:
                await self._stream.run()
            except Exception:
                log.exception("a geyser stream failed unexpectedly; it begins again", source=self._name)
            await asyncio.sleep(AGAIN_S)

    def began(self) -> None:
        """Begin a subscription."""
        self._tracker.begin()
        self._events.clear()
        self._last_end, self._told_at = "", time.monotonic()

    def slot(self, update: geyser_pb2.SubscribeUpdateSlot, at: float) -> None:
        """Take in a slot's status."""
        self._events["slot"] += 1
        self._tracker.take(update, at)

    def block(self, meta: geyser_pb2.SubscribeUpdateBlockMeta) -> None:
        """Count what a block holds."""
        self._events["block"] += 1
        self._events["transaction"] += meta.executed_transaction_count
        self._events["entry"] += meta.entries_count

    def ended(self, end: End, stood_s: float | None) -> None:
        """Tell of an end; of one that stood the plugin may be the cause."""
        if stood_s is not None:
            self._bells.doubted.ring()
        self._sink.sample(Series.counting("geyser_errors", source=self._name, **{"class": end.kind}), 1.0)
        if stood_s is None and end.kind == self._last_end:
            return
        self._last_end = end.kind
        what = "cannot be opened" if stood_s is None else f"ended after {stood_s:.0f} s"
        self._sink.event(
            link_pb2.Event(
                kind=KIND, unix_ms=now_ms(), severity=link_pb2.SEVERITY_WARNING, area="geyser", times=1,
                message=f"stream {self._name} {what}: {end.message}",
                attributes={"source": self._name, "class": end.kind},
            )
        )  # fmt: skip

    def tell(self) -> None:
        """Record how it stands, and what came since the last time."""
        self._gauge("geyser_stream_up", float(self._stream.up))
        if not self._stream.up:
            return
        now = time.monotonic()
        passed, self._told_at = now - self._told_at, now
        self._gauge("geyser_stream_silent_seconds", self._stream.silent_s)
        for kind in ("slot", "block", "transaction", "entry") if self._counts else ("slot",):
            rate = self._events[kind] / passed if passed > 0 else 0.0
            self._sink.sample(Series.of("geyser_events_rate", source=self._name, kind=kind), rate)
        self._events.clear()
        if self._tracker.newest is not None:
            self._gauge("geyser_newest_slot", float(self._tracker.newest))
        tally = self._tracker.tick(now)
        for delay in tally.delays_s.values():
            self._gauge("geyser_slot_delay_seconds", delay)
        for name, times in (("geyser_missed_slots", tally.missed), ("geyser_slot_gaps", tally.gaps)):
            if times:
                self._sink.sample(Series.counting(name, source=self._name), float(times))

    def _gauge(self, name: str, value: float) -> None:
        self._sink.sample(Series.of(name, source=self._name), value)


class StreamProbe:
    """Follows every stream.

    Args:
        streams: by name.
        board: where probes of the node's RPC note its slots; None: nothing is compared.
        bells: what others tell of plugins.
    """

    name = "geyser stream"

    def __init__(
        self, streams: Mapping[str, StreamSettings], board: SlotBoard | None, bells: PluginBells | None = None
    ) -> None:
        self._streams = streams
        self._board = board
        self._bells = bells or PluginBells()

    async def run(self, sink: Sink) -> None:
        """Follow until cancelled."""
        sources = [_Source(name, wanted, self._board, sink, self._bells) for name, wanted in self._streams.items()]
        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(source.run())
            while True:
                await asyncio.sleep(TICK_S)
                for source in sources:
                    source.tell()
