"""Logs as a Loki keeps them: what was pushed there, for as long as it keeps it."""

import asyncio

from controlplane.telemetry.logs.loki import Loki
from controlplane.telemetry.logs.loki_wire import logql, read
from controlplane.telemetry.logs.model import LogEntry, LogPage, LogQuery, LogQueryRefused, LogsDown, gather


class LokiLogs:
    """Answers from a Loki; nothing but this fleet's entries of the hosts asked for comes out, whatever is in there.

    Args:
        loki: to be closed with this.
        cluster: the label that tells this fleet from others.
    """

    def __init__(self, loki: Loki, cluster: str) -> None:
        self._loki = loki
        self._cluster = cluster

    async def query(self, query: LogQuery, limit: int) -> LogPage:
        """Give a page: see LogStore."""
        return await gather(query, limit, self._look)

    async def close(self) -> None:
        """Close every connection."""
        await self._loki.close()

    async def _look(self, query: LogQuery, size: int) -> list[LogEntry]:
        asked = {
            "query": logql(query, self._cluster), "start": str(query.start_ns), "end": str(query.end_ns),
            "limit": str(size), "direction": "backward" if query.newest_first else "forward",
        }  # fmt: skip
        answer = await self._loki.call("query_range", asked)
        if not answer.taken:
            raise LogQueryRefused(f"Loki refused it: {answer.words}")
        try:
            return await asyncio.to_thread(read, answer.body, newest_first=query.newest_first)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise LogsDown(f"Loki gave an answer that is none ({type(error).__name__})") from None
