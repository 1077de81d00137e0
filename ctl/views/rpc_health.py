"""The view of health scores and of what is unusual."""

from rich.markup import escape
from solward.rpc.v1 import rpc_pb2 as pb

from ctl.output import cell, safe, when

HOST_HEADINGS = ("HOST", "SCORE", "WORST", "METHOD", "KNOWN", "UNUSUAL SINCE UTC")
METHOD_HEADINGS = ("METHOD", "SCORE", "LATENCY", "SUCCESS", "CONSISTENCY", "AVAILABILITY")
_GOOD, _FAIR = 80.0, 50.0


def host_row(row: pb.HostHealth) -> tuple[str, ...]:
    """Show one host as a row."""
    worst = _score(row.summary.worst) if row.summary.HasField("worst") else "-"
    since = f"[yellow]{when(row.anomaly.start_time)}[/]" if row.HasField("anomaly") else ""
    name = cell(row.host.removeprefix("hosts/"))
    return (name, score_of(row.summary), worst, cell(row.worst_method), f"{row.summary.known:.0%}", since)


def method_row(row: pb.MethodHealth) -> tuple[str, ...]:
    """Show one method as a row: its score, and its parts in 0 to 1."""
    parts = [f"{getattr(row, part):.2f}" if row.HasField(part) else "-" for part in _PARTS]
    return (cell(row.method), _score(row.score) if row.HasField("score") else "-", *parts)


_PARTS = ("latency", "success", "consistency", "availability")


def score_of(summary: pb.HealthSummary) -> str:
    """Show a score, green, yellow or red."""
    return _score(summary.score) if summary.HasField("score") else "-"


def unusual(anomaly: pb.Anomaly) -> str:
    """Say what is unusual of a host: each series with its level and what it is used to."""
    host = escape(safe(anomaly.host.removeprefix("hosts/")))
    lines = [f"[yellow]{host} is unusual since {when(anomaly.start_time)} UTC[/] (surprise {anomaly.surprise:.1f})"]
    for one in anomaly.suspects:
        labels = ", ".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
        lines.append(
            f"  {escape(safe(one.series))} {escape(safe(labels))}: {one.value * 1000:.3g} ms, usually "
            f"{one.usual * 1000:.3g} ms ({escape(safe(', '.join(one.looks)))})"
        )
    return "\n".join(lines)


def _score(value: float) -> str:
    colour = "green" if value >= _GOOD else "yellow" if value >= _FAIR else "red"
    return f"[{colour}]{value:.1f}[/]"
