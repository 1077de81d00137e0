"""The log probe: what the validator writes, as series and as events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import structlog
from solward.hosts.v1 import link_pb2

from agent.host.journald import Chunk, Entry, JournalError
from agent.host.logfile import BEGINNING
from agent.logs import catalogue, datapoint, findings
from agent.logs.clean import clean
from agent.logs.datapoint import Datapoint
from agent.logs.findings import Finding
from agent.logs.line import Assembler, Line
from agent.probes.base import Series, Sink
from common.clock import now_ms

log = structlog.get_logger(__name__)

Follow = Callable[[str], AsyncIterator[Chunk]]

# What is older than this when it is read gives events, but no samples: those belong to their own second.
LATE_MS = 60_000
# The same finding again within this time is counted, and told with the next.
REPEAT_MS = 10_000
AGAIN_S = (1.0, 30.0)

# Names of datapoints that become series or findings.
KNOWN = catalogue.CATALOGUE.keys() | findings.POINTS.keys()
LINES = {outcome: Series.counting("solana_log_lines", outcome=outcome) for outcome in ("read", "oversized", "late")}
POINTS = Series.counting("solana_log_datapoints")
LAG = Series.of("solana_log_lag_seconds")
READABLE = Series.of("solana_log_readable")


class Source(NamedTuple):
    """Where the log comes from: a name for its position, and how to follow it from one."""

    name: str
    follow: Follow


class Repeats:
    """Thins out findings: the first of a kind at once, then one every while that says how many there were."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._held: dict[str, link_pb2.Event] = {}
        self._told_ms: dict[str, int] = {}

    def add(self, event: link_pb2.Event) -> None:
        """Take one finding in."""
        held = self._held.get(event.kind)
        event.times = (held.times if held else 0) + 1
        if now_ms() - self._told_ms.get(event.kind, 0) < REPEAT_MS:
            self._held[event.kind] = event
            return
        self._tell(event)

    def tick(self) -> None:
        """Tell what was held back for long enough."""
        now = now_ms()
        for kind, event in list(self._held.items()):
            if now - self._told_ms[kind] >= REPEAT_MS:
                self._tell(event)

    def _tell(self, event: link_pb2.Event) -> None:
        self._held.pop(event.kind, None)
        self._told_ms[event.kind] = now_ms()
        self._sink.event(event)


class Digest:
    """Turns entries of the log into series and events. Pure but for its sink."""

    def __init__(self, sink: Sink, *, points: bool) -> None:
        self._sink = sink
        # Whether datapoints become series; not so where the validator sends them to us by itself.
        self._points = points
        self._assembler = Assembler()
        self._repeats = Repeats(sink)
        self._counts: dict[Series, float] = {}
        self._lag_ms = 0

    def take(self, entries: list[Entry]) -> None:
        """Take in what was read."""
        now = now_ms()
        for entry in entries:
            late = now - entry.unix_ms > LATE_MS
            if entry.message is None:
                self._count(LINES["oversized"])
            elif entry.origin == "unit":
                self._count(LINES["late" if late else "read"])
                for line in self._assembler.feed(entry.message):
                    self._line(line, entry.unix_ms, late=late)
            else:
                of = findings.of_kernel if entry.origin == "kernel" else findings.of_manager
                self._found(of(entry.message), entry.message, entry.unix_ms)
        if entries:
            self._lag_ms = max(0, now - entries[-1].unix_ms)

    def tick(self, *, log_lines: bool = True) -> None:
        """Close a second: what waits for a next line waits no longer, and the sums are told."""
        for line in self._assembler.flush():
            self._line(line, now_ms(), late=False)
        self._repeats.tick()
        for series, value in self._counts.items():
            self._sink.sample(series, value)
        self._counts.clear()
        if log_lines:
            self._sink.sample(LAG, self._lag_ms / 1000)
            self._lag_ms = 0

    def point(self, point: Datapoint, unix_ms: int, *, late: bool = False) -> None:
        """Take in one datapoint."""
        self._count(POINTS)
        if not late:
            for reading, series, value in catalogue.readings(point):
                if reading.counts:
                    self._count(series, value)
                else:
                    self._sink.sample(series, value)
        finding = findings.of_point(point)
        if finding:
            self._found(finding, _words(point), unix_ms)

    def _line(self, line: Line, unix_ms: int, *, late: bool) -> None:
        name = datapoint.name_in_log(line.text)
        if not name:
            self._found(findings.of_line(line), line.text, line.unix_ms or unix_ms)
        elif self._points and name in KNOWN:
            point = datapoint.from_log(line.text)
            if point:
                self.point(point, line.unix_ms or unix_ms, late=late)

    def _found(self, finding: Finding | None, text: str, unix_ms: int) -> None:
        if finding:
            self._repeats.add(event_of(finding, text, unix_ms))

    def _count(self, series: Series, value: float = 1.0) -> None:
        self._counts[series] = self._counts.get(series, 0.0) + value


class LogProbe:
    """Follows a source for the agent's whole life, and goes on where it was after every break."""

    name = "log"

    def __init__(self, source: Source, position: str, *, points: bool) -> None:
        self._source = source
        self._position = position
        self._points = points
        self._trouble = ""

    async def run(self, sink: Sink) -> None:
        """Read until cancelled."""
        digest = Digest(sink, points=self._points)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick(digest, sink))
            group.create_task(self._read(digest, sink))

    async def _tick(self, digest: Digest, sink: Sink) -> None:
        while True:
            await asyncio.sleep(1.0)
            digest.tick()
            sink.sample(READABLE, float(not self._trouble))

    async def _read(self, digest: Digest, sink: Sink) -> None:
        position, pause = self._position, AGAIN_S[0]
        while True:
            begun = asyncio.get_running_loop().time()
            try:
                async for chunk in self._source.follow(position):
                    self._well()
                    digest.take(chunk.entries)
                    position = chunk.position
                    sink.position(self._source.name, position)
            except JournalError as error:
                self._note(error)
                if error.reason == "JOURNAL_CURSOR_REFUSED":
                    position = ""
                elif error.reason == "LOG_MISSING" and not position:
                    # What is written first, once the file is there, is news.
                    position = BEGINNING
            # What broke after a good while is tried again at once; what breaks at once, ever more slowly.
            well = asyncio.get_running_loop().time() - begun > AGAIN_S[1]
            pause = AGAIN_S[0] if well else min(pause * 2, AGAIN_S[1])
            await asyncio.sleep(pause)

    def _well(self) -> None:
        if self._trouble:
            log.info("the validator's log can be read again", source=self._source.name)
            self._trouble = ""

    def _note(self, error: JournalError) -> None:
        if self._trouble != error.reason:
            log.warning(
                "the validator's log cannot be read", source=self._source.name, reason=error.reason, why=str(error)
            )
        self._trouble = error.reason


def event_of(finding: Finding, text: str, unix_ms: int) -> link_pb2.Event:
    """Make the event of a finding, its message cut, and cleared of what may be a secret."""
    return link_pb2.Event(
        kind=finding.kind, unix_ms=unix_ms, message=clean(text), severity=finding.severity, area=finding.area,
        meaning=finding.meaning, advice=finding.advice, times=1,
    )  # fmt: skip


def _words(point: Datapoint) -> str:
    fields = " ".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in point.fields.items()
    )
    return f"{point.name}: {fields}"
