"""OCSF 1.3: API Activity (6003), Authentication (3002) and Account Change (3001), schema.ocsf.io."""

import json
from typing import Any

from common.auditlog import Entry
from ctl import VERSION
from ctl.formats.event import Event, read

SCHEMA = "1.3.0"
API_ACTIVITY, AUTHENTICATION, ACCOUNT_CHANGE = 6003, 3002, 3001
OTHER = 99
_AUTH, _ACCESS = "solward.auth.v1.AuthService", "solward.auth.v1.AccessService"
_SEVERITIES = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}
_SESSION = {
    "Login": (1, "Logon"), "FinishOidcLogin": (1, "Logon"), "PollDeviceLogin": (1, "Logon"), "Logout": (2, "Logoff"),
    "EndSession": (2, "Logoff"), "EndOidcSession": (2, "Logoff"), "BackChannelLogout": (2, "Logoff"),
}  # fmt: skip
_ACCOUNT = {
    "InviteUser": (1, "Create"), "AcceptInvitation": (3, "Password Change"),
    "ConfirmInvitation": (10, "MFA Factor Enable"), "SetUpSecondFactor": (10, "MFA Factor Enable"),
    "ConfirmSecondFactor": (10, "MFA Factor Enable"), "RenewRecoveryCodes": (10, "MFA Factor Enable"),
    "ResetSecondFactor": (4, "Password Reset"), "CreateGrant": (7, "Attach Policy"), "EndGrant": (8, "Detach Policy"),
}  # fmt: skip
_API = {
    "Create": (1, "Create"), "Get": (2, "Read"), "List": (2, "Read"), "Watch": (2, "Read"), "Export": (2, "Read"),
    "Tail": (2, "Read"), "Update": (3, "Update"), "Set": (3, "Update"), "Apply": (3, "Update"),
    "Delete": (4, "Delete"), "Prune": (4, "Delete"), "Revoke": (4, "Delete"),
}  # fmt: skip


def line(entry: Entry) -> str:
    """Write an entry as one line of OCSF JSON, without its end; nothing in it that a terminal obeys."""
    return json.dumps(event_of(entry), separators=(",", ":"), ensure_ascii=True)


def event_of(entry: Entry) -> dict[str, Any]:
    """Give an entry as an OCSF event."""
    event = read(entry)
    kind, activity, activity_name = _classify(event)
    data: dict[str, Any] = {
        "class_uid": kind,
        "class_name": {6003: "API Activity", 3002: "Authentication", 3001: "Account Change"}[kind],
        "category_uid": kind // 1000,
        "category_name": "Application Activity" if kind == API_ACTIVITY else "Identity & Access Management",
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": kind * 100 + activity,
        "time": event.time_ms,
        "severity_id": event.severity,
        "severity": _SEVERITIES[event.severity],
        "status_id": 2 if event.failed else 1,
        "status": "Failure" if event.failed else "Success",
        "status_code": event.code,
        "actor": {"user": _user(event)},
        "src_endpoint": _endpoint(event),
        "metadata": {
            "uid": str(entry.sequence),
            "sequence": entry.sequence,
            "version": SCHEMA,
            "log_name": "audit",
            "original_time": event.body.get("time", ""),
            "product": {"name": "Solward control plane", "vendor_name": "Solward", "version": VERSION},
        },
        "unmapped": {"phase": event.phase, "chain_hash": entry.hash.hex()},
    }
    if event.reason or event.message:
        data["status_detail"] = f"{event.reason}: {event.message}".strip(": ")
    if event.message:
        data["message"] = event.message
    return data | _particulars(kind, event)


def _particulars(kind: int, event: Event) -> dict[str, Any]:
    api: dict[str, Any] = {"operation": event.verb or "entry", "service": {"name": event.service or "solward"}}
    if call := event.body.get("call"):
        api["request"] = {"uid": str(call)}
    if kind == API_ACTIVITY:
        return {"api": api} | ({"resources": [{"name": event.resource}]} if event.resource else {})
    user = _subject(event)
    if kind == AUTHENTICATION:
        return {"user": user, "is_remote": True, "service": api["service"]} | (
            {"session": _session(event)} if _session(event) else {}
        )
    return {"user": user}


def _classify(event: Event) -> tuple[int, int, str]:
    if event.service in (_AUTH, _ACCESS):
        if event.verb in _SESSION:
            return AUTHENTICATION, *_SESSION[event.verb]
        if event.verb in _ACCOUNT:
            return ACCOUNT_CHANGE, *_ACCOUNT[event.verb]
        if event.service == _AUTH:
            return AUTHENTICATION, OTHER, event.verb
        if not event.verb.startswith(("List", "Explain")):
            return ACCOUNT_CHANGE, OTHER, event.verb
    return API_ACTIVITY, *_by_verb(_API, event.verb)


def _by_verb(verbs: dict[str, tuple[int, str]], verb: str) -> tuple[int, str]:
    return next((known for begin, known in verbs.items() if verb.startswith(begin)), (OTHER, verb or "entry"))


def _user(event: Event) -> dict[str, Any]:
    kind = {"user": (1, "User"), "service": (4, "Service"), "agent": (3, "System")}.get(
        str(event.body.get("kind", "")), (0, "Unknown")
    )
    return {"name": event.who or "nobody", "type_id": kind[0], "type": kind[1]}


def _subject(event: Event) -> dict[str, Any]:
    """Whom it is about: at a login the name that was given, elsewhere what was acted on."""
    request = event.body.get("request")
    named = request.get("username") if isinstance(request, dict) else None
    name = str(named or event.resource or event.who or "nobody")
    return {"name": name.encode("utf-8", "replace").decode()}


def _session(event: Event) -> dict[str, str]:
    session = event.body.get("session")
    return {"uid": str(session)} if session else {}


def _endpoint(event: Event) -> dict[str, Any]:
    if not event.address:
        return {"name": "unknown"}
    return {"ip": event.address} | ({"port": event.port} if event.port else {})
