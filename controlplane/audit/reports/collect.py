"""Collects what a compliance report says, in one pass that also verifies the whole log."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from solward.policy.v1 import policy_pb2

from common.auditlines import Record
from common.auditlog import Checkpoint, Entry, rfc3339
from common.auditverify import Finding, Verifier
from common.clock import now_ms
from controlplane.audit.log import AuditLog
from controlplane.audit.reports.content import Content, Integrity, Section, shown
from controlplane.audit.reports.tallies import Counted, Listed
from controlplane.guard.table import PolicyTable

_PAGE = 2000
# Decisions whose outcome has not come yet.
_OPEN = 10_000
_AUTH = "solward.auth.v1.AuthService/"
_LOGIN, _CODE = (f"{_AUTH}Login", f"{_AUTH}FinishOidcLogin"), f"{_AUTH}VerifySecondFactor"
# A session's own upkeep is no privileged operation.
_SESSION = frozenset({*_LOGIN, _CODE, f"{_AUTH}RefreshSession", f"{_AUTH}Logout"})
_APPROVE = ("/ApproveOperation", "/ApproveCall")
_GOOD = frozenset({"OK", "SUCCEEDED", "DONE"})


class Collector:
    """Takes the entries of a period one by one.

    Args:
        table: every method's policy, which says what is privileged.
    """

    def __init__(self, table: PolicyTable) -> None:
        self._table = table
        self._open: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._operations = Counted(2)
        self._grave = Listed()
        self._refusals = Counted(1)
        self._factors = Counted(4)
        self._approvals = Listed()
        self._access = Listed()
        self._logins = Counted(1)
        self._glass = Listed()
        self._integrity = Listed()
        self._good_logins = 0

    def take(self, body: Mapping[str, Any]) -> None:
        """Take one entry of the period."""
        phase, method, time = body.get("phase"), str(body.get("method", "")), str(body.get("time", ""))
        who, code = str(body.get("principal", "")), str(body.get("code", ""))
        if phase == "decision":
            self._remember(body)
            if body.get("break_glass"):
                self._glass.add(time, who, _short(method), body.get("resource", ""), body["break_glass"])
        if body.get("allowed") is False:
            self._refused(body, who, method, time)
        elif phase == "outcome" and method in self._table:
            self._done(body, who, method, time)
        elif phase == "event" or method.startswith("audit."):
            self._happened(body, who, method, time, code)

    def _remember(self, body: Mapping[str, Any]) -> None:
        request = body.get("request")
        username = request.get("username", "") if isinstance(request, dict) else ""
        self._open[str(body.get("call", ""))] = (str(username), _address(str(body.get("peer", ""))))
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)

    def _refused(self, body: Mapping[str, Any], who: str, method: str, time: str) -> None:
        reason = str(body.get("reason", ""))
        self._refusals.add((reason, who or "nobody", _short(method)), 0, time)
        if method in _LOGIN:
            self._failed_login(body, time)
        if reason == "SECOND_FACTOR_REQUIRED":
            self._factors.add((who,), 3, time)

    def _done(self, body: Mapping[str, Any], who: str, method: str, time: str) -> None:
        code = str(body.get("code", ""))
        good, policy = code in _GOOD, self._table[method].policy
        if method in _LOGIN:
            if good:
                self._good_logins += 1
            else:
                self._failed_login(body, time)
        elif method == _CODE:
            self._factors.add((who,), 0 if good else 1, time)
        self._open.pop(str(body.get("call", "")), None)
        if method in _SESSION or policy.risk == policy_pb2.RISK_READ or body.get("resource") is None:
            return
        result = code if good else f"{code} {body.get('reason', '')}".strip()
        if good and policy.second_factor == policy_pb2.SECOND_FACTOR_PER_CALL:
            self._factors.add((who,), 2, time)
        if policy.risk == policy_pb2.RISK_ADMIN:
            self._access.add(time, who, _short(method), body.get("resource", ""), result)
        if (
            policy_pb2.PRINCIPAL_KIND_USER in policy.principals
            or policy_pb2.PRINCIPAL_KIND_SERVICE in policy.principals
        ):
            self._operations.add((who, _short(method)), 0 if good else 1, time)
        if policy.risk == policy_pb2.RISK_DESTRUCTIVE:
            self._grave.add(time, who, _short(method), body.get("resource", ""), result)
        if method.endswith(_APPROVE):
            self._approvals.add(
                time, who, body.get("approved") or body.get("resource", "") or body.get("operation", ""), result
            )

    def _happened(self, body: Mapping[str, Any], who: str, method: str, time: str, code: str) -> None:
        if method.startswith("hosts."):
            self._access.add(time, who, method, body.get("resource", ""), code)
        elif method.startswith("audit."):
            words = body.get("message") or body.get("reason") or body.get("phase", "")
            self._integrity.add(time, who, method, body.get("resource", ""), words)

    def _failed_login(self, body: Mapping[str, Any], time: str) -> None:
        request = body.get("request")
        named = str(request.get("username", "")) if isinstance(request, dict) else ""
        username, peer = self._open.get(str(body.get("call", "")), (named, _address(str(body.get("peer", "")))))
        self._logins.add((username, peer, str(body.get("reason", ""))), 0, time)

    def figures(self) -> dict[str, int]:
        """Give what a reader wants to see first."""
        return {
            "privileged operations": self._operations.total(0) + self._operations.total(1),
            "of them failed": self._operations.total(1),
            "refused calls": self._refusals.total(0) + self._refusals.left_out,
            "codes verified": self._factors.total(0),
            "approvals": self._approvals.count,
            "done without approval": self._glass.count,
            "changes of access": self._access.count,
            "logins": self._good_logins,
            "failed logins": self._logins.total(0) + self._logins.left_out,
        }

    def sections(self, prunes: Section) -> list[Section]:
        """Give the tables."""
        return [
            self._operations.section(
                "operations", "Privileged operations by user", "Calls that changed something, as they ended.",
                ("User", "Operation", "Succeeded", "Failed"),
            ),
            self._grave.section(
                "destructive", "Destructive operations", "Calls that could cost blocks, data or time of a validator.",
                ("Time UTC", "User", "Operation", "On", "Result"),
            ),
            self._approvals.section(
                "approvals", "Approvals", "Who let which operation of another person go on.",
                ("Time UTC", "Approver", "Operation", "Result"),
            ),
            self._glass.section(
                "break_glass", "Done without approval", "Calls for which somebody broke the glass, and why.",
                ("Time UTC", "User", "Operation", "On", "Reason"),
            ),
            self._access.section(
                "access", "Changes of access",
                "Invitations, users, roles, grants, certificates, enrollments, revocations and quarantines.",
                ("Time UTC", "By", "Change", "On", "Result"),
            ),
            self._factors.section(
                "second_factors", "Use of second factors", "Codes, and the calls that asked for one.",
                ("User", "Codes verified", "Codes refused", "Calls confirmed by code", "Calls asked for a code"),
            ),
            self._refusals.section(
                "refusals", "Refusals by reason", "Calls that the guard chain refused, and why.",
                ("Reason", "Caller", "Method", "Times"),
            ),
            self._logins.section(
                "failed_logins", "Failed logins", "By the name that was given and the address that it came from.",
                ("Name given", "From", "Reason", "Times"),
            ),
            self._integrity.section(
                "integrity_events", "Events of the log itself", "Prunes, and hosts that contradicted the log.",
                ("Time UTC", "By", "Event", "On", "What"),
            ),
            prunes,
        ]  # fmt: skip


async def collect(audit: AuditLog, table: PolicyTable, begin_ms: int, end_ms: int, by: str) -> Content:
    """Read and verify the whole log, and collect what it says of a period.

    Args:
        audit: the log.
        table: every method's policy.
        begin_ms: from when, milliseconds since the epoch.
        end_ms: until when, itself left out.
        by: for whom the report is made.

    Raises:
        SolwardError: UNAVAILABLE, AUDIT_UNAVAILABLE.
    """
    collector, verifier = Collector(table), audit.verifier()
    period = (rfc3339(begin_ms), rfc3339(end_ms))
    finding: Finding | None = None
    head: Checkpoint | None = None
    page: list[Record] = []
    async for record in audit.export():
        page.append(record)
        if isinstance(record, Checkpoint):
            head = record
        if len(page) >= _PAGE:
            finding = await asyncio.to_thread(_take, page, collector, verifier, period, finding)
            page = []
    finding = await asyncio.to_thread(_take, page, collector, verifier, period, finding) or verifier.finish()
    if head is None:
        raise AssertionError("an export ends with a checkpoint")
    return Content(
        *period, rfc3339(now_ms()), by, _integrity(head, verifier, finding), collector.figures(),
        collector.sections(_prunes(verifier)),
    )  # fmt: skip


def _take(
    page: list[Record], collector: Collector, verifier: Verifier, period: tuple[str, str], finding: Finding | None
) -> Finding | None:
    for number, record in enumerate(page, 1):
        if finding is None:
            finding = verifier.feed(record, islice(page, number, None))
        if isinstance(record, Entry):
            body = json.loads(record.body)
            # Times of one log are of one length, so they compare as text.
            if period[0] <= str(body.get("time", "")) < period[1]:
                collector.take(body)
    return finding


def _integrity(head: Checkpoint, verifier: Verifier, finding: Finding | None) -> Integrity:
    return Integrity(
        origin=shown(head.origin),
        intact=finding is None,
        finding=shown(f"entry {finding.sequence}: {finding.kind}: {finding.message}") if finding else "",
        entries=verifier.state.size - verifier.start.size,
        size=head.size,
        root=head.root.hex(),
        signature=head.signature.hex(),
        signed=rfc3339(head.time_ms),
        public_key=head.public_key.hex(),
        checkpoints=verifier.checkpoints,
    )


def _prunes(verifier: Verifier) -> Section:
    rows = [
        [
            f"{datetime.fromtimestamp(prune.time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}", shown(prune.by),
            f"{prune.first} to {prune.size}", str(prune.removed), prune.root.hex(), prune.signature.hex()[:32],
        ]
        for prune in verifier.prunes
    ]  # fmt: skip
    about = "Entries taken out of the log under retention, each cut under a signature of the log's key."
    columns = ("Time UTC", "By", "Entries", "Count", "Root", "Signature begins")
    return Section("prunes", "Pruned entries", about, columns, rows[-500:], max(0, len(rows) - 500))


def _short(method: str) -> str:
    service, slash, rpc = method.partition("/")
    return f"{service.rpartition('.')[2]}/{rpc}" if slash else method


def _address(peer: str) -> str:
    """Give a peer's address without its port, which changes with every call."""
    host, colon, port = peer.rpartition(":")
    return host if colon and port.isdigit() else peer
