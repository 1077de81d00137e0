"""`solward-agent admin-helper`: stands before a validator's admin socket and passes only what root listed.

The validator's own socket is for its user alone (mode 0600), and whoever may open it may do anything. So this helper
runs as that user, with everything else dropped, and the agent, as another user, speaks to it on a socket of its own.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.allowlist import Allowlist
from agent.host.admin_rpc import UNKNOWN_METHOD, AdminError, AdminRpc
from agent.line_rpc import BAD_REQUEST, NO_ANSWER, LineRpc, Refused

# How long the validator may take over a plugin: it waits for callbacks that are under way. The agent waits less long.
PLUGIN_S = 660.0
# Methods with parameters that are paths which the validator opens: from which place on they are, and root's list.
_PATHS: dict[str, tuple[int, Callable[[Allowlist], tuple[str, ...]]]] = {
    "addAuthorizedVoter": (0, lambda allowed: allowed.voters),
    "loadPlugin": (0, lambda allowed: allowed.plugins),
    "reloadPlugin": (1, lambda allowed: allowed.plugins),
}
_LONG = frozenset({"loadPlugin", "unloadPlugin", "reloadPlugin"})


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
        if method in _PATHS:
            first, listed = _PATHS[method]
            if any(path not in listed(self._allowlist) for path in params[first:]):
                raise Refused(BAD_REQUEST, "a path that is not on this host's allowlist")
        try:
            return await self._admin.call(method, *params, within_s=PLUGIN_S if method in _LONG else None)
        except AdminError as error:
            raise Refused(error.code or NO_ANSWER, error.message) from None
