"""The provider's signing keys: fetched, kept for a while, fetched again once for a key that is not known."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from controlplane.identity.oidc.outbound import OutboundError

# A key is good for so long after it was last seen at the provider.
FRESH_S = 3600.0
# While the provider does not answer, keys go on for so long; then nobody signs in.
STALE_S = 24 * 3600.0
# Between fetches for keys that are not known: anyone can name one.
COOLDOWN_S = 30.0
SIGNING = ("RSA", "EC", "OKP")


class KeyUnknown(Exception):
    """No key of the provider's has this name."""


class _Kept(NamedTuple):
    key: Key
    seen: float


class Keys:
    """Keeps the provider's keys by name.

    Args:
        fetch: gives the provider's JWK set; raises OutboundError.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[dict[str, Any]]], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._tried = float("-inf")
        self._down = False
        self._lock = asyncio.Lock()

    async def get(self, kid: str) -> Key:
        """Find a key by name; raises KeyUnknown, or OutboundError where the provider does not say."""
        async with self._lock:
            if not self._good(kid, FRESH_S) and self._now() - self._tried >= COOLDOWN_S:
                self._tried = self._now()
                try:
                    await self._refresh()
                    self._down = False
                except OutboundError:
                    self._down = True
                    if not self._good(kid, STALE_S):
                        raise
        if not self._good(kid, STALE_S if self._down else FRESH_S):
            raise KeyUnknown
        return self._kept[kid].key

    def _good(self, kid: str, life_s: float) -> bool:
        kept = self._kept.get(kid)
        return kept is not None and self._now() - kept.seen < life_s

    async def _refresh(self) -> None:
        found = (await self._fetch()).get("keys")
        now = self._now()
        for entry in found if isinstance(found, list) else []:
            key = _read(entry)
            if key is not None:
                self._kept[str(entry.get("kid", ""))] = _Kept(key, now)
        # A key that the provider shows no more is good until it was fresh.
        self._kept = {kid: one for kid, one in self._kept.items() if now - one.seen < FRESH_S}


def _read(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or entry.get("kty") not in SIGNING or entry.get("use", "sig") != "sig":
        return None
    try:
        return import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
