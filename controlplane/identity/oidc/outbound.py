"""Requests to addresses that somebody else names: no redirects, no addresses within, bounded answers."""

import base64
import ipaddress
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from common.breaker import Breaker, BreakerOpen

CALL_SECONDS = 5.0
MAX_ANSWER = 1 << 20


class OutboundError(Exception):
    """A request that was not made, or not answered as it must be; the words hold no secret."""


def allowed_address(address: str, *, private: bool) -> bool:
    """Whether an address may be called.

    Args:
        private: whether private networks and loopback may be, which is for who set them so.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified:
        # A cloud's metadata service answers on a link-local address.
        return False
    return private or parsed.is_global


class _Resolver(AbstractResolver):
    """Looks names up, and gives only addresses that may be called; what is connected to is what was judged."""

    def __init__(self, *, private: bool) -> None:
        self._inner = DefaultResolver()
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up; raises OSError where nothing may be called."""
        found = await self._inner.resolve(host, port, family)
        good = [one for one in found if allowed_address(one["host"], private=self._private)]
        if not good:
            raise OSError(None, "the name stands for an address that may not be called")
        return good

    async def close(self) -> None:
        """Close the inner one."""
        await self._inner.close()


class Outbound:
    """An HTTP client for one peer, with a deadline and a breaker.

    Args:
        name: the peer, for messages.
        private: whether it may stand in a private network, or on loopback.
    """

    def __init__(self, name: str, *, private: bool) -> None:
        self._name = name
        self._private = private
        self.breaker = Breaker(name)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close every connection."""
        self.breaker.close()
        if self._session:
            await self._session.close()
            self._session = None

    async def get(self, url: str) -> dict[str, Any]:
        """Get a JSON object; raises OutboundError."""
        status, answer = await self._ask("GET", url)
        if status != 200:
            raise OutboundError(f"{self._name} answers with HTTP {status}")
        return answer

    async def post(self, url: str, form: Mapping[str, str], auth: tuple[str, str] | None) -> tuple[int, dict[str, Any]]:
        """Post a form; gives the status and the JSON object of the answer; raises OutboundError."""
        # RFC 6749 §2.3.1: both are form-encoded before they are joined.
        pair = ":".join(map(quote_plus, auth)) if auth else ""
        headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"} if pair else {}
        return await self._ask("POST", url, data=dict(form), headers=headers)

    async def _ask(self, method: str, url: str, **more: Any) -> tuple[int, dict[str, Any]]:
        self._refuse_bad(url)
        try:
            self.breaker.before()
            async with self._client().request(method, url, allow_redirects=False, **more) as answer:
                body = await answer.content.read(MAX_ANSWER + 1)
                while len(body) <= MAX_ANSWER and (chunk := await answer.content.read(MAX_ANSWER)):
                    body += chunk
                status = answer.status
        except BreakerOpen as error:
            raise OutboundError(str(error)) from None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            self.breaker.failed()
            raise OutboundError(f"{self._name} does not answer ({type(error).__name__})") from None
        if status >= 500 or 300 <= status < 400 or len(body) > MAX_ANSWER:
            self.breaker.failed()
            raise OutboundError(f"{self._name} answers with HTTP {status}, {len(body)} bytes")
        self.breaker.succeeded()
        return status, _object(self._name, body)

    def _refuse_bad(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        literal = host.replace(".", "").isdigit() or ":" in host
        if parts.scheme not in ("https", *(("http",) if self._private else ())) or not host or parts.username:
            raise OutboundError(f"{self._name} names an address that is no https URL")
        if literal and not allowed_address(host, private=self._private):
            raise OutboundError(f"{self._name} names an address that may not be called")

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=_Resolver(private=self._private))
            timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self._session


def _object(name: str, body: bytes) -> dict[str, Any]:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        raise OutboundError(f"{name} answers with something that is no JSON") from None
    if not isinstance(read, dict):
        raise OutboundError(f"{name} answers with JSON that is no object")
    return read
