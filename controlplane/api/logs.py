"""metrics.v1: logs of the fleet, asked for and followed, as far as the caller reaches."""

from collections.abc import AsyncIterator

import grpc
from solward.hosts.v1 import link_pb2
from solward.metrics.v1 import logs_pb2 as pb
from solward.metrics.v1.logs_pb2_grpc import LogsServiceServicer

from common.clock import now_ms
from common.errors import SolwardError
from common.names import host_id, host_name
from controlplane.api.lookup import find_host
from controlplane.api.paging import page_position, page_token
from controlplane.api.reach import Reach, must_reach_named
from controlplane.guard.context import Context
from controlplane.store.hosts import HostRepository
from controlplane.telemetry.logs.model import (
    NS_OF_MS,
    LogEntry,
    LogPage,
    LogQuery,
    LogQueryRefused,
    LogsDown,
    LogStore,
    field_name,
)
from controlplane.telemetry.logs.running import Logs

PAGE = 100
HOUR_NS = 3_600_000 * NS_OF_MS
# Entries of one message of a stream.
TOGETHER = 100
Asked = pb.QueryLogsRequest | pb.TailLogsRequest


class LogsApi(LogsServiceServicer):
    """Serves LogsService.

    Args:
        hosts: to know which ones a caller may see.
        logs: where questions are answered, and entries are followed.
    """

    def __init__(self, hosts: HostRepository, logs: Logs) -> None:
        self._hosts = hosts
        self._logs = logs

    async def QueryLogs(self, request: pb.QueryLogsRequest, context: Context) -> pb.QueryLogsResponse:
        # The first page says until when; else the next ones would be about another hour.
        position = page_position(request, int, int, int)
        end = request.end_time.ToNanoseconds() if request.HasField("end_time") else (now_ms() + 1) * NS_OF_MS
        start = request.start_time.ToNanoseconds() if request.HasField("start_time") else end - HOUR_NS
        query = (await self._query(request))._replace(newest_first=not request.oldest_first)
        query = query._replace(start_ns=position[0] if position else start, end_ns=position[1] if position else end)
        _must_be_in_order(query)
        page = await _ask(self._logs.store, query.beyond(position[2]) if position else query, request.page_size or PAGE)
        more = "" if page.reached_ns is None else page_token(request, [query.start_ns, query.end_ns, page.reached_ns])
        return pb.QueryLogsResponse(entries=map(_entry, page.entries), next_page_token=more)

    async def TailLogs(self, request: pb.TailLogsRequest, context: Context) -> AsyncIterator[pb.TailLogsResponse]:
        query = await self._query(request)
        now = now_ms() * NS_OF_MS
        start = request.start_time.ToNanoseconds() if request.HasField("start_time") else now - HOUR_NS
        # Listening comes first: what arrives while the latest entries are read is then heard, and told once.
        with self._logs.feed.listening() as listener:
            latest = query._replace(start_ns=start, end_ns=now + HOUR_NS)
            page = await _ask(self._logs.local, latest, request.backlog) if request.backlog else LogPage([], None)
            known = {(entry.unix_ns, entry.host) for entry in page.entries}
            for begin in range(0, len(page.entries), TOGETHER):
                told = page.entries[::-1][begin : begin + TOGETHER]
                yield pb.TailLogsResponse(entries=map(_entry, told))
            while True:
                heard = [entry for entry in await listener.next() if (entry.unix_ns, entry.host) not in known]
                if not any(map(query._replace(hosts=None).wants, heard)):
                    continue
                # Anew each time: a grant may have begun or ended.
                query = query._replace(hosts=await self._reached(request))
                if wanted := [entry for entry in heard if query.wants(entry)]:
                    yield pb.TailLogsResponse(entries=map(_entry, wanted))

    async def _query(self, asked: Asked) -> LogQuery:
        if asked.min_severity not in link_pb2.Severity.values():
            raise _refused("min_severity", "is none that is known")
        reach = await Reach.of_caller(self._hosts)
        must_reach_named(asked.hosts, reach)
        for name in asked.hosts:
            await find_host(self._hosts, name)
        fields = tuple((field_name(name), value) for name, _, value in (text.partition("=") for text in asked.fields))
        return LogQuery(
            await self._reached(asked), 0, 0, asked.min_severity, asked.kind, asked.text, fields,
        )  # fmt: skip

    async def _reached(self, asked: Asked) -> frozenset[str] | None:
        """Give the hosts that are asked for and that the caller reaches; None for every one, those to come included."""
        reach = await Reach.of_caller(self._hosts)
        if reach.whole and not asked.hosts:
            return None
        return frozenset(map(host_id, filter(reach.sees, asked.hosts or reach.hosts)))


async def _ask(store: LogStore, query: LogQuery, limit: int) -> LogPage:
    if query.hosts is not None and not query.hosts:
        return LogPage([], None)
    try:
        return await store.query(query, limit)
    except LogQueryRefused as error:
        raise SolwardError(grpc.StatusCode.INVALID_ARGUMENT, "LOG_QUERY_REFUSED", str(error)) from None
    except LogsDown as error:
        raise SolwardError(
            grpc.StatusCode.UNAVAILABLE, "LOGS_DOWN",
            f"{error}: try again in a moment; what arrives is kept meanwhile, and ctl logs --follow shows it",
            retry_after_s=error.retry_s,
        ) from None  # fmt: skip


def _entry(entry: LogEntry) -> pb.LogEntry:
    return pb.LogEntry(host=host_name(entry.host), unix_nanos=entry.unix_ns, event=entry.event)


def _must_be_in_order(query: LogQuery) -> None:
    if not 0 <= query.start_ns < query.end_ns < 2**63:
        raise _refused("start_time", "must be before end_time, and neither before 1970 nor after 2262")


def _refused(field: str, why: str) -> SolwardError:
    return SolwardError(
        grpc.StatusCode.INVALID_ARGUMENT, "LOG_QUERY_REFUSED", f"{field} {why}", {"field": field}, ((field, why),)
    )
