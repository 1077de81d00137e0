"""Views of Geyser pipelines, consumer groups and sources."""

from solward.geyser.v1 import geyser_pb2 as pb

from ctl.output import cell, when

PIPELINE_HEADINGS = ("PIPELINE", "FLOW", "BEHIND", "HOP", "RECOVERY", "WHY")
HOP_HEADINGS = ("HOP", "KIND", "HOST", "SOURCE", "FLOW", "ADDS", "BEHIND", "RATE/S", "SLOT", "WHY")
GROUP_HEADINGS = (
    "GROUP", "TOPIC", "LAG", "LAG S", "WORST", "READS/S", "WRITES/S", "MEMBERS", "STATE", "STALLED", "LOST", "HOST",
)  # fmt: skip
PARTITION_HEADINGS = ("PARTITION", "LAG", "LAG S", "COMMITTED", "END", "LOST", "FLAGS")
SOURCE_HEADINGS = ("HOST", "SOURCE", "KIND", "UP", "SLOT", "EVENTS/S", "ERRORS")
_COLOURS = {
    pb.FLOW_OK: "green", pb.FLOW_SLOW: "yellow", pb.FLOW_LOSING: "red", pb.FLOW_STALLED: "red", pb.FLOW_DOWN: "red",
    pb.FLOW_UNKNOWN: "magenta", pb.FLOW_STARVED: "dim",
}  # fmt: skip


def flow(one: pb.Flow) -> str:
    """Show how something flows, in its colour."""
    name = pb.Flow.Name(one).removeprefix("FLOW_").lower()
    colour = _COLOURS.get(one)
    return f"[{colour}]{name}[/]" if colour else name


def pipeline_row(one: pb.Pipeline) -> tuple[str, ...]:
    """Show one pipeline as a row."""
    behind = seconds(one.behind_seconds) if one.HasField("behind_seconds") else ""
    recovery = ("on" if one.recovery.enabled else "off") if one.HasField("recovery") else ""
    name = one.name.removeprefix("pipelines/")
    return name, flow(one.flow), behind, cell(one.slow_hop), recovery, cell(one.message)


def hop_row(one: pb.Hop) -> tuple[str, ...]:
    """Show one hop as a row."""
    kind = pb.HopKind.Name(one.kind).removeprefix("HOP_KIND_").lower()
    what = f"{one.source} {one.part}".strip()
    return (
        one.name, kind, cell(one.host.removeprefix("hosts/")), cell(what), flow(one.flow),
        seconds(one.delay_seconds) if one.HasField("delay_seconds") else "",
        seconds(one.behind_seconds) if one.HasField("behind_seconds") else "",
        number(one.rate) if one.HasField("rate") else "", str(one.newest_slot or ""), cell(one.message),
    )  # fmt: skip


def recovery_pairs(one: pb.Recovery) -> list[tuple[str, str]]:
    """Show how a pipeline mends itself."""
    by = f", by {one.set_by} at {when(one.set_time, ' UTC')}" if one.set_by else ""
    rows = [("recovery", ("on" if one.enabled else "off") + by)]
    rows += [("", cell(rule)) for rule in one.rules]
    rows.append(("tries within an hour", f"{one.attempts_last_hour} of {one.budget_per_hour}"))
    rows += [("newest", cell(one.operation))] if one.operation else []
    return [*rows, ("now", cell(one.message))] if one.message else rows


def group_row(one: pb.ConsumerGroup) -> tuple[str, ...]:
    """Show one group's lag in one topic as a row."""
    return (
        cell(one.group), cell(one.topic), number(one.lag_messages),
        f"{one.lag_seconds:.1f}" if one.HasField("lag_seconds") else "", number(one.max_lag_messages),
        number(one.consume_rate), number(one.produce_rate) if one.HasField("produce_rate") else "",
        str(one.members), cell(one.state), str(one.stalled_partitions or ""),
        number(one.lost_messages) if one.lost_messages else "", cell(one.host.removeprefix("hosts/")),
    )  # fmt: skip


def partition_row(one: pb.PartitionLag) -> tuple[str, ...]:
    """Show a group's lag in one partition as a row."""
    return (
        str(one.partition), number(one.lag_messages), f"{one.lag_seconds:.1f}",
        str(one.committed) if one.HasField("committed") else "", str(one.end),
        number(one.lost_messages) if one.lost_messages else "", cell(" ".join(one.flags)),
    )  # fmt: skip


def partitions_line(found: pb.PartitionLags) -> str:
    """Sum a group's partitions up in one line."""
    more = f", {found.left_out} partitions left out" if found.left_out else ""
    where = f"{found.host.removeprefix('hosts/')}, {found.source}"
    return f"{number(found.lag_messages)} messages in all{more}; looked at {when(found.time, ' UTC')} by {where}"


def source_row(one: pb.Source) -> tuple[str, ...]:
    """Show one source as a row."""
    up = ("[green]yes[/]" if one.up else "[red]no[/]") if one.HasField("up") else "[magenta]unknown[/]"
    rates = " ".join(f"{kind} {number(rate)}" for kind, rate in sorted(one.rates.items()))
    errors = " ".join(f"{kind} {times:.0f}" for kind, times in sorted(one.errors.items()))
    slot = str(one.newest_slot) if one.HasField("newest_slot") else ""
    return cell(one.host.removeprefix("hosts/")), cell(one.source), one.kind, up, slot, cell(rates), cell(errors)


def seconds(value: float) -> str:
    """Show a delay."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"


def number(value: float) -> str:
    """Show a count or a rate."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
