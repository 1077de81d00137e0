"""Every pipeline, judged again and again; the newest judgement is what everybody is shown."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter

import structlog
from solward.geyser.v1 import geyser_pb2 as pb
from solward.hosts.v1 import link_pb2
from solward.metrics.v1 import topics_pb2

from common.bell import Bell
from common.clock import now_ms
from common.names import host_name
from controlplane.geyser import figures
from controlplane.geyser.judge import Judged, judge, worst
from controlplane.geyser.settings import HopSettings, PipelineSettings
from controlplane.geyser.signs import NodeSlots, read
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.topics import Topic, View

log = structlog.get_logger(__name__)

# As often as agents tell.
LOOK_S = 1.0
TOPIC = "pipelines"
# A flaw that lasts so long is a finding, told again as often while it lasts.
TELL_MS = 30_000
_TOLD = (pb.FLOW_SLOW, pb.FLOW_LOSING, pb.FLOW_STALLED, pb.FLOW_DOWN)
_FLOWS = {value: name.removeprefix("FLOW_").lower() for name, value in pb.Flow.items() if value}
Tell = Callable[[str, link_pb2.Event], None]


class Pipelines:
    """Judges pipelines.

    Args:
        wanted: which there are, by name.
        ingest: where the hosts' feeds are.
        tell: takes a finding of a host, by its resource name.
    """

    def __init__(self, wanted: Mapping[str, PipelineSettings], ingest: Ingest, tell: Tell) -> None:
        self.wanted = wanted
        self.newest: dict[str, pb.Pipeline] = {}
        # Rung after each look at all of them.
        self.judged = Bell()
        self._ingest = ingest
        self._tell = tell
        # Since when a hop has a flaw, and when that was told last.
        self._flaws: dict[tuple[str, str], tuple[pb.Flow, int, int]] = {}

    async def run(self) -> None:
        """Judge every pipeline each second until cancelled."""
        while self.wanted:
            begun = perf_counter()
            for name in self.wanted:
                try:
                    self.look(name)
                except Exception:
                    log.exception("a pipeline cannot be judged", pipeline=name)
                # Others have the loop between two pipelines.
                await asyncio.sleep(0)
            figures.EVALUATION.set(perf_counter() - begun)
            self.judged.ring()
            await asyncio.sleep(LOOK_S)

    def look(self, name: str) -> pb.Pipeline:
        """Judge one pipeline now."""
        wanted = self.wanted[name]
        node = NodeSlots(self._ingest, wanted.hops[0].host)
        hops, slow, why = judge(wanted, {hop.name: read(self._ingest, hop, node) for hop in wanted.hops})
        before = wanted.before()
        found = pb.Pipeline(
            name=f"pipelines/{name}", flow=worst(hops), slow_hop=slow, message=why,
            hops=[_hop(hop, before[hop.name], hops[hop.name]) for hop in wanted.hops],
        )  # fmt: skip
        found.time.FromMilliseconds(now_ms())
        if (behind := _behind(wanted, hops)) is not None:
            found.behind_seconds = behind
        self.newest[name] = found
        _show(name, found)
        self._find(name, found)
        return found

    async def topic(self, topic: Topic, view: View) -> topics_pb2.TopicFrame:
        """Make a frame of the live topic."""
        seen = [one for one in self.newest.values() if sees(one, lambda host: view.sees(TOPIC, host))]
        return topics_pb2.TopicFrame(pipelines=topics_pb2.PipelinesNow(pipelines=seen))

    def _find(self, name: str, pipeline: pb.Pipeline) -> None:
        """Tell what has been wrong for a while, of the hop at fault alone: the others suffer from it."""
        now = now_ms()
        for hop in pipeline.hops:
            key = (name, hop.name)
            if hop.flow not in _TOLD or hop.name != pipeline.slow_hop:
                self._flaws.pop(key, None)
                continue
            flow, since, told = self._flaws.get(key, (hop.flow, now, 0))
            if flow != hop.flow:
                since, told = now, 0
            if now - since >= TELL_MS and now - told >= TELL_MS:
                told = now
                self._tell(hop.host, _event(name, hop, now))
            self._flaws[key] = (hop.flow, since, told)


def sees(pipeline: pb.Pipeline, reaches: Callable[[str], bool]) -> bool:
    """Whether all of a pipeline is within reach: a part of it alone would tell of the rest."""
    return all(map(reaches, hosts(pipeline)))


def hosts(pipeline: pb.Pipeline) -> Iterable[str]:
    """Name the hosts of a pipeline."""
    return dict.fromkeys(hop.host for hop in pipeline.hops)


def _hop(wanted: HopSettings, after: str, judged: Judged) -> pb.Hop:
    hop = pb.Hop(
        name=wanted.name, kind=f"HOP_KIND_{wanted.kind.upper()}", host=host_name(wanted.host),
        source=wanted.source, part=wanted.part, after=after, flow=judged.flow, message=judged.message,
        figures=judged.figures,
    )  # fmt: skip
    for field, value in (
        ("delay_seconds", judged.own_s), ("behind_seconds", judged.behind_s), ("rate", judged.rate),
    ):  # fmt: skip
        if value is not None and math.isfinite(value):
            setattr(hop, field, value)
    if judged.newest_slot is not None and judged.newest_slot >= 0:
        hop.newest_slot = int(judged.newest_slot)
    return hop


def _behind(wanted: PipelineSettings, hops: Mapping[str, Judged]) -> float | None:
    """How far the ends of a pipeline are behind its node, the furthest of several."""
    before = set(wanted.before().values())
    ends = [hops[hop.name].behind_s for hop in wanted.hops if hop.name not in before]
    return max((one for one in ends if one is not None), default=None)


def _show(name: str, pipeline: pb.Pipeline) -> None:
    for flow, word in _FLOWS.items():
        figures.FLOW.labels(name, word).set(pipeline.flow == flow)
    figures.BEHIND.labels(name).set(pipeline.behind_seconds if pipeline.HasField("behind_seconds") else math.nan)
    for hop in pipeline.hops:
        figures.HOP_DELAY.labels(name, hop.name).set(hop.delay_seconds if hop.HasField("delay_seconds") else math.nan)
        figures.HOP_FLOW.labels(name, hop.name).set(hop.flow in (pb.FLOW_OK, pb.FLOW_SLOW))


def _event(name: str, hop: pb.Hop, now: int) -> link_pb2.Event:
    return link_pb2.Event(
        kind=f"geyser.{_FLOWS[hop.flow]}", unix_ms=now, severity=link_pb2.SEVERITY_INFO, area="geyser", times=1,
        message=f"pipeline {name}, hop {hop.name}: {hop.message}",
    )  # fmt: skip
