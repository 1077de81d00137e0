"""By name: whether what is done later in somebody's name would be let in now, by the guard's own links."""

from google.protobuf.message import Message

from controlplane.guard.policy import Policy
from controlplane.guard.table import PolicyTable
from controlplane.identity.principals import Principals


class ByName:
    """Judges callers who are not there: whoever asked once is asked about again before each deed."""

    def __init__(self, table: PolicyTable, principals: Principals, policy: Policy) -> None:
        self._table = table
        self._principals = principals
        self._policy = policy

    async def judge(self, name: str, since_ms: int, method: str, request: Message) -> None:
        """Judge whether a user or service may ask for something now.

        Args:
            name: as a principal bears it.
            since_ms: when the name was noted, milliseconds since the epoch.
            method: the RPC that it would be asked for by, without a leading slash.

        Raises: SolwardError USER_GONE, USER_DISABLED, SERVICE_GONE, SERVICE_DISABLED, WRONG_PRINCIPAL_KIND or
            PERMISSION_MISSING.
        """
        principal = await self._principals.of_name(name, since_ms)
        await self._policy.judge(principal, self._table[method], request)
