"""Where a piece of work stands in a trace: W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context/)."""

import hashlib
import re
import secrets
from contextvars import ContextVar
from typing import NamedTuple

KEY = "traceparent"
# What a server says of the span that it made: W3C Trace Context, level 2.
RESPONSE_KEY = "traceresponse"
# A later version may add to the end; more than this is read by nobody.
LONGEST = 256
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED = 0x01


class Trace(NamedTuple):
    """A span by its names.

    Attributes:
        trace_id: 32 hexadecimal digits, not all zero.
        span_id: 16 hexadecimal digits, not all zero.
        sampled: whether the caller records it.
    """

    trace_id: str
    span_id: str
    sampled: bool = True

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"

    def child(self, *names: object) -> "Trace":
        """Name a span of the same trace: by chance or, by its own names, the same one each time."""
        if not names:
            return self._replace(span_id=new_span_id())
        digest = hashlib.sha256("\0".join((self.trace_id, *map(str, names))).encode()).hexdigest()[:16]
        return self._replace(span_id=digest)


# The sampled span that the current task works for.
current: ContextVar[Trace | None] = ContextVar("solward_trace", default=None)


def new_span_id() -> str:
    """Name a span by chance."""
    return secrets.token_hex(8)


def begin(*, sampled: bool = True) -> Trace:
    """Begin a trace."""
    return Trace(secrets.token_hex(16), new_span_id(), sampled)


def parse(text: str) -> Trace | None:
    """Read a traceparent; None for one that is malformed, which is to be ignored (section 3.2.2)."""
    found = _FORM.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Trace(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def said() -> str:
    """Give the current span as a traceparent; empty where nothing is recorded."""
    trace = current.get()
    return str(trace) if trace else ""
