"""The view of what moves with the RPC of a host."""

from rich.markup import escape
from solward.rpc.v1 import rpc_pb2 as pb

from ctl.output import safe, when

# A look at fewer seconds says nothing.
LEAST_SECONDS = 240


def explained(row: pb.HostExplanations) -> str:
    """Say what moves with the methods of a host, a line each; or that nothing does, and how much was looked at."""
    host = escape(safe(row.host.removeprefix("hosts/")))
    if row.explanations:
        return "\n".join([f"[bold]{host}[/]", *map(_line, row.explanations)])
    if row.seconds < LEAST_SECONDS:
        return f"[bold]{host}[/]: not known before {LEAST_SECONDS} s of samples; there are {row.seconds}"
    return f"[bold]{host}[/]: nothing moves with its methods (last {row.seconds} s, {row.looks} looks)"


def _line(one: pb.Explanation) -> str:
    what = f"{one.error_class} errors" if one.error_class else "latency"
    way = "rises" if one.rho > 0 else "falls"
    labels = ",".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
    counter = f"{one.counter}{{{labels}}}" if labels else one.counter
    later = f"{one.lag_seconds} s after" if one.lag_seconds else "with"
    return (
        f"  [yellow]{escape(safe(one.method))} {escape(safe(what))}[/] {way} {later} {escape(safe(counter))}: "
        f"rho {one.rho:.2f}, in {one.looks} looks since {when(one.first_time)} UTC"
    )
