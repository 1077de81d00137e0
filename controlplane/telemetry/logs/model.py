"""What a log store is: entries, questions about them, and pages of answers."""

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from solward.hosts.v1 import link_pb2

from controlplane.store.events import WITHIN_MS, Stored

NS_OF_MS = 1_000_000
# Entries of one look into a store, and of all the looks that one page may take.
PART = 1_000
MOST_LOOKED = 20_000
NAME_LENGTH = 64
_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")
# Of severities, from none stated to critical.
LEVELS = ("unknown", "info", "warning", "error", "critical")


class LogsDown(Exception):
    """The store does not answer, or cannot now; `retry_s` is when it may again, in seconds, where that is known."""

    def __init__(self, message: str, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_s = retry_s


class LogQueryRefused(Exception):
    """The store answers, and will not answer this question."""


class LogEntry(NamedTuple):
    """An event and when it was.

    Attributes:
        unix_ns: nanoseconds since the epoch; below the millisecond it only keeps entries in order and apart.
        host: the host's id.
        event: names of its attributes are as `field_name` makes them.
    """

    unix_ns: int
    host: str
    event: link_pb2.Event


class LogQuery(NamedTuple):
    """Which entries are wanted.

    Attributes:
        hosts: ids; None for every host.
        start_ns: from when on, nanoseconds since the epoch.
        end_ns: until just before when.
        min_severity: only those at least this grave.
        kind: only this kind, and those that begin with it and a dot; empty for all.
        text: only messages that contain it.
        fields: names of attributes and their whole values; all must hold.
        newest_first: the order.
    """

    hosts: frozenset[str] | None
    start_ns: int
    end_ns: int
    min_severity: int = 0
    kind: str = ""
    text: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    newest_first: bool = True

    def wants(self, entry: LogEntry) -> bool:
        """Whether an entry is wanted, whenever it was."""
        event = entry.event
        return (
            (self.hosts is None or entry.host in self.hosts)
            and event.severity >= self.min_severity
            and (not self.kind or event.kind == self.kind or event.kind.startswith(f"{self.kind}."))
            and self.text in event.message
            and all(event.attributes.get(name) == value for name, value in self.fields)
        )

    def beyond(self, unix_ns: int) -> "LogQuery":
        """Ask for what comes after an entry of a time, in the order asked for."""
        return self._replace(end_ns=unix_ns) if self.newest_first else self._replace(start_ns=unix_ns + 1)


class LogPage(NamedTuple):
    """Entries, and the time of the last one that was looked at where there may be more."""

    entries: list[LogEntry]
    reached_ns: int | None


class LogStore(Protocol):
    """Where logs are asked for."""

    async def query(self, query: LogQuery, limit: int) -> LogPage:
        """Give a page; it may be short of `limit`, or empty, although there is more.

        Raises: LogsDown, LogQueryRefused.
        """

    async def close(self) -> None:
        """Let go of connections."""


def field_name(name: str) -> str:
    """Make an attribute's name one that every store takes."""
    return _NO_NAME.sub("_", name)[:NAME_LENGTH] or "_"


def entry_of(stored: Stored) -> LogEntry:
    """Make the entry of an event that was stored; it is the same each time."""
    number, host, event = stored
    if any(field_name(name) != name for name in event.attributes):
        named = {field_name(name): value for name, value in sorted(event.attributes.items())}
        event = link_pb2.Event.FromString(event.SerializeToString())
        event.attributes.clear()
        event.attributes.update(named)
    return LogEntry(event.unix_ms * NS_OF_MS + number % WITHIN_MS, host, event)


async def gather(query: LogQuery, limit: int, look: Callable[[LogQuery, int], Awaitable[list[LogEntry]]]) -> LogPage:
    """Look at entries, part by part, until a page of wanted ones is full.

    Args:
        query: the question.
        limit: how long the page may be.
        look: gives at most so many entries of a query's time in its order, if it can without the unwanted ones.
    """
    kept: list[LogEntry] = []
    looked, size = 0, min(limit + 1, PART)
    while looked < MOST_LOOKED and query.start_ns < query.end_ns:
        part = await look(query, size)
        for place, entry in enumerate(part):
            query = query.beyond(entry.unix_ns)
            if query.wants(entry):
                kept.append(entry)
            if len(kept) == limit:
                more = place + 1 < len(part) or len(part) == size
                return LogPage(kept, entry.unix_ns if more else None)
        if len(part) < size:
            return LogPage(kept, None)
        looked, size = looked + len(part), PART
    reached = query.end_ns if query.newest_first else query.start_ns - 1
    return LogPage(kept, reached if query.start_ns < query.end_ns else None)
