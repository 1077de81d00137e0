"""What an error of a block engine means for a bundle.

The words are those that public clients of the engine have met, in lower case; the engine documents no codes of its own.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

import grpc

RETRY_AFTER_KEY = "x-wait-to-retry-ms"
_RETRY_AFTER = re.compile(r"retry after (\d{1,9}) ?ms")
_LONGEST = 300

Received = Literal["no", "maybe", "yes"]


class Verdict(NamedTuple):
    """What came of one try.

    Attributes:
        reason: stable, for programs.
        message: what the engine said.
        retry: the same transactions may be sent again.
        limited: it was one call too many; `wait_s` is the wait that was asked for.
        received: whether the engine has the bundle all the same.
    """

    reason: str
    message: str
    retry: bool = False
    limited: bool = False
    wait_s: float | None = None
    received: Received = "no"


class SendFailed(Exception):
    """A try that was not acknowledged."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


# (pattern, reason, whether to try again)
_WORDS: tuple[tuple[str, str, bool], ...] = (
    # Of the results stream alone: nothing else is slowed down for it.
    ("bundle result connections", "STREAMS_FULL", True),
    ("too many open connections", "STREAMS_FULL", True),
    ("globally rate limited", "GLOBALLY_RATE_LIMITED", True),
    ("rate limit exceeded", "RATE_LIMITED", True),
    ("expired blockhash", "BLOCKHASH_EXPIRED", False),
    ("invalid blockhash", "BLOCKHASH_EXPIRED", False),
    ("blockhash not found", "BLOCKHASH_EXPIRED", False),
    ("already processed transaction", "ALREADY_PROCESSED", False),
    ("write lock at least one tip account", "NO_TIP_ACCOUNT", False),
    ("does not lock any of the tip", "NO_TIP_ACCOUNT", False),
    ("max transaction length", "TOO_MANY_TRANSACTIONS", False),
    ("maximum number of transactions", "TOO_MANY_TRANSACTIONS", False),
    ("duplicate transactions", "DUPLICATE_OR_UNSIGNED", False),
    ("could not be decoded", "NOT_DECODED", False),
    ("too many account locks", "TOO_MANY_LOCKS", False),
    ("no connected leader", "NO_LEADER_SOON", True),
    (r"transaction \S+ is invalid", "NOT_DECODED", False),
)
_LIMITS = ("GLOBALLY_RATE_LIMITED", "RATE_LIMITED")
_CODES: dict[grpc.StatusCode, tuple[str, bool, Received]] = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: ("RATE_LIMITED", True, "no"),
    grpc.StatusCode.INVALID_ARGUMENT: ("BUNDLE_REFUSED", False, "no"),
    grpc.StatusCode.UNAVAILABLE: ("REGION_UNAVAILABLE", True, "maybe"),
    grpc.StatusCode.DEADLINE_EXCEEDED: ("REGION_SILENT", True, "maybe"),
    grpc.StatusCode.UNAUTHENTICATED: ("AUTH_REFUSED", True, "no"),
    grpc.StatusCode.PERMISSION_DENIED: ("AUTH_REFUSED", True, "no"),
}
# JSON-RPC: limits, wrong parameters. Any other is the engine's own trouble.
_LIMIT_CODE, _PARAMS_CODE, _TOO_MANY = -32097, -32602, 429


def of_grpc(error: grpc.aio.AioRpcError) -> Verdict:
    """Judge a failed call."""
    message = (error.details() or error.code().name)[:_LONGEST]
    hint = _hint(error.trailing_metadata()) or _hint(error.initial_metadata()) or _told(message)
    if (known := _by_words(message, hint)) is not None:
        return known
    reason, retry, received = _CODES.get(error.code(), ("ENGINE_ERROR", True, "maybe"))
    if "failed to connect" in message.lower() or "name resolution" in message.lower():
        received = "no"
    return Verdict(reason, message, retry, reason in _LIMITS, hint, received)


def of_json(status: int, code: int | None, message: str, hint_ms: float | None) -> Verdict:
    """Judge a failed call over HTTP.

    Args:
        status: HTTP's.
        code: JSON-RPC's; None where the body is none.
        message: of the error.
        hint_ms: the wait that header or body asks for.
    """
    message = (message or f"HTTP {status}")[:_LONGEST]
    hint = hint_ms / 1000 if hint_ms is not None else _told(message)
    if (known := _by_words(message, hint)) is not None:
        return known
    if status == _TOO_MANY or code == _LIMIT_CODE:
        return Verdict("RATE_LIMITED", message, True, True, hint)
    if status in (401, 403):
        return Verdict("AUTH_REFUSED", message, True)
    if code == _PARAMS_CODE or status == 400:
        return Verdict("BUNDLE_REFUSED", message)
    if code is None:
        return Verdict("REGION_UNAVAILABLE", message, True, received="maybe")
    return Verdict("ENGINE_ERROR", message, True, received="maybe")


def unreachable(message: str, received: Received) -> Verdict:
    """Judge a region that gave no answer."""
    return Verdict("REGION_UNAVAILABLE", message[:_LONGEST], True, received=received)


def _by_words(message: str, hint: float | None) -> Verdict | None:
    lower = message.lower()
    for pattern, reason, retry in _WORDS:
        if re.search(pattern, lower):
            received: Received = "yes" if reason == "ALREADY_PROCESSED" else "no"
            return Verdict(reason, message, retry, reason in _LIMITS, hint, received)
    return None


def _told(message: str) -> float | None:
    found = _RETRY_AFTER.search(message.lower())
    return int(found[1]) / 1000 if found else None


def _hint(metadata: Iterable[tuple[str, str | bytes]] | None) -> float | None:
    for key, value in metadata or ():
        if key == RETRY_AFTER_KEY and isinstance(value, str) and value.isdecimal() and len(value) < 10:
            return int(value) / 1000
    return None
