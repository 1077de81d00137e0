"""The view of connections to nodes."""

from collections.abc import Mapping

from solward.rpc.v1 import rpc_pb2 as pb

from ctl.output import cell

HEADINGS = (
    "HOST",
    "CONNECT P50/P99",
    "KEPT",
    "OPENED",
    "DROPPED",
    "SLOTS BY WEBSOCKET",
    "BEHIND",
    "NOT OFFERED",
    "WHY",
)


def node_row(node: pb.NodeConnections) -> tuple[str, ...]:
    """Show one node as a row; times are milliseconds."""
    pool = node.pool
    why = (*_named("connect", pool.errors), *_named("websocket", node.subscription.errors),
           *_named("reference", node.reference.errors))  # fmt: skip
    return (
        cell(node.host.removeprefix("hosts/")),
        f"{pool.connect_p50_ms:.2f} / {pool.connect_p99_ms:.2f}",
        f"{pool.idle} + {pool.busy} busy",
        str(pool.opened),
        str(pool.dropped),
        _subscription(node),
        _behind(node),
        cell(", ".join(node.not_offered)),
        cell(", ".join(why)),
    )


def _subscription(node: pb.NodeConnections) -> str:
    if not node.HasField("subscription"):
        return "-"
    seen = node.subscription
    if not seen.up:
        return "[red]down[/]"
    missed = f", [red]{seen.missed} missed[/]" if seen.missed else ""
    return f"{seen.slots}{missed}, gap {seen.gap_p50_ms:.0f} to {seen.gap_max_ms:.0f}, delay {seen.delay_p50_ms:.1f}"


def _behind(node: pb.NodeConnections) -> str:
    if not node.HasField("reference"):
        return "-"
    if not node.reference.reliable:
        return "[yellow]monitor unreliable[/]"
    lag = node.reference.lag_slots
    return f"{lag} slots" if lag >= 0 else f"{-lag} slots ahead"


def _named(what: str, errors: Mapping[str, int]) -> list[str]:
    return [f"{what} {kind} {count}" for kind, count in sorted(errors.items())]
