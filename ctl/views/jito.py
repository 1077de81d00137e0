"""Views of bundles, tips and regions."""

from solward.jito.v1 import jito_pb2 as pb

from ctl.output import cell, when

BUNDLE_HEADINGS = ("BUNDLE", "HOST", "STRATEGY", "STATE", "TIP", "SLOT", "REGION", "WHY", "ASKED UTC")
REGION_HEADINGS = ("HOST", "RANK", "REGION", "RTT", "P99", "UP", "RESULTS", "WAIT", "ERRORS", "WHY")
SPEND_HEADINGS = ("STRATEGY", "SENT", "LANDED", "RATE", "TIPPED", "PROFIT", "FEES", "OVERPAID", "RETURN", "UNKNOWN")
FEE_HEADINGS = ("LEVEL", "PERCENTILE", "MICRO-LAMPORTS A UNIT", "LAMPORTS")
_COLOURS = {
    pb.BUNDLE_STATE_LANDED: "green", pb.BUNDLE_STATE_FINALIZED: "green", pb.BUNDLE_STATE_ACCEPTED: "cyan",
    pb.BUNDLE_STATE_EXPIRED: "yellow", pb.BUNDLE_STATE_REJECTED: "yellow", pb.BUNDLE_STATE_FAILED: "red",
    pb.BUNDLE_STATE_PARTIAL: "red", pb.BUNDLE_STATE_UNKNOWN: "magenta",
}  # fmt: skip


def state(one: pb.Bundle) -> str:
    """Show where a bundle stands, in its colour."""
    name = pb.BundleState.Name(one.state).removeprefix("BUNDLE_STATE_").lower()
    colour = _COLOURS.get(one.state)
    return f"[{colour}]{name}[/]" if colour else name


def bundle_row(one: pb.Bundle) -> tuple[str, ...]:
    """Show one bundle as a row."""
    return (
        one.name.removeprefix("bundles/")[:16], cell(one.host.removeprefix("hosts/")), cell(one.strategy), state(one),
        lamports(one.tip_lamports), str(one.slot or ""), cell(one.region), cell(one.reason), when(one.create_time),
    )  # fmt: skip


def bundle_pairs(one: pb.Bundle) -> list[tuple[str, str]]:
    """Show one bundle whole."""
    pairs = [
        ("bundle", one.name.removeprefix("bundles/")), ("host", cell(one.host.removeprefix("hosts/"))),
        ("state", state(one)), ("why", cell(f"{one.reason}: {one.message}" if one.reason else "")),
        ("strategy", cell(one.strategy)), ("asked for by", cell(one.requester)),
        ("tip", lamports(one.tip_lamports)), ("profit before tip and fees", lamports(one.profit_lamports)),
        ("fees if it lands", lamports(one.fee_lamports)), ("compute units", f"{one.compute_units:,}"),
        ("region", cell(one.region)), ("sends", f"{one.sends} of {one.max_sends}" if one.sends else ""),
        ("tries", str(one.tries or "")), ("slot", str(one.slot or "")),
        ("until block height", f"{one.last_valid_block_height:,}"), ("asked", when(one.create_time, " UTC")),
        ("received", when(one.ack_time, " UTC")), ("ended", when(one.end_time, " UTC")),
    ]  # fmt: skip
    if one.region_reasons:
        first = one.region_order[0] if one.region_order else one.region
        pairs.append(("sent first to", cell(f"{first}: {'; '.join(one.region_reasons)}".removeprefix(": "))))
    if one.expected_landing:
        pairs.append(("expected to land", f"{one.expected_landing:.0%}"))
    pairs += [(f"transaction {place}", cell(name)) for place, name in enumerate(one.signatures, 1)]
    return [(name, value) for name, value in pairs if value] + [("", _event(event)) for event in one.events]


def _event(event: pb.BundleEvent) -> str:
    bid = f", bid {lamports(event.bid_lamports)}" if event.bid_lamports else ""
    slot = f", slot {event.slot}" if event.slot else ""
    said = f": {event.message}" if event.message else ""
    return cell(f"{when(event.time)} {event.region} {event.kind}{slot}{bid}{said}")


def region_row(one: pb.Region) -> tuple[str, ...]:
    """Show one region as a row."""
    times = [
        f"{getattr(one, name):.1f} ms" if one.HasField(name) else "-" for name in ("rtt_ms", "rtt_p99_ms", "uplink_ms")
    ]
    errors = ", ".join(f"{count}x {kind}" for kind, count in sorted(one.errors.items()) if count)
    up = "[green]up[/]" if one.stream_up else "[red]down[/]"
    host = cell(one.host.removeprefix("hosts/"))
    why = cell("; ".join(one.reasons))
    if one.unknown:
        return (host, "-", f"[yellow]{cell(one.region)}[/]", "-", "-", "-", "-", "-", "", f"[yellow]{why}[/]")
    if one.HasField("listed") and not one.listed:
        why = f"[yellow]{why}[/]"
    return (host, str(one.rank or "-"), cell(one.region), *times, up, f"{one.wait_seconds:.1f} s", cell(errors), why)


