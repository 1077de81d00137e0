"""One receiver over HTTP: what it answered to one request, and whether it is of use to ask again."""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import aiohttp
import yarl

from common.breaker import Breaker, BreakerOpen
from controlplane.telemetry.logs.loki import retry_after
from controlplane.telemetry.remote_write.settings import ReceiverSettings
from controlplane.telemetry.remote_write.wire import Protocol, Request, headers

CALL_SECONDS = 30.0
# The most of an answer that is read.
_ANSWER_BYTES = 4096
_WORDS = 300
_AGENT = "solward-controlplane"
_WRITTEN = "X-Prometheus-Remote-Write-"


class ReceiverDown(Exception):
    """It did not take it now, and may later: after `retry_s` seconds, where that is known."""

    def __init__(self, why: str, retry_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_s = retry_s


@dataclass(frozen=True, slots=True)
class Answer:
    """What it answered.

    Attributes:
        verdict: taken; refused for good; or not said to be understood, as of who does not have protocol 2.0.
        written: how many samples and histograms it says it has written; None where it does not say.
        words: why it refused.
    """

    verdict: Literal["taken", "refused", "unknown_protocol"]
    written: int | None = None
    words: str = ""


class Receiver:
    """Sends requests to one receiver.

    Args:
        settings: where it is, and who we are there.
    """

    def __init__(self, settings: ReceiverSettings) -> None:
        self.name = settings.name
        self._settings = settings
        self._url = yarl.URL(settings.url)
        self._breaker = Breaker(f"remote write to {settings.name}", longest_s=30.0)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request, protocol: Protocol) -> Answer:
        """Send one request. Raises ReceiverDown."""
        session = await self._opened()
        try:
            self._breaker.before()
            async with session.post(
                self._url, data=request.body, headers=headers(protocol), allow_redirects=False
            ) as reply:
                status, told = reply.status, reply.headers
                words = await reply.content.read(_ANSWER_BYTES)
        except BreakerOpen as error:
            raise ReceiverDown(str(error), error.retry_s) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._breaker.failed()
            # What the library says may repeat the URL.
            raise ReceiverDown(f"it does not answer ({type(error).__name__})") from None
        if status == 429:
            # It is well, and wants less of us for a while.
            self._breaker.succeeded()
            raise ReceiverDown("it takes no more for a while (status 429)", retry_after(told.get("Retry-After", "")))
        if status >= 500:
            self._breaker.failed()
            raise ReceiverDown(f"it answered with status {status}", retry_after(told.get("Retry-After", "")))
        if status in (401, 403):
            # What it knows us by may be put right there, and then nothing needs to be lost.
            self._breaker.failed()
            raise ReceiverDown(f"it does not let us in (status {status}): see its user, token and headers")
        self._breaker.succeeded()
        written = _written(told)
        if 200 <= status < 300:
            return Answer("taken" if protocol == "v1" or written is not None else "unknown_protocol", written)
        if protocol == "v2" and written is None and status in (400, 415):
            return Answer("unknown_protocol", words=_said(status, words))
        return Answer("refused", written, _said(status, words))

    async def close(self) -> None:
        """Close every connection."""
        self._breaker.close()
        if self._session is not None:
            await self._session.close()

    async def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            try:
                tls = await asyncio.to_thread(ssl.create_default_context, cafile=self._settings.ca_file)
            except OSError as error:
                why = f"{self._settings.ca_file} cannot be read as PEM ({error.strerror or type(error).__name__})"
                raise ReceiverDown(f"its ca_file: {why}") from None
            self._session = aiohttp.ClientSession(
                headers=_credentials(self._settings), connector=aiohttp.TCPConnector(ssl=tls, limit=1), trust_env=False,
                timeout=aiohttp.ClientTimeout(total=CALL_SECONDS, connect=5),
            )  # fmt: skip
        return self._session


def _credentials(settings: ReceiverSettings) -> dict[str, str]:
    own = {name: value.get_secret_value() for name, value in settings.headers.items()}
    own["User-Agent"] = _AGENT
    if token := settings.token.get_secret_value():
        own["Authorization"] = f"Bearer {token}"
    if settings.user:
        pair = f"{settings.user}:{settings.password.get_secret_value()}"
        own["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return own


def _written(told: Mapping[str, str]) -> int | None:
    """Add up what a receiver of protocol 2.0 says it wrote."""
    counts = [told.get(f"{_WRITTEN}{what}-Written", "") for what in ("Samples", "Histograms")]
    known = [int(count) for count in counts if count.isascii() and count.isdigit()]
    return sum(known) if known else None


def _said(status: int, body: bytes) -> str:
    text = body[:_WORDS].decode(errors="replace")
    return f"status {status}: " + "".join(one if one.isprintable() else " " for one in text).strip()
