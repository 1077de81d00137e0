"""How a hop, and a pipeline of hops, passes on what comes; pure: signs in, words out.

A hop's own delay is how far what it passed on is behind the node, less what the hops before it had added already. What
is measured of a hop directly, a consumer's lag in seconds say, is taken as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from solward.geyser.v1 import geyser_pb2 as pb

from controlplane.geyser.settings import HopSettings, PipelineSettings
from controlplane.geyser.signs import Signs

OK, SLOW, LOSING, STALLED, DOWN = pb.FLOW_OK, pb.FLOW_SLOW, pb.FLOW_LOSING, pb.FLOW_STALLED, pb.FLOW_DOWN
UNKNOWN, STARVED = pb.FLOW_UNKNOWN, pb.FLOW_STARVED
# The worst last: what a whole is called.
_GRAVITY = (OK, STARVED, SLOW, UNKNOWN, LOSING, STALLED, DOWN)
# Nothing comes out of them, so whatever is after them gets nothing.
_DRY = (STALLED, DOWN, STARVED)
# A stream without slots for so long says nothing any more (Yellowstone itself pings every 10 s).
SILENT_S = 10.0


@dataclass(slots=True)
class Judged:
    """What a hop was found to be."""

    flow: pb.Flow
    message: str
    own_s: float | None = None
    behind_s: float | None = None
    rate: float | None = None
    newest_slot: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    # Whether it keeps what is before it from going on, and so is the reason why that stands still.
    holds_up: bool = False
    # Whether it is known by what comes after it that nothing comes out of it.
    idle: bool = False


def judge(pipeline: PipelineSettings, signs: Mapping[str, Signs]) -> tuple[dict[str, Judged], str, str]:
    """Judge every hop of a pipeline.

    Args:
        pipeline: its hops.
        signs: what is known of each, by name.

    Returns: the hops by name, the name of the one at fault (of none, the one that adds the most), and why, in words.
    """
    found: dict[str, Judged] = {}
    before = pipeline.before()
    for hop in pipeline.hops:
        above = found.get(before[hop.name])
        judged = _hop(hop, signs[hop.name])
        _place(judged, above)
        if above is not None and judged.flow == STALLED and not judged.holds_up:
            _find_idle(above)
        if above is not None and _gives_nothing(above) and judged.flow in (OK, STALLED) and not judged.holds_up:
            judged.flow, judged.message = STARVED, f"nothing comes from {before[hop.name]}"
        elif judged.flow == OK and judged.own_s is not None and judged.own_s > hop.slow_s:
            judged.flow = SLOW
            judged.message = f"adds {_seconds(judged.own_s)}, and {_seconds(hop.slow_s)} are allowed"
        found[hop.name] = judged
    return found, *_verdict(pipeline, found)


def worst(hops: Mapping[str, Judged]) -> pb.Flow:
    """Say what a whole is."""
    return max((hop.flow for hop in hops.values()), key=_GRAVITY.index)


def _hop(hop: HopSettings, signs: Signs) -> Judged:
    if not signs.heard:
        return Judged(UNKNOWN, f"the agent of {hop.host} tells nothing")
    judged = _KINDS[hop.kind](signs)
    judged.figures = signs.now | {f"{name}_last_minute": value for name, value in signs.sums.items()}
    if judged.behind_s is None and signs.behind_slots is not None and hop.kind != "node":
        judged.behind_s = signs.behind_slots * signs.slot_s
    return judged


def _place(judged: Judged, above: Judged | None) -> None:
    """Tell a hop's own delay from that of the hops before it."""
    before = above.behind_s if above is not None else 0.0
    if judged.own_s is None and judged.behind_s is not None and before is not None:
        judged.own_s = max(0.0, judged.behind_s - before)
    elif judged.behind_s is None and before is not None:
        # Nothing is known of a delay: what comes after is measured from what is known before.
        judged.behind_s = before + (judged.own_s or 0.0)


def _gives_nothing(hop: Judged) -> bool:
    return hop.flow in _DRY or hop.idle


