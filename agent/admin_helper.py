"""`solward-agent admin-helper`: stands before a validator's admin socket and passes only what root listed.

The validator's own socket is for its user alone (mode 0600), and whoever may open it may do anything. So this helper
runs as that user, with everything else dropped, and the agent, as another user, speaks to it on a socket of its own.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.allowlist import Allowlist
from agent.host.admin_rpc import UNKNOWN_METHOD, AdminError, AdminRpc
from agent.line_rpc import NO_ANSWER, NOT_LISTED, REFUSED, LineRpc, Refused

# How long the validator may take over a plugin: it waits for callbacks that are under way. The agent waits less long.
PLUGIN_S = 660.0
# Methods with parameters that root lists: what the list is called, and the parameters on it. The agent has looked
# before; the helper looks again, since whoever takes over the agent's user speaks to this socket as well.
_LISTED: dict[str, tuple[str, Callable[[Allowlist], list[list[str]]]]] = {
    "addAuthorizedVoter": ("voters", lambda allowed: [[path] for path in allowed.voters]),
    "loadPlugin": ("plugins", lambda allowed: [[path] for path in allowed.plugins.values()]),
    "unloadPlugin": ("plugins", lambda allowed: [[name] for name in allowed.plugins]),
    "reloadPlugin": ("plugins", lambda allowed: [list(both) for both in allowed.plugins.items()]),
}
_LOADS = frozenset({"loadPlugin", "reloadPlugin"})
_LONG = _LOADS | {"unloadPlugin"}


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
        if method in _LISTED:
            part, listed = _LISTED[method]
            if params not in listed(self._allowlist):
                raise Refused(NOT_LISTED, f"`{part}` in this host's allowlist does not name {json.dumps(params)[:300]}")
        if method in _LOADS:
            await self._refuse_others_files(Path(params[-1]))
        try:
            return await self._admin.call(method, *params, within_s=PLUGIN_S if method in _LONG else None)
        except AdminError as error:
            raise Refused(error.code or NO_ANSWER, error.message) from None

    async def _refuse_others_files(self, config: Path) -> None:
        """Refuse to have loaded what another than root or the validator's own user can change."""
        # Here, as the reader of JSON5 is large, and most helpers never need it.
        from agent.geyser.plugin_config import PluginConfigError, check_owners

        try:
            await asyncio.to_thread(check_owners, config)
        except PluginConfigError as error:
            raise Refused(REFUSED, str(error)) from None
