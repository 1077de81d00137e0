"""Recovery: a host whose certificate is over joins anew and stays the same host, as loudly as can be."""

import structlog
from solward.operations.v1 import operations_pb2

from common.names import host_name
from controlplane.alerts.notices import Notices
from controlplane.guard.places import hosts_of
from controlplane.identity.enrollment import Enrollment
from controlplane.identity.principals import Principals
from controlplane.links.registry import Links
from controlplane.links.sweeper import revoked
from controlplane.operations.board import Board
from controlplane.store.hosts import HostRow
from controlplane.store.operations import OperationRepository

log = structlog.get_logger(__name__)

NOTICE = "host_recovery"


class Recovery:
    """Makes recovery tokens, and sees to what must not outlive the identity that a host had before."""

    def __init__(
        self, enrollment: Enrollment, principals: Principals, links: Links, operations: OperationRepository,
        board: Board, notices: Notices,
    ) -> None:  # fmt: skip
        self._enrollment = enrollment
        self._principals = principals
        self._links = links
        self._operations = operations
        self._board = board
        self._notices = notices

    async def allow(self, host: HostRow, by: str, reason: str) -> tuple[str, int]:
        """Make a recovery token; raises SolwardError HOST_NOT_ACTIVE.

        Returns: the token and when it ends, milliseconds since the epoch.
        """
        made = await self._enrollment.create_recovery_token(host)
        log.critical("a host may be recovered", host=host.name, user=by, reason=reason)
        await self._notices.give(NOTICE, f"{by} made a recovery token for {host_name(host.name)}: {reason}", by)
        return made

    async def happened(self, host: HostRow) -> None:
        """End what the host's earlier identity holds open, and make approvals of what it is to do void."""
        self._principals.forget()
        self._links.cut(host.uid, revoked())
        for uid in await self._operations.unfinished():
            operation = await self._board.get(uid)
            if operation.approvals and host_name(host.name) in hosts_of(operation):
                await self._board.change(uid, _void)
        log.critical("a host was recovered", host=host.name)
        await self._notices.give(NOTICE, f"{host_name(host.name)} has joined anew with a recovery token", host.name)


def _void(operation: operations_pb2.Operation) -> None:
    # What is at work by now was let go before.
    if operation.state == operations_pb2.OPERATION_STATE_AWAITING_APPROVAL:
        del operation.approvals[:]
