"""Views of alerts and findings."""

from rich.text import Text
from solward.alerts.v1 import alerts_pb2 as pb
from solward.hosts.v1 import link_pb2

from ctl import names
from ctl.output import cell, safe, when

STYLES = {
    link_pb2.SEVERITY_INFO: "dim",
    link_pb2.SEVERITY_WARNING: "yellow",
    link_pb2.SEVERITY_ERROR: "red",
    link_pb2.SEVERITY_CRITICAL: "bold red",
}
# How many hosts of a group are named in a line.
NAMED = 5


def severity(value: link_pb2.Severity) -> str:
    """Draw how grave something is."""
    word = link_pb2.Severity.Name(value).removeprefix("SEVERITY_").lower()
    return f"[{STYLES.get(value, '')}]{word}[/]" if value in STYLES else word


def state(alert: pb.Alert) -> str:
    """Draw where an alert stands, and who or what keeps it quiet."""
    if alert.state == pb.ALERT_STATE_RESOLVED:
        return "[green]resolved[/]"
    words = ["unsure" if alert.unsure else "firing"]
    if alert.acknowledged_by:
        words.append(f"acknowledged by {cell(alert.acknowledged_by)}")
    if alert.silence:
        words.append("silenced")
    return ", ".join(words)


def about(subject: pb.AlertSubject) -> str:
    """Say what is in trouble: the validator, whoever watches it, or something else."""
    return pb.AlertSubject.Name(subject).removeprefix("ALERT_SUBJECT_").lower().replace("_", " ")


def rule(alert: pb.Alert) -> str:
    """Name an alert's rule, and the finding that it is about."""
    return cell(alert.rule) + (f" ({cell(alert.detail.removeprefix('validator.'))})" if alert.detail else "")


def row(alert: pb.Alert) -> list[str]:
    """Give the cells of one alert in a table."""
    return [
        cell(names.short(alert.name)), severity(alert.severity), about(alert.subject), cell(names.short(alert.host)),
        rule(alert), state(alert), when(alert.start_time), cell(alert.summary),
    ]  # fmt: skip


def group_line(group: list[pb.Alert]) -> Text:
    """Draw alerts that changed together as one line."""
    first = group[0]
    hosts = ", ".join(cell(names.short(alert.host)) for alert in group[:NAMED])
    more = f" and {len(group) - NAMED} more" if len(group) > NAMED else ""
    stamp = first.resolve_time if first.state == pb.ALERT_STATE_RESOLVED else first.last_time
    short = cell(names.short(first.name)) if len(group) == 1 else f"{len(group)} hosts"
    evidence = f" [dim]{cell(first.evidence)}[/]" if first.evidence else ""
    return Text.from_markup(
        f"{when(stamp)}  {severity(first.severity)}  {state(first)}  {about(first.subject)}  [bold]{rule(first)}[/] on "
        f"{hosts}{more}: {cell(safe(first.summary))}{evidence}  [dim]{short}[/]"
    )
