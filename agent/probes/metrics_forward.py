"""Sends what the validator posted on to another InfluxDB: the Foundation asks nodes to report to its own."""

import asyncio
import ssl
from collections import deque
from urllib.parse import urlencode, urlsplit

import h11
import structlog

from agent.logs import metrics_config
from agent.probes.base import Series, Sink
from common.breaker import Breaker, BreakerOpen

log = structlog.get_logger(__name__)

SEND_S = 10.0
# A validator posts every 10 s; what cannot be sent for longer than five minutes is dropped, the oldest first.
MAX_WAITING = 30

SENT = {
    outcome: Series.counting("solana_metrics_forwarded", outcome=outcome) for outcome in ("sent", "failed", "dropped")
}


class MetricsForward:
    """Holds posts until they are sent; never holds the validator up."""

    name = "metrics forward"

    def __init__(self, config: str) -> None:
        parts = metrics_config.parse(config)
        self._url = urlsplit(parts["host"])
        query = urlencode({"db": parts["db"], "u": parts["u"], "p": parts["p"], "precision": "n"})
        self._target = f"{self._url.path.rstrip('/')}/write?{query}"
        self._waiting: deque[bytes] = deque()
        self._new = asyncio.Event()
        self._dropped = 0
        self._breaker = Breaker("the forward of metrics")

    def add(self, body: bytes) -> None:
        """Take a post to send on."""
        self._waiting.append(body)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._new.set()

    async def run(self, sink: Sink) -> None:
        """Send what waits, in order, until cancelled."""
        while True:
            self._new.clear()
            while self._waiting:
                if self._dropped:
                    sink.sample(SENT["dropped"], float(self._dropped))
                    self._dropped = 0
                await self._send_one(sink, self._waiting[0])
            await self._new.wait()

    async def _send_one(self, sink: Sink, body: bytes) -> None:
        try:
            self._breaker.before()
            async with asyncio.timeout(SEND_S):
                status = await self._post(body)
        except BreakerOpen as open_:
            await asyncio.sleep(max(0.1, open_.retry_s))
            return
        except (OSError, TimeoutError, h11.ProtocolError) as error:
            self._breaker.failed()
            sink.sample(SENT["failed"], 1.0)
            log.debug("metrics could not be sent on", why=str(error) or type(error).__name__)
            await asyncio.sleep(1.0)
            return
        self._breaker.succeeded()
        # What the other side refuses it will refuse again.
        sink.sample(SENT["sent" if 200 <= status < 300 else "failed"], 1.0)
        if self._waiting and self._waiting[0] is body:
            self._waiting.popleft()

    async def _post(self, body: bytes) -> int:
        secure = self._url.scheme == "https"
        port = self._url.port or (443 if secure else 80)
        context = ssl.create_default_context() if secure else None
        reader, writer = await asyncio.open_connection(self._url.hostname, port, ssl=context)
        try:
            connection = h11.Connection(h11.CLIENT)
            headers = [
                ("host", self._url.netloc.rpartition("@")[2]),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            request = h11.Request(method="POST", target=self._target, headers=headers)
            for event in (request, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
            await writer.drain()
            while True:
                reply = connection.next_event()
                if isinstance(reply, h11.Response):
                    return reply.status_code
                if reply is h11.NEED_DATA:
                    connection.receive_data(await reader.read(1 << 14))
                elif not isinstance(reply, h11.InformationalResponse):
                    raise h11.RemoteProtocolError("the connection ended before an answer")
        finally:
            writer.close()
