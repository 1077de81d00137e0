"""The book of alerts: as they stand, in memory and in the store, and whoever watches them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable

import grpc
import structlog
from solward.alerts.v1 import alerts_pb2 as pb

from common.clock import now_ms
from common.errors import SolwardError
from common.names import user_name
from controlplane.store.alerts import AlertRepository

log = structlog.get_logger(__name__)

# Changes that may wait for a watcher who does not read.
QUEUE = 1_000
# For so long a notice waits for somebody else than who caused it.
OTHERS_MS = 24 * 3_600_000


class Book:
    """Changes alerts and silences, stores each change, and tells watchers."""

    def __init__(self, repository: AlertRepository) -> None:
        self._repository = repository
        self.open: dict[str, pb.Alert] = {}
        self.silences: dict[str, pb.Silence] = {}
        self._unsaved: dict[str, pb.Alert] = {}
        self._watchers: set[asyncio.Queue[list[pb.Alert] | None]] = set()

    async def load(self) -> None:
        """Read what fired and what was silenced when the last process ended."""
        self.open = {alert.name: alert for alert in await self._repository.firing()}
        self.silences = {silence.name: silence for silence in await self._repository.silences(now_ms())}

    async def put(self, alerts: list[pb.Alert]) -> None:
        """Note alerts as they now stand, tell watchers of them together, and store them.

        What the store does not take is kept, and stored with the next look: an alert is told though the disk be full.
        """
        for alert in alerts:
            alert.silence = self._silence_of(alert)
            self._unsaved[alert.name] = alert
            if alert.state == pb.ALERT_STATE_FIRING:
                self.open[alert.name] = alert
            else:
                self.open.pop(alert.name, None)
        self._tell(alerts)
        await self.save_rest()

    async def save_rest(self) -> None:
        """Store what has changed and is not stored yet."""
        for name, alert in list(self._unsaved.items()):
            try:
                await self._repository.save(alert)
            except Exception:
                log.exception("an alert could not be stored; trying again", alert=name, waiting=len(self._unsaved))
                return
            # It may have changed again meanwhile.
            if self._unsaved.get(name) is alert:
                del self._unsaved[name]

    async def get(self, name: str) -> pb.Alert:
        """Find an alert; SolwardError ALERT_NOT_FOUND if there is none."""
        alert = self.open.get(name) or await self._repository.get(name)
        if alert is None:
            raise SolwardError(grpc.StatusCode.NOT_FOUND, "ALERT_NOT_FOUND", f"there is no {name}", {"name": name})
        return alert

    async def acknowledge(self, name: str, who: str, comment: str) -> pb.Alert:
        """Note who looks after an alert; one that is over needs nobody."""
        alert = await self.get(name)
        if alert.state != pb.ALERT_STATE_FIRING:
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION, "ALERT_RESOLVED", f"{name} is resolved already", {"name": name}
            )
        if _is_notice(alert) and alert.detail == user_name(who) and now_ms() < _known_ms(alert):
            raise SolwardError(
                grpc.StatusCode.PERMISSION_DENIED, "OWN_NOTICE",
                f"{name} is for others to know what you did: one of them acknowledges it, or you after a day",
                {"name": name},
            )  # fmt: skip
        alert.acknowledged_by, alert.comment = who, comment
        alert.acknowledge_time.FromMilliseconds(now_ms())
        if _is_notice(alert):
            # It is over when somebody knows of it.
            alert.state = pb.ALERT_STATE_RESOLVED
            alert.resolve_time.FromMilliseconds(now_ms())
        await self.put([alert])
        return alert

    async def silence(self, silence: pb.Silence) -> pb.Silence:
        """Begin a silence; alerts that fire and that it covers are quiet from now on."""
        silence.name = f"silences/{uuid.uuid4().hex}"
        await self._repository.save_silence(silence)
        self.silences[silence.name] = silence
        await self.put(self._changed_by_silences())
        return silence

    async def end_silence(self, name: str) -> pb.Silence:
        """End a silence now."""
        silence = self.silences.get(name)
        if silence is None:
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND, "SILENCE_NOT_FOUND", f"there is no {name} that holds", {"name": name}
            )
        silence.end_time.FromMilliseconds(now_ms())
        await self._repository.save_silence(silence)
        await self.expire(now_ms())
        return silence

    async def expire(self, now: int) -> None:
        """Let go of silences whose time is over; their alerts are told then."""
        over = [name for name, silence in self.silences.items() if silence.end_time.ToMilliseconds() <= now]
        for name in over:
            del self.silences[name]
        if over:
            await self.put(self._changed_by_silences())

    async def watch(self, wanted: Callable[[pb.Alert], bool]) -> AsyncIterator[list[pb.Alert]]:
        """Give what fires now, and then every change; changes that came together stay together."""
        queue: asyncio.Queue[list[pb.Alert] | None] = asyncio.Queue(QUEUE)
        self._watchers.add(queue)
        try:
            groups = [_copies(self.open.values())]
            while True:
                for group in groups:
                    if found := [alert for alert in group if wanted(alert)]:
                        yield found
                changed = await queue.get()
                if changed is None:
                    raise SolwardError(
                        grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_SLOW", "the watcher did not read: begin again"
                    )
                groups = _by_rule(changed)
        finally:
            self._watchers.discard(queue)

    def _tell(self, alerts: list[pb.Alert]) -> None:
        if not alerts:
            return
        copies = _copies(alerts)
        for queue in list(self._watchers):
            if queue.full():
                queue.get_nowait()
                queue.put_nowait(None)
                self._watchers.discard(queue)
            else:
                queue.put_nowait(copies)

    def _changed_by_silences(self) -> list[pb.Alert]:
        return [alert for alert in self.open.values() if alert.silence != self._silence_of(alert)]

    def _silence_of(self, alert: pb.Alert) -> str:
        if _is_notice(alert):
            # What somebody did to the control plane itself cannot be kept quiet beforehand.
            return ""
        for silence in self.silences.values():
            if silence.rule in ("", alert.rule) and silence.host in ("", alert.host):
                return silence.name
        return ""


def _is_notice(alert: pb.Alert) -> bool:
    return alert.subject == pb.ALERT_SUBJECT_CONTROL_PLANE


def _known_ms(alert: pb.Alert) -> int:
    """Say until when only others may acknowledge a notice; a team of one must be able to, some time."""
    return alert.fire_time.ToMilliseconds() + OTHERS_MS


def _copies(alerts: Iterable[pb.Alert]) -> list[pb.Alert]:
    copies = []
    for alert in alerts:
        copy = pb.Alert()
        copy.CopyFrom(alert)
        copies.append(copy)
    return copies


def _by_rule(alerts: list[pb.Alert]) -> list[list[pb.Alert]]:
    groups: dict[tuple[str, int], list[pb.Alert]] = {}
    for alert in alerts:
        groups.setdefault((alert.rule, alert.state), []).append(alert)
    return list(groups.values())
