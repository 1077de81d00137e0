"""`solward-agent admin-helper`: stands before a validator's admin socket and passes only what root listed.

The validator's own socket is for its user alone (mode 0600), and whoever may open it may do anything. So this helper
runs as that user, with everything else dropped, and the agent, as another user, speaks to it on a socket of its own.
"""

from pathlib import Path
from typing import Any

from agent.allowlist import Allowlist
from agent.host.admin_rpc import UNKNOWN_METHOD, AdminError, AdminRpc
from agent.line_rpc import BAD_REQUEST, NO_ANSWER, LineRpc, Refused

# Methods whose parameter is a path that the validator opens: each must be a file that root listed.
_PATHS = frozenset({"addAuthorizedVoter"})


class AdminHelper:
    """Answers requests from the validator's socket if root's allowlist names their method."""

    def __init__(self, ledger: Path, allowlist: Allowlist) -> None:
        self._admin = AdminRpc(ledger / "admin.rpc")
        self._allowlist = allowlist
        self.rpc = LineRpc(self._pass_on)

    async def _pass_on(self, method: str, params: list[Any]) -> Any:
        """Pass a call on; it is written anew, so that nobody reads it otherwise than we did."""
        if method not in self._allowlist.admin:
            raise Refused(UNKNOWN_METHOD, f"Method not found: {method[:64]} is not on this host's allowlist")
        if method in _PATHS and not set(map(str, params)) <= set(self._allowlist.voters):
            raise Refused(BAD_REQUEST, "a path that is not on this host's allowlist")
        try:
            return await self._admin.call(method, *params)
        except AdminError as error:
            raise Refused(error.code or NO_ANSWER, error.message) from None
