"""A Loki over HTTP: one call at a time is watched by a breaker, and none lasts for ever."""

import asyncio
import base64
import email.utils
import math
import ssl
import time
from typing import NamedTuple

import aiohttp
import yarl

from common.breaker import Breaker, BreakerOpen
from controlplane.bodies import TooLong, read_body
from controlplane.telemetry.logs.model import LogsDown
from controlplane.telemetry.logs.settings import LokiSettings

CALL_SECONDS = 20.0
# The most that an answer may be long.
MAX_ANSWER = 64_000_000
# What it says of the request itself; asked again, it would say the same.
REFUSED = frozenset({400, 413, 414, 422})
LONGEST_RETRY_S = 60.0
WORDS = 300


class Answer(NamedTuple):
    """What Loki answered: taken, or refused for good."""

    taken: bool
    body: bytes

    @property
    def words(self) -> str:
        """What it said, as far as it is fit for a message."""
        text = self.body[:WORDS].decode(errors="replace")
        return "".join(character if character.isprintable() else " " for character in text).strip()


class Loki:
    """Calls one Loki.

    Args:
        settings: where it is, and who we are there.
        name: of its breaker.
    """

    def __init__(self, settings: LokiSettings, name: str) -> None:
        self._settings = settings
        self._url = yarl.URL(settings.url.rstrip("/"))
        self._breaker = Breaker(name)
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def call(self, path: str, data: bytes | dict[str, str], headers: dict[str, str] | None = None) -> Answer:
        """POST to a path below /loki/api/v1.

        Args:
            path: "push" or "query_range".
            data: a body, or the fields of a form.
            headers: besides our own.

        Raises: LogsDown, with the time until another try where Loki named one.
        """
        session = await self._opened()
        try:
            self._breaker.before()
            async with session.post(
                self._url / "loki/api/v1" / path, data=data, headers=headers, allow_redirects=False
            ) as reply:
                status, body, wait = (
                    reply.status,
                    await read_body(reply, MAX_ANSWER),
                    reply.headers.get("Retry-After", ""),
                )
        except BreakerOpen as error:
            raise LogsDown(str(error), error.retry_s) from None
        except (aiohttp.ClientError, OSError, TimeoutError, TooLong) as error:
            self._breaker.failed()
            # What the library says may repeat the URL.
            raise LogsDown(f"Loki does not answer ({type(error).__name__})") from None
        if status in (200, 204) or status in REFUSED:
            self._breaker.succeeded()
            return Answer(status not in REFUSED, body)
        if status == 429:
            # It is well, and wants less of us for a while.
            self._breaker.succeeded()
            raise LogsDown("Loki takes no more for a while (status 429): see its limits", retry_after(wait))
        self._breaker.failed()
        what = ": see loki.user, loki.token and loki.tenant" if status in (401, 403) else ""
        raise LogsDown(f"Loki answered with status {status}{what}", retry_after(wait))

    async def close(self) -> None:
        """Close every connection."""
        self._breaker.close()
        if self._session is not None:
            await self._session.close()

    async def _opened(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                try:
                    tls = await asyncio.to_thread(ssl.create_default_context, cafile=self._settings.ca_file)
                except OSError as error:
                    why = f"{self._settings.ca_file} cannot be read as PEM ({error.strerror or type(error).__name__})"
                    raise LogsDown(f"loki.ca_file: {why}") from None
                self._session = aiohttp.ClientSession(
                    headers=_headers(self._settings), connector=aiohttp.TCPConnector(ssl=tls), trust_env=False,
                    timeout=aiohttp.ClientTimeout(total=CALL_SECONDS, connect=5),
                )  # fmt: skip
            return self._session


def _headers(settings: LokiSettings) -> dict[str, str]:
    headers = {"X-Scope-OrgID": settings.tenant} if settings.tenant else {}
    if token := settings.token.get_secret_value():
        headers["Authorization"] = f"Bearer {token}"
    if settings.user:
        pair = f"{settings.user}:{settings.password.get_secret_value()}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return headers


def retry_after(text: str) -> float | None:
    """Read a Retry-After header, seconds or a date (RFC 9110, 10.2.3), as seconds from now; None for none."""
    try:
        seconds = (
            float(text) if text[:1].isdigit() else email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        )
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_S) if math.isfinite(seconds) else None
