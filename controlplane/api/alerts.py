"""alerts.v1: what the logs said, and the alerts that were raised."""

from collections.abc import AsyncIterator

from solward.alerts.v1 import alerts_pb2 as pb
from solward.alerts.v1.alerts_pb2_grpc import AlertsServiceServicer

from common.clock import now_ms, timestamp
from common.names import host_name
from controlplane.alerts.book import Book
from controlplane.alerts.engine import SUBJECTS, AlertEngine
from controlplane.alerts.rules import SEVERITIES, Rule
from controlplane.api.lookup import find_host
from controlplane.api.paging import page_position, page_token
from controlplane.api.reach import Reach
from controlplane.guard.context import Context, caller, current_call
from controlplane.store.alerts import AlertRepository
from controlplane.store.events import EventRepository
from controlplane.store.hosts import HostRepository

EVENTS_PAGE = 50
ALERTS_PAGE = 100


class AlertsApi(AlertsServiceServicer):
    """Serves AlertsService."""

    def __init__(
        self, book: Book, engine: AlertEngine, stored: AlertRepository, events: EventRepository, hosts: HostRepository
    ) -> None:
        self._book = book
        self._engine = engine
        self._stored = stored
        self._events = events
        self._hosts = hosts

    async def ListEvents(self, request: pb.ListEventsRequest, context: Context) -> pb.ListEventsResponse:
        host_uid = (await find_host(self._hosts, request.host)).uid if request.host else ""
        position = page_position(request, int, int, int)
        before = (position[0], position[1], position[2]) if position else None
        size = request.page_size or EVENTS_PAGE
        found = await self._events.page(host_uid, request.min_severity, before, size + 1)
        more = page_token(request, list(found[size - 1][0])) if len(found) > size else ""
        reach = await Reach.of_caller(self._hosts)
        named = [(host_name(name), event) for _, name, event in found[:size]]
        events = [pb.HostEvent(host=name, event=event) for name, event in named if reach.sees(name)]
        return pb.ListEventsResponse(events=events, next_page_token=more)

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Context) -> pb.ListAlertsResponse:
        if request.host:
            await find_host(self._hosts, request.host)
        position = page_position(request, int, int, str)
        after = (position[0], position[1], position[2]) if position else None
        size = request.page_size or ALERTS_PAGE
        found = await self._stored.page(request.host, resolved=request.resolved, after=after, size=size + 1)
        more = page_token(request, list(found[size - 1][0])) if len(found) > size else ""
        # What fires is newer in the book than in the store: when it was last seen changes all the time.
        reach = await Reach.of_caller(self._hosts)
        alerts = [self._book.open.get(alert.name, alert) for _, alert in found[:size] if reach.sees(alert.host)]
        return pb.ListAlertsResponse(alerts=alerts, next_page_token=more)

    async def WatchAlerts(
        self, request: pb.WatchAlertsRequest, context: Context
    ) -> AsyncIterator[pb.WatchAlertsResponse]:
        if request.host:
            await find_host(self._hosts, request.host)

        def wanted(alert: pb.Alert) -> bool:
            return request.host in ("", alert.host) and (request.silenced or not alert.silence)

        async for group in self._book.watch(wanted):
            # Anew each time: a grant may have ended, and another still hold the stream open.
            reach = await Reach.of_caller(self._hosts)
            if seen := [alert for alert in group if reach.sees(alert.host)]:
                yield pb.WatchAlertsResponse(alerts=seen)

    async def AcknowledgeAlert(self, request: pb.AcknowledgeAlertRequest, context: Context) -> pb.Alert:
        return await self._book.acknowledge(request.name, caller().name, request.comment)

    async def ListAlertRules(self, request: pb.ListAlertRulesRequest, context: Context) -> pb.ListAlertRulesResponse:
        return pb.ListAlertRulesResponse(rules=[_rule(rule) for rule in self._engine.rules])

    async def CreateSilence(self, request: pb.CreateSilenceRequest, context: Context) -> pb.Silence:
        if request.host:
            await find_host(self._hosts, request.host)
        self._engine.must_know(request.rule)
        now = now_ms()
        silence = pb.Silence(
            rule=request.rule, host=request.host, reason=request.reason, creator=caller().name,
            create_time=timestamp(now), end_time=timestamp(now + request.seconds * 1000),
        )  # fmt: skip
        made = await self._book.silence(silence)
        current_call().notes.update(silence=made.name)
        return made

    async def ListSilences(self, request: pb.ListSilencesRequest, context: Context) -> pb.ListSilencesResponse:
        reach = await Reach.of_caller(self._hosts)
        seen = [silence for silence in self._book.silences.values() if reach.sees(silence.host)]
        return pb.ListSilencesResponse(silences=seen)

    async def EndSilence(self, request: pb.EndSilenceRequest, context: Context) -> pb.Silence:
        return await self._book.end_silence(request.name)


def _rule(rule: Rule) -> pb.AlertRule:
    return pb.AlertRule(
        name=rule.name, severity=SEVERITIES[rule.severity], subject=SUBJECTS[rule.subject], summary=rule.summary,
        advice=rule.advice, condition=rule.trigger.words(), for_seconds=rule.for_seconds,
        resolve_seconds=rule.resolve_seconds, cooldown_seconds=rule.cooldown_seconds,
    )  # fmt: skip
