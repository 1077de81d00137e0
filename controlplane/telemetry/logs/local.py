"""Logs as the state store keeps them: everything that arrived, until it is pruned."""

from controlplane.store.events import EventRepository, Moment
from controlplane.telemetry.logs.model import NS_OF_MS, LogEntry, LogPage, LogQuery, entry_of, gather


class LocalLogs:
    """Answers from the events of the state store."""

    def __init__(self, events: EventRepository) -> None:
        self._events = events

    async def query(self, query: LogQuery, limit: int) -> LogPage:
        """Give a page: see LogStore."""
        return await gather(query, limit, self._look)

    async def close(self) -> None:
        """It has nothing of its own."""

    async def _look(self, query: LogQuery, size: int) -> list[LogEntry]:
        named = None if query.hosts is None else sorted(query.hosts)
        found = await self._events.between(
            Moment(*divmod(query.start_ns, NS_OF_MS)), Moment(*divmod(query.end_ns, NS_OF_MS)), named=named,
            min_severity=query.min_severity, newest_first=query.newest_first, size=size,
        )  # fmt: skip
        return list(map(entry_of, found))
