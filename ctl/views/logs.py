"""Views of log entries: a line each, in columns."""

import datetime as dt
from collections.abc import Iterable

from rich.text import Text
from solward.hosts.v1 import link_pb2
from solward.metrics.v1 import logs_pb2 as pb

from ctl import names
from ctl.output import safe
from ctl.views.alerts import STYLES

# Hosts' and kinds' columns are at least this wide, and no wider than the most, so that lines stay in columns.
HOST = (8, 24)
KIND = (12, 32)
SEVERITY = 8


class Lines:
    """Draws entries; columns widen with what they hold, so that what is drawn later stays aligned."""

    def __init__(self) -> None:
        self._host, self._kind = HOST[0], KIND[0]

    def measure(self, entries: list[pb.LogEntry]) -> None:
        """Make room for entries that are to be drawn."""
        self._host = _wide(self._host, HOST[1], (len(names.short(entry.host)) for entry in entries))
        self._kind = _wide(self._kind, KIND[1], (len(entry.event.kind) for entry in entries))

    def draw(self, entry: pb.LogEntry) -> Text:
        """Draw one entry."""
        self.measure([entry])
        event = entry.event
        word = _word(event.severity)
        times = f" (×{event.times})" if event.times > 1 else ""
        fields = "".join(f" {safe(name)}={safe(value)}" for name, value in sorted(event.attributes.items()))
        return Text.assemble(
            (time_of(entry), "dim"), "  ", names.short(safe(entry.host)).ljust(self._host), "  ",
            (word.ljust(SEVERITY), STYLES.get(event.severity, "")), "  ",
            (safe(event.kind).ljust(self._kind), "bold"), "  ", safe(event.message), times, (fields, "dim"),
        )  # fmt: skip


def time_of(entry: pb.LogEntry) -> str:
    """Show when an entry was, in UTC, to the millisecond."""
    seconds, rest = divmod(entry.unix_nanos, 1_000_000_000)
    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d}"


def _word(severity: link_pb2.Severity) -> str:
    known = severity in link_pb2.Severity.values() and severity != link_pb2.SEVERITY_UNSPECIFIED
    return link_pb2.Severity.Name(severity).removeprefix("SEVERITY_").lower() if known else "-"


def _wide(now: int, most: int, lengths: Iterable[int]) -> int:
    return max(now, min(most, max(lengths, default=0)))
