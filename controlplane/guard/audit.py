"""Audit: the decision on a call is on record before the handler runs, and its outcome after."""

import grpc
from google.protobuf.message import Message
from solward.policy.v1 import policy_pb2

from common.errors import SolwardError
from controlplane.audit.log import AuditLog
from controlplane.audit.redact import redact
from controlplane.guard.chain import Link
from controlplane.guard.context import NOBODY, Call


class Refusals(Link):
    """Near the outside: records calls that an inner link refused.

    Calls over the rate limit are counted in the metrics only: a flood must not fill the log.
    """

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def leave(self, call: Call, error: BaseException | None) -> None:
        """Record who was refused what, and why."""
        if call.allowed or not isinstance(error, SolwardError) or error.reason in _NOT_RECORDED:
            return
        if call.rule.policy.audit == policy_pb2.AUDIT_LEVEL_NONE:
            return
        entry = _entry(call, "decision", allowed=False) | _reason(error)
        if call.principal is NOBODY and error.reason == "INVALID_FIELD":
            # A stranger's words, and perhaps a password in the wrong field.
            entry["resource"] = ""
        await self._log.append(entry)


class Audit(Link):
    """Innermost: a call that changes something does not run unless its decision is on record."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def enter(self, call: Call) -> None:
        """Record the decision before a change; AUDIT_UNAVAILABLE refuses the call."""
        if _always(call) and call.rule.mutates:
            await self._log.append(_entry(call, "decision", allowed=True))
        call.allowed = True

    async def leave(self, call: Call, error: BaseException | None) -> None:
        """Record the outcome: with the decision for a read, after it for a change."""
        if not call.allowed or not _always(call):
            return
        outcome = _outcome(error) | call.notes
        if call.rule.mutates:
            await self._log.append(_brief(call, "outcome") | outcome)
        else:
            await self._append_read(_entry(call, "call", allowed=True) | outcome)

    async def _append_read(self, entry: dict[str, object]) -> None:
        try:
            await self._log.append(entry)
        except SolwardError as error:
            # Reads go on while the audit store is down; the log's own metrics say that it is.
            if error.reason != "AUDIT_UNAVAILABLE":
                raise


# A name that has been validated is shorter.
MAX_RESOURCE = 256
_NOT_RECORDED = frozenset({"RATE_LIMITED", "AUDIT_UNAVAILABLE"})


def _always(call: Call) -> bool:
    return call.rule.policy.audit == policy_pb2.AUDIT_LEVEL_ALWAYS


def _brief(call: Call, phase: str) -> dict[str, object]:
    return {
        "call": call.id,
        "phase": phase,
        "principal": call.principal.name,
        "method": call.rule.name,
        "resource": call.resource[:MAX_RESOURCE],
    }


def _entry(call: Call, phase: str, *, allowed: bool) -> dict[str, object]:
    return _brief(call, phase) | {
        "kind": policy_pb2.PrincipalKind.Name(call.principal.kind).removeprefix("PRINCIPAL_KIND_").lower(),
        "session": call.principal.session,
        **({"break_glass": call.break_glass} if call.break_glass else {}),
        "peer": call.peer,
        "raw_peer": call.raw_peer or call.peer,
        "allowed": allowed,
        "request_digest": call.digest,
        # What nobody in particular sends and is refused is not worth keeping: it has not even been validated.
        "request": _redacted(call.request) if allowed or call.principal is not NOBODY else {},
    }


def _redacted(request: Message | None) -> dict[str, object]:
    return redact(request) if request is not None else {}


def _reason(error: SolwardError) -> dict[str, object]:
    return {"code": error.code.name, "reason": error.reason, "message": error.message}


def _outcome(error: BaseException | None) -> dict[str, object]:
    if error is None:
        return {"code": grpc.StatusCode.OK.name}
    if isinstance(error, SolwardError):
        return _reason(error)
    code = grpc.StatusCode.INTERNAL if isinstance(error, Exception) else grpc.StatusCode.CANCELLED
    return {"code": code.name}
