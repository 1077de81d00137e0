"""Live topics: each that somebody watches is made once a second, and written once for all who may see the same."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from google.protobuf import json_format
from prometheus_client import Counter as Total
from solward.metrics.v1 import topics_pb2 as pb

# A second has so many beats; watchers are spread over them, so that ten thousand frames do not leave at once.
BEATS = 5
PERIOD_S = 1.0
# How long changes are gathered, so that a burst of them is few frames.
GATHER_S = 0.005
# Frames of changes that are kept for those who lack the same.
_TOLD_MOST = 64
# A longer frame is written off the loop.
_OFF_LOOP_BYTES = 16_384
_TOPIC = re.compile(
    r"(fleet|alerts|operations|bundles|pipelines)|(hosts/[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)/(rpc|score)"
)
_FRAMES = Total("solward_topic_frames", "Frames of live topics that were made, by kind.", ("kind",))


class Topic(NamedTuple):
    """A topic, taken apart.

    Attributes:
        name: as it is asked for.
        kind: "fleet", "alerts", "operations", "bundles", "pipelines", "rpc" or "score".
        host: by resource name; empty where it is about no host in particular.
    """

    name: str
    kind: str
    host: str = ""


def parse(name: str) -> Topic | None:
    """Take a topic's name apart; None where there is no such topic."""
    found = _TOPIC.fullmatch(name)
    return Topic(name, found[1] or found[3], found[2] or "") if found else None


class View(Protocol):
    """What a watcher may see; those with the same key see the same."""

    @property
    def key(self) -> str:
        """Stands for all of it."""

    def sees(self, kind: str, host: str) -> bool:
        """Whether a topic of a kind may tell of a host, by resource name."""


Make = Callable[[Topic, View], Awaitable[pb.TopicFrame]]


class Pushed(Protocol):
    """What is told at each change, too: changes are numbered, and a frame holds those after a number."""

    @property
    def newest(self) -> int:
        """The number of the newest change."""

    async def wait(self, after: int, seconds: float) -> None:
        """Wait for a change after a number, at most so long."""

    def since(self, view: View, after: int) -> pb.TopicFrame:
        """Tell the changes after a number, of those that are kept."""


@dataclass(slots=True)
class _Beat:
    """What was made at the newest moment of one beat."""

    number: int = -1
    made: dict[tuple[str, str], pb.WatchTopicsResponse] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Topics:
    """Makes frames for whoever watches; without watchers it does nothing.

    Args:
        makers: what makes the content of each kind of topic.
        pushed: a kind of topic that is told at each change as well, and what tells it.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        makers: Mapping[str, Make],
        clock: Callable[[], float] = time.time,
        pushed: tuple[str, Pushed] | None = None,
    ) -> None:
        self._makers = dict(makers)
        self._pushed_kind = pushed[0] if pushed else ""
        self._pushed: Pushed | None = pushed[1] if pushed else None
        self._told: dict[tuple[str, int, int, int], pb.WatchTopicsResponse] = {}
        self._clock = clock
        self._beats = [_Beat() for _ in range(BEATS)]
        self._watchers: Counter[int] = Counter(dict.fromkeys(range(BEATS), 0))

    def add(self, kind: str, make: Make) -> None:
        """Add a kind of topic, before anybody watches."""
        self._makers[kind] = make

    @property
    def watchers(self) -> int:
        """How many streams are watching."""
        return self._watchers.total()

    async def watch(
        self, names: list[Topic], view: Callable[[], Awaitable[View]]
    ) -> AsyncGenerator[pb.WatchTopicsResponse, None]:
        """Give each topic as it stands now, and then once a second; who reads slowly misses the seconds between.

        A kind that is pushed is told at each change, too.

        Args:
            names: the topics.
            view: says each second what the watcher may see; raises what the stream is to end with.
        """
        with self._joined() as beat:
            told = self._pushed.newest if self._pushed else 0
            while True:
                seen, number = await view(), self._number(beat)
                for topic in names:
                    if topic.kind != self._pushed_kind:
                        yield await self._frame(topic, seen, beat, number)
                until = (number + 1 + beat / BEATS) * PERIOD_S
                followed = next((one for one in names if one.kind == self._pushed_kind), None)
                while followed and self._pushed:
                    frame, told = self._change(self._pushed, followed, seen, told)
                    yield frame
                    if (left := until - self._clock()) > 0:
                        await self._pushed.wait(told, left)
                    if self._pushed.newest == told:
                        # What nothing has happened to is told again with the next second.
                        break
                    # What changes together is told together.
                    await asyncio.sleep(GATHER_S)
                await asyncio.sleep(max(0.0, until - self._clock()))

    @contextmanager
    def _joined(self) -> Iterator[int]:
        beat = min(self._watchers, key=lambda one: (self._watchers[one], one))
        self._watchers[beat] += 1
        try:
            yield beat
        finally:
            self._watchers[beat] -= 1

    def _number(self, beat: int) -> int:
        # A timer may ring a moment early.
        return int((self._clock() + 0.002) / PERIOD_S - beat / BEATS)

    async def _frame(self, topic: Topic, view: View, beat: int, number: int) -> pb.WatchTopicsResponse:
        slot = self._beats[beat]
        async with slot.lock:
            if number > slot.number:
                slot.number, slot.made = number, {}
            key = (topic.name, view.key)
            if key not in slot.made:
                slot.made[key] = await self._make(topic, view)
            return slot.made[key]

    def _change(self, pushed: Pushed, topic: Topic, view: View, after: int) -> tuple[pb.WatchTopicsResponse, int]:
        """Give the changes after a number, written once for all who lack the same and may see the same."""
        newest = pushed.newest
        # Where nothing has changed, the time has.
        key = (view.key, after, newest, int(self._clock() / PERIOD_S) if after == newest else 0)
        if key not in self._told:
            if len(self._told) > _TOLD_MOST:
                self._told.clear()
            self._told[key] = self._response(topic, view, pushed.since(view, after))
        return self._told[key], newest

    def _response(self, topic: Topic, view: View, frame: pb.TopicFrame) -> pb.WatchTopicsResponse:
        self._stamp(topic, frame)
        return pb.WatchTopicsResponse(topic=topic.name, view=view.key, frame=_written(frame))

    def _stamp(self, topic: Topic, frame: pb.TopicFrame) -> None:
        frame.topic = topic.name
        frame.time.FromNanoseconds(int(self._clock() * 1e9))
        _FRAMES.labels(topic.kind).inc()

    async def _make(self, topic: Topic, view: View) -> pb.WatchTopicsResponse:
        frame = await self._makers[topic.kind](topic, view)
        self._stamp(topic, frame)
        text = await asyncio.to_thread(_written, frame) if frame.ByteSize() > _OFF_LOOP_BYTES else _written(frame)
        return pb.WatchTopicsResponse(topic=topic.name, view=view.key, frame=text)


def _written(frame: pb.TopicFrame) -> str:
    return json.dumps(json_format.MessageToDict(frame), ensure_ascii=False, separators=(",", ":"))
