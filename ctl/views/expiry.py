"""How long certificates still hold, in words and colours."""

import datetime as dt

from google.protobuf.timestamp_pb2 import Timestamp
from solward.auth.v1 import certificates_pb2 as pb

from common.pki import urgency


def time_left(start: Timestamp, end: Timestamp, now: dt.datetime) -> str:
    """Say how long a certificate holds: yellow below a third of its life, red when it is pressing."""
    ends = end.ToDatetime(dt.UTC)
    if ends <= now:
        return "[red]over[/]"
    words, colour = _words(ends - now), urgency(start.ToDatetime(dt.UTC), ends, now)
    return f"[{colour}]{words}[/]" if colour else words


def expiry_troubles(name: str, start: Timestamp, end: Timestamp, now: dt.datetime) -> list[str]:
    """Say what is wrong with how long a certificate holds; nothing where it holds long enough."""
    ends = end.ToDatetime(dt.UTC)
    if not end.seconds:
        return []
    if ends <= now:
        return [f"{name}: its certificate is over"]
    pressing = urgency(start.ToDatetime(dt.UTC), ends, now)
    return [f"{name}: its certificate ends in {_words(ends - now).removesuffix(' left')}"] if pressing else []


def authority_troubles(found: list[pb.Authority], now: dt.datetime) -> list[str]:
    """Say which authorities end soon, and what to do; a server's own certificate renews itself."""
    said = []
    for one in found:
        what = "the server" if one.name == "server" else f"the certificate authority {one.name} ({one.phase})"
        said += expiry_troubles(what, one.start_time, one.expire_time, now)
    return said


def _words(left: dt.timedelta) -> str:
    hours = left.total_seconds() / 3600
    return f"{hours:.0f} h left" if hours < 72 else f"{left.days} days left"