def _find_idle(hop: Judged) -> None:
    """Find a consumer idle, before whose standing still what comes after it stands still, and messages wait.

    These are two signs of one thing, so it need not have lasted for as long as one of them alone would have to.
    """
    waits = hop.figures.get("kafka_lag_messages", 0.0)
    if hop.rate != 0 or not waits or hop.flow not in (OK, SLOW):
        return
    hop.idle = True
    if hop.figures.get("kafka_group_up", 1.0) < 1:
        # Whoever restarts it now begins another rebalance.
        hop.flow, hop.message = SLOW, f"it is amid a rebalance, and {waits:.0f} messages wait"
    else:
        hop.flow, hop.message = STALLED, f"{waits:.0f} messages wait, and none is committed"


def _node(signs: Signs) -> Judged:
    slot, lag = signs.get("rpc_slot"), signs.get("rpc_slot_lag")
    judged = Judged(OK, "it keeps up", newest_slot=slot, rate=1 / signs.slot_s if signs.node_moves else None)
    if signs.get("validator_active") == 0:
        judged.flow, judged.message = DOWN, "its unit is not active"
    elif slot is None:
        judged.flow, judged.message = DOWN, "its RPC does not tell a slot"
    elif signs.node_moves is False:
        judged.flow, judged.message = STALLED, f"its slot stays at {slot:.0f}"
    elif lag is not None:
        judged.own_s = max(0.0, lag) * signs.slot_s
    # Everything is measured from here.
    judged.behind_s = 0.0
    return judged


def _plugin(signs: Signs) -> Judged:
    judged = Judged(OK, "it passes on", rate=signs.get("events_rate"), newest_slot=signs.get("newest_slot"))
    lost = signs.lost("plugin_dropped", "plugin_failed")
    if signs.get("plugin_loaded") == 0:
        judged.flow, judged.message = DOWN, "the validator does not list it"
    elif signs.get("plugin_metrics_up") == 0:
        judged.flow, judged.message = DOWN, "its metrics page does not answer"
    elif signs.get("plugin_loaded") is None and signs.get("plugin_metrics_up") is None:
        judged.flow, judged.message = UNKNOWN, "nothing is told of it"
    elif signs.node_moves and _stays(signs):
        judged.flow, judged.message = STALLED, f"its slots stay {signs.behind_slots:.0f} behind the node's"
    elif lost:
        judged.flow, judged.message = LOSING, f"{lost:.0f} events were dropped or failed within a minute"
    return judged


def _stream(signs: Signs) -> Judged:
    delay, silent = signs.get("slot_delay_seconds"), signs.get("stream_silent_seconds")
    judged = Judged(OK, "slots come", rate=signs.get("events_rate"), newest_slot=signs.get("newest_slot"))
    missed = signs.lost("missed_slots")
    judged.own_s = max(0.0, delay) if delay is not None else None
    if signs.get("stream_up") is None:
        judged.flow, judged.message = UNKNOWN, "nothing is told of it"
    elif not signs.get("stream_up"):
        judged.flow, judged.message = DOWN, "the subscription does not stand"
    elif silent is not None and silent > SILENT_S and signs.node_moves:
        judged.flow, judged.message = STALLED, f"no slot has come for {_seconds(silent)}"
    elif missed:
        judged.flow, judged.message = LOSING, f"{missed:.0f} slots that the node had did not come within a minute"
    return judged


def _topic(signs: Signs) -> Judged:
    rate = signs.get("kafka_produce_rate")
    judged = Judged(OK, "messages are written", rate=rate)
    if signs.get("kafka_up") == 0:
        judged.flow, judged.message = DOWN, "the cluster does not answer"
    elif rate is None:
        judged.flow, judged.message = UNKNOWN, "nothing is told of it"
    elif rate <= 0 and signs.node_moves:
        judged.flow, judged.message = STALLED, "nothing is written to it"
    return judged


