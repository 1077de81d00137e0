"""The agent's own log on the road up: its lines become events of the kind `agent.log`, few and without secrets.

What the link says of its own trouble is told at most once in a while: otherwise a control plane that is away would fill
the spool with the news that it is away.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple

from solward.hosts.v1 import link_pb2

from agent.logs.clean import MAX_MESSAGE, clean
from agent.probes.base import Sink
from common.clock import now_ms
from common.names import AGENT_LOG

SEVERITIES = {
    "info": link_pb2.SEVERITY_INFO, "warning": link_pb2.SEVERITY_WARNING, "error": link_pb2.SEVERITY_ERROR,
    "critical": link_pb2.SEVERITY_CRITICAL,
}  # fmt: skip
MOST_A_MINUTE = 60
# Lines that may wait to be told.
WAITING = 1_000
DRAIN_SECONDS = 0.5
LINK = "agent.link."
LINK_AGAIN_S = 600.0
MAX_FIELDS = 16
MAX_VALUE = 512
_SECRET_NAME = re.compile(r"token|secret|passw|pwd|key|auth|cookie|seed|credential", re.IGNORECASE)
# Not fields: they have places of their own.
_OWN = frozenset({"event", "level", "timestamp"})


class _Line(NamedTuple):
    logger: str
    level: str
    unix_ms: int
    said: dict[str, Any]


class OwnLog:
    """Takes lines from structlog, on any thread, and hands them to the sink on the loop."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._waiting: deque[_Line] = deque(maxlen=WAITING)
        self._minute = 0
        self._told = self._left_out = 0
        # Of the link's lines: when each was told last, and how often it came since.
        self._link: dict[str, tuple[float, int]] = {}

    def __call__(self, logger: Any, _method: str, said: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """See a line as a processor of structlog does; it stays as it is."""
        level = str(said.get("level", ""))
        if level in SEVERITIES:
            self._waiting.append(_Line(getattr(logger, "name", ""), level, now_ms(), dict(said)))
        return said

    async def run(self, sink: Sink) -> None:
        """Hand lines over until cancelled."""
        while True:
            await asyncio.sleep(DRAIN_SECONDS)
            self.drain(sink)

    def drain(self, sink: Sink) -> None:
        """Hand over what waits."""
        minute = int(self._monotonic() // 60)
        if minute != self._minute:
            if self._left_out:
                sink.event(_left_out(self._left_out))
            self._minute, self._told, self._left_out = minute, 0, 0
        while self._waiting:
            line = self._waiting.popleft()
            times = self._times(line)
            if not times:
                continue
            if self._told == MOST_A_MINUTE:
                self._left_out += 1
                continue
            self._told += 1
            sink.event(_event(line, times))

    def _times(self, line: _Line) -> int:
        """Say for how many lines this one stands; 0 where it is counted and told later."""
        if not line.logger.startswith(LINK):
            return 1
        now, text = self._monotonic(), str(line.said.get("event", ""))
        told, times = self._link.get(text, (-LINK_AGAIN_S, 0))
        if now - told < LINK_AGAIN_S:
            self._link[text] = (told, times + 1)
            return 0
        if len(self._link) >= WAITING:
            self._link.clear()
        self._link[text] = (now, 0)
        return times + 1


def _event(line: _Line, times: int) -> link_pb2.Event:
    fields = {"logger": line.logger} | {name: value for name, value in line.said.items() if name not in _OWN}
    return link_pb2.Event(
        kind=AGENT_LOG, unix_ms=line.unix_ms, message=clean(str(line.said.get("event", ""))), area="agent",
        severity=SEVERITIES[line.level], times=times,
        attributes={name[:64]: _value(name, value) for name, value in list(fields.items())[:MAX_FIELDS]},
    )  # fmt: skip


def _value(name: str, value: Any) -> str:
    if _SECRET_NAME.search(name):
        return "[redacted]"
    text = str(value)
    # The end of a traceback says what went wrong.
    return clean(text[-MAX_MESSAGE:]) if name == "exception" else clean(text)[:MAX_VALUE]


def _left_out(count: int) -> link_pb2.Event:
    return link_pb2.Event(
        kind=AGENT_LOG, unix_ms=now_ms(), message="more lines than are told were logged", area="agent",
        severity=link_pb2.SEVERITY_WARNING, times=1, attributes={"logger": __name__, "lines": str(count)},
    )  # fmt: skip