def spend_row(one: pb.StrategySpend) -> tuple[str, ...]:
    """Show one strategy as a row."""
    rate = f"{one.landing_rate:.0%} ({one.landing_low:.0%} to {one.landing_high:.0%})"
    amounts = (one.tipped_lamports, one.profit_lamports, one.fee_lamports, one.overpaid_lamports)
    money = [lamports(amount) for amount in amounts]
    counts = str(one.sent), str(one.landed)
    unknown = f"{one.unknown}: up to {lamports(one.unknown_lamports)}" if one.unknown else "0"
    return (cell(one.strategy or "-"), *counts, rate, *money, f"{one.return_per_lamport:.2f}", unknown)


def fee_row(one: pb.PriorityFee) -> tuple[str, ...]:
    """Show one level of priority fees as a row."""
    return (cell(one.level.replace("_", " ")), f"{one.percentile:.0f}", f"{one.micro_lamports:,}", f"{one.lamports:,}")


def tips_pairs(tips: pb.Tips) -> list[tuple[str, str]]:
    """Show what others tipped that landed."""
    floor = tips.floor
    rows = [
        ("p25", floor.p25_lamports), ("p50", floor.p50_lamports), ("p75", floor.p75_lamports),
        ("p95", floor.p95_lamports), ("p99", floor.p99_lamports), ("moving average of p50", floor.ema_p50_lamports),
    ]  # fmt: skip
    stale = " [yellow](stale)[/]" if tips.age_seconds > 30 else ""
    return [
        *((name, lamports(amount)) for name, amount in rows),
        ("congestion", f"{tips.congestion:.2f} (1 is usual)"),
        ("told", f"{tips.age_seconds:.0f} s ago{stale}"),
        ("source", {"stream": "the stream", "poll": "asked for"}.get(tips.source, "[yellow]none[/]")),
    ]


def value_pairs(found: pb.ExpectedValue) -> list[tuple[str, str]]:
    """Show what tips are worth."""
    pairs: list[tuple[str, str]] = []
    for name, one in (("best tip", found.best), ("asked", found.asked)):
        if one.tip_lamports:
            chance = f"lands {one.landing:.0%} ({one.landing_low:.0%} to {one.landing_high:.0%})"
            worth = f"{lamports(one.value_lamports)} ({lamports(one.value_low_lamports)} to "
            pairs.append((name, f"{lamports(one.tip_lamports)}, {chance}"))
            pairs.append(("worth", f"{worth}{lamports(one.value_high_lamports)})"))
    if not found.best.tip_lamports:
        pairs.append(("best tip", "[yellow]none is worth sending[/]"))
    pairs.append(("break-even tip", lamports(found.break_even_lamports)))
    pairs.append(("learnt from", f"{found.learnt:,} outcomes"))
    return pairs + [("", cell(reason)) for reason in found.reasons]


def budget_pairs(budget: pb.Budget) -> list[tuple[str, str]]:
    """Show the budget."""
    left = max(0, budget.daily_lamports - budget.spent_lamports - budget.reserved_lamports)
    daily = lamports(budget.daily_lamports) if budget.daily_lamports else "[yellow]none: nothing is sent[/]"
    one = lamports(budget.bundle_lamports) if budget.bundle_lamports else "what is left of the day"
    set_by = f"{when(budget.update_time, ' UTC')} by {cell(budget.updater)}" if budget.updater else ""
    pairs = [
        ("a day (UTC)", daily), ("one bundle", one), ("spent today", lamports(budget.spent_lamports)),
        ("may land yet", lamports(budget.reserved_lamports)), ("left", lamports(left)), ("set", set_by),
    ]  # fmt: skip
    return [(name, value) for name, value in pairs if value]


def budget_change(before: pb.Budget, daily: int, bundle: int) -> str:
    """Say how a budget changes, in a line."""

    def change(what: str, old: int, new: int, zero: str) -> str:
        was, becomes = (lamports(amount) if amount else zero for amount in (old, new))
        return f"{what}: {becomes}, as before" if old == new else f"{what}: {becomes}, before: {was}"

    return "; ".join((
        change("a day", before.daily_lamports, daily, "nothing"),
        change("one bundle", before.bundle_lamports, bundle, "what is left of the day"),
    ))  # fmt: skip


def lamports(amount: int) -> str:
    """Show lamports, and as SOL where they are many."""
    return f"{amount:,}" if abs(amount) < 10_000_000 else f"{amount / 1e9:,.4f} SOL"