def _consumer(signs: Signs) -> Judged:
    lag, stalled = signs.get("kafka_lag_messages"), signs.get("kafka_stalled_partitions")
    judged = Judged(OK, "it keeps up", own_s=signs.get("kafka_lag_seconds"), rate=signs.get("kafka_consume_rate"))
    lost, up = signs.get("kafka_lost_messages"), signs.get("kafka_group_up")
    if signs.get("kafka_up") == 0:
        judged.flow, judged.message = UNKNOWN, "the cluster does not answer"
    elif lag is None:
        judged.flow, judged.message = UNKNOWN, "nothing is told of the group"
    elif up == 0:
        judged.flow, judged.message = DOWN, f"the group has no members, and {lag:.0f} messages wait"
    elif lost:
        judged.flow, judged.message = LOSING, f"retention took {lost:.0f} messages before they were read"
    elif stalled:
        judged.flow, judged.message = STALLED, f"{stalled:.0f} partitions get messages and commit none"
    elif up is not None and up < 1:
        judged.message = "it is amid a rebalance"
    return judged


def _sink(signs: Signs) -> Judged:
    judged = Judged(OK, "rows are written", rate=signs.get("sink_write_rate"))
    judged.newest_slot, judged.behind_s = signs.get("sink_newest_slot"), _age(signs)
    rejected = signs.lost("sink_rejected_inserts")
    waits, delayed = signs.get("sink_lock_waits") or 0.0, signs.get("sink_delayed_inserts") or 0.0
    if signs.get("sink_up") is None:
        judged.flow, judged.message = UNKNOWN, "nothing is told of it"
    elif not signs.get("sink_up"):
        judged.flow, judged.message, judged.holds_up = DOWN, "it does not answer", True
    elif rejected:
        judged.flow, judged.message = LOSING, f"it refused {rejected:.0f} inserts within a minute"
    elif judged.rate == 0 and signs.node_moves and (judged.behind_s or 0.0) > SILENT_S:
        why = f": {waits:.0f} sessions wait for a lock" if waits else ""
        judged.flow, judged.message, judged.holds_up = STALLED, f"no rows are written{why}", waits > 0
    elif waits or delayed:
        judged.message = f"rows are written, while {waits:.0f} sessions wait for a lock and {delayed:.0f} inserts wait"
    return judged


def _age(signs: Signs) -> float | None:
    """How far a table is behind the node: by slots where it has them, else by the age of its newest row."""
    if signs.behind_slots is not None:
        return signs.behind_slots * signs.slot_s
    return signs.get("sink_commit_delay_seconds")


def _stays(signs: Signs) -> bool:
    """Whether a plugin's slots are so far behind that they cannot be merely late."""
    return signs.behind_slots is not None and signs.behind_slots * signs.slot_s > SILENT_S


_KINDS = {
    "node": _node, "plugin": _plugin, "stream": _stream, "topic": _topic, "consumer": _consumer, "sink": _sink,
}  # fmt: skip


def _verdict(pipeline: PipelineSettings, found: Mapping[str, Judged]) -> tuple[str, str]:
    """Name the hop at fault: of the gravest the first, since what comes after it suffers from it."""
    gravest = max((_GRAVITY.index(found[hop.name].flow) for hop in pipeline.hops), default=0)
    if gravest > _GRAVITY.index(STARVED):
        at_fault = next(hop for hop in pipeline.hops if _GRAVITY.index(found[hop.name].flow) == gravest)
        if at_fault.kind == "consumer":
            # What cannot write ends or stands still: it is the database that is down, or whose locks it waits for.
            before = pipeline.before()
            its = (hop for hop in pipeline.hops if before[hop.name] == at_fault.name and found[hop.name].holds_up)
            at_fault = next((hop for hop in its if _GRAVITY.index(found[hop.name].flow) == gravest), at_fault)
        return at_fault.name, f"{at_fault.kind} {at_fault.name}: {found[at_fault.name].message}"
    timed = [(judged.own_s, hop) for hop in pipeline.hops if (judged := found[hop.name]).own_s is not None]
    if not timed:
        return "", "everything flows; no delay is known"
    own, slowest = max(timed, key=lambda one: one[0] or 0.0)
    behind = max(found[hop.name].behind_s or 0.0 for hop in pipeline.hops)
    whole = f" of {_seconds(behind)}" if behind >= (own or 0.0) else ""
    return slowest.name, f"everything flows; {slowest.kind} {slowest.name} adds the most, {_seconds(own or 0.0)}{whole}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
