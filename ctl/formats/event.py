"""What an entry says, as every format needs it."""

import ipaddress
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from common.auditlog import Entry

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GOOD = frozenset({"", "OK", "SUCCEEDED", "DONE"})
# Events that the log or the fleet raised by itself, and that a person must look at.
_ALARMS = frozenset({"audit.witness", "hosts.quarantine"})
# How grave: as OCSF counts, 1 informational to 5 critical.
INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL = range(1, 6)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry, read.

    Args:
        entry: the entry.
        body: what it says.
        time_ms: when, milliseconds since the epoch.
        who: the principal's name.
        method: the method, or what happened.
        phase: which part of a call it records.
        resource: what was acted on.
        failed: whether it was refused or failed.
        code: the status in words.
        reason: why it was refused or failed.
        message: the same for a person.
        address: the caller's address; empty where there is none.
        port: its port, 0 where there is none.
        severity: 1 to 5.
    """

    entry: Entry
    body: dict[str, Any]
    time_ms: int
    who: str
    method: str
    phase: str
    resource: str
    failed: bool
    code: str
    reason: str
    message: str
    address: str
    port: int
    severity: int

    @property
    def service(self) -> str:
        """The service of the method; empty for an event."""
        return self.method.rpartition("/")[0]

    @property
    def verb(self) -> str:
        """The method without its service."""
        return self.method.rpartition("/")[2]


def read(entry: Entry) -> Event:
    """Read an entry; what its body lacks is empty."""
    body = _loads(entry.body)
    method, code = _text(body, "method"), _text(body, "code")
    failed = body.get("allowed") is False or code not in _GOOD
    address, port = _peer(_text(body, "peer"))
    return Event(
        entry=entry, body=body, time_ms=_time(_text(body, "time")), who=_text(body, "principal"), method=method,
        phase=_text(body, "phase"), resource=_text(body, "resource"), failed=failed,
        code=code or ("REFUSED" if failed else "OK"), reason=_text(body, "reason"), message=_text(body, "message"),
        address=address, port=port, severity=_severity(method, body, failed),
    )  # fmt: skip


def _severity(method: str, body: dict[str, Any], failed: bool) -> int:
    if method in _ALARMS:
        return CRITICAL
    if body.get("reason") == "SECOND_FACTOR_REQUIRED":
        return LOW
    if failed:
        return MEDIUM
    return HIGH if method == "audit.prune" else INFORMATIONAL


def _loads(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def _time(text: str) -> int:
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError):
        return 0


def _peer(peer: str) -> tuple[str, int]:
    host, _, port = peer.rpartition(":")
    for address, number in ((peer, ""), (host, port)):
        try:
            return str(ipaddress.ip_address(address.strip("[]"))), int(number or 0)
        except ValueError:
            continue
    return "", 0
