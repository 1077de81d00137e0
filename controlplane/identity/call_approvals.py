"""Calls that other people approve: bound to the very request, in time, and good for one call."""

import json
import uuid

import grpc
from google.protobuf.message import Message

from common.clock import now_ms
from common.errors import SolwardError
from controlplane.audit.redact import redact
from controlplane.identity.role_book import RoleBook
from controlplane.store.access import ApprovalRepository, ApprovalRow
from controlplane.store.users import User, UserRepository

APPROVE_WITHIN_MS = 24 * 3_600_000
# What was approved, or was not, is in the audit log; here it is kept a while longer.
KEPT_MS = 7 * 24 * 3_600_000
PERMISSION = "access.approve"
# Calls of one requester that wait.
MOST_WAITING = 20


class CallApprovals:
    """Keeps what waits, counts who approved, and lets an approved call in, once."""

    def __init__(self, approvals: ApprovalRepository, users: UserRepository, roles: RoleBook) -> None:
        self._approvals = approvals
        self._users = users
        self._roles = roles

    async def must_be_approved(
        self, method: str, digest: str, request: Message, requester_uid: str, wanted: int
    ) -> str:
        """Find the approval of a call by enough other people; raise APPROVALS_MISSING, which names what waits.

        Returns: the approval's uid, for `use`.
        """
        now = now_ms()
        found = await self._approvals.open(now, requester_uid, digest)
        if not found:
            await self._keep_few(requester_uid, now)
            await self._approvals.prune(now - KEPT_MS)
            shown = json.dumps(redact(request), ensure_ascii=False)
            row = ApprovalRow(
                uuid.uuid4().hex, method, digest, shown, requester_uid, wanted, now, now + APPROVE_WITHIN_MS
            )
            await self._approvals.add(row)
            found = [row]
        # Two that were asked for at once wait as two.
        given, best = max([(len(await self.counted(row)), row) for row in found], key=lambda one: one[0])
        if given < wanted:
            raise _missing(best, given)
        return best.uid

    async def use(self, uid: str) -> None:
        """Let an approved call in, once; raise APPROVAL_USED."""
        if not await self._approvals.use(uid, now_ms()):
            raise SolwardError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "APPROVAL_USED",
                "the approval was used or is over: ask for it anew",
            )

    async def waiting(self) -> list[ApprovalRow]:
        """List the calls that are neither made nor void, the newest first."""
        return await self._approvals.open(now_ms())

    async def approve(self, uid: str, digest: str, approver_uid: str) -> ApprovalRow:
        """Add one person's approval.

        Raises: SolwardError APPROVAL_NOT_FOUND, CALL_CHANGED, OWN_REQUEST or ALREADY_APPROVED.
        """
        row = await self._approvals.get(uid)
        if row is None or row.used_ms is not None or now_ms() >= row.expires_ms:
            raise SolwardError(
                grpc.StatusCode.NOT_FOUND,
                "APPROVAL_NOT_FOUND",
                "no such call waits for approval: it was made, or is over",
            )
        if digest != row.call_digest:
            raise SolwardError(
                grpc.StatusCode.ABORTED, "CALL_CHANGED", "this is not the call that waits: look at it again first"
            )
        approver, requester = await self._users.by_uid(approver_uid), await self._users.by_uid(row.requester_uid)
        if approver is None or requester is None or same_person(approver, requester):
            raise _refused("OWN_REQUEST", "who asked for it cannot approve it: another person must")
        given = await self._people(await self._approvals.approvers(uid))
        if any(same_person(approver, one) for one in given) or not await self._approvals.approve(
            uid, approver_uid, now_ms()
        ):
            raise _refused("ALREADY_APPROVED", "you have approved it already: another person must, too")
        return row

    async def counted(self, row: ApprovalRow) -> list[User]:
        """List the approvers who still count: let in, still allowed to approve, and not the requester."""
        requester = await self._users.by_uid(row.requester_uid)
        found: list[User] = []
        for one in await self._people(await self._approvals.approvers(row.uid)):
            allowed = any(
                PERMISSION in rule.permissions and rule.everywhere for rule in await self._roles.rules_of(one)
            )
            if one.disabled or not allowed or (requester and same_person(one, requester)):
                continue
            if not any(same_person(one, other) for other in found):
                found.append(one)
        return found

    async def _keep_few(self, requester_uid: str, now: int) -> None:
        """Refuse to have more wait than others could look at: TOO_MANY_WAIT."""
        if len(await self._approvals.open(now, requester_uid)) >= MOST_WAITING:
            raise SolwardError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "TOO_MANY_WAIT",
                f"{MOST_WAITING} of your calls wait for approval already: have them approved, or wait for their end",
            )

    async def _people(self, uids: list[str]) -> list[User]:
        return [user for uid in uids if (user := await self._users.by_uid(uid))]


def same_person(one: User, other: User) -> bool:
    """Whether two accounts are one person's: the same account, identity or e-mail address."""
    if one.uid == other.uid or (one.subject and one.subject == other.subject):
        return True
    return bool(one.email) and _mailbox(one.email) == _mailbox(other.email)


def _mailbox(email: str) -> str:
    """Name the mailbox behind an address: ana+2@example.net comes to Ana@example.net."""
    local, _, domain = email.casefold().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def _missing(row: ApprovalRow, given: int) -> SolwardError:
    name = f"callApprovals/{row.uid}"
    return SolwardError(
        grpc.StatusCode.PERMISSION_DENIED,
        "APPROVALS_MISSING",
        f"this call needs the approval of {row.wanted} other people and has {given}; it waits as {name}: "
        "once it is approved, make the very same call again",
        {"wanted": str(row.wanted), "given": str(given), "call_approval": name, "call_digest": row.call_digest},
    )


def _refused(reason: str, message: str) -> SolwardError:
    return SolwardError(grpc.StatusCode.PERMISSION_DENIED, reason, message)
