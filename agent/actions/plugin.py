"""A plugin of the validator is loaded, let go of, or loaded anew, over the admin socket (facts: agave 1.2).

A reload drops the old plugin first, so that one that fails leaves none; and a plugin that is built for another version
takes the whole validator with it. So what is to be loaded is looked at before, and the validator's process after.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from solward.hosts.v1 import link_pb2

from agent.actions.base import Outcome, Tell
from agent.actions.unit import DONE, FAILED, look_at, refuse_changed
from agent.geyser.plugin_config import PluginConfigError, check_config
from agent.geyser.plugin_list import loaded_plugins
from agent.geyser.plugin_settings import PluginSettings
from agent.host.admin_rpc import AdminError
from agent.host.node import Node
from agent.host.systemd import Systemd
from agent.permits import Refusal

RELOAD, LOAD, UNLOAD = link_pb2.PLUGIN_VERB_RELOAD, link_pb2.PLUGIN_VERB_LOAD, link_pb2.PLUGIN_VERB_UNLOAD
_WORDS = {RELOAD: "load {} anew", LOAD: "load {}", UNLOAD: "let go of {}"}
# What a control plane may ask for at the most; a plugin's last callback may be stuck.
LONGEST_S: Final = 600.0
# How long the validator is watched afterwards: what a plugin breaks, it breaks with its first callbacks.
WATCH_S: Final = 2.0
_POLL_S: Final = 0.2
_AWAY: Final = ("ADMIN_UNREACHABLE", "ADMIN_TIMEOUT", "ADMIN_GARBLED")


class PluginAct:
    """One action on one plugin.

    Args:
        node: the validator; None where the agent's settings name none.
        plugins: what the agent's settings say of plugins, by source.
        listed: plugins that root allows to be acted on, by name, and the configuration of each.
    """

    def __init__(
        self, systemd: Systemd, action: link_pb2.PluginAction, node: Node | None,
        plugins: Mapping[str, PluginSettings], listed: Mapping[str, str], *, watch_s: float = WATCH_S,
    ) -> None:  # fmt: skip
        self._systemd = systemd
        self._action = action
        self._node = node
        self._plugin = plugins.get(action.source)
        self._known = ", ".join(plugins) or "none"
        self._listed = listed
        self._watch_s = watch_s
        self._name = (self._plugin.name if self._plugin else "") or action.source
        self._loaded: list[str] | None = None
        self._before = link_pb2.UnitState()

    async def look(self) -> link_pb2.UnitState:
        """Read the unit and the validator's plugins; raise Refusal where systemd does not know the unit."""
        self._before = await look_at(self._systemd, self._action.unit)
        try:
            self._loaded = (await loaded_plugins(self._node.admin) or []) if self._node else None
        except AdminError:
            # Whether that matters is for who asks next.
            self._loaded = None
        return self._before

    async def precondition(self, now: link_pb2.UnitState) -> None:
        """Refuse what cannot be done, with nothing changed."""
        refuse_changed(self._action.unit, "active", self._action.expected_invocation, now)
        if self._action.verb not in _WORDS:
            raise Refusal("ACTION_UNKNOWN", "the request does not say what is done to the plugin")
        if self._node is None:
            raise Refusal("VALIDATOR_UNKNOWN", "agent.yaml names no validator, so none can be asked")
        if self._plugin is None:
            raise Refusal("PLUGIN_UNKNOWN", f"geyser.plugins in agent.yaml knows {self._known}")
        if self._name not in self._listed:
            raise Refusal("NOT_ON_ALLOWLIST", f"`plugins` in this host's allowlist does not name {self._name}")
        if self._action.verb != UNLOAD:
            await self._refuse_bad_config(self._plugin)
        loaded = await self._list_or_refuse(self._node)
        if self._action.verb == LOAD and self._name in loaded:
            raise Refusal("PLUGIN_LOADED", f"the validator has {self._name} loaded; ask for a reload")
        if self._action.verb != LOAD and self._name not in loaded:
            raise Refusal(
                "PLUGIN_NOT_LOADED", f"the validator has {', '.join(loaded) or 'none'} loaded; ask for a load"
            )

    async def _refuse_bad_config(self, plugin: PluginSettings) -> None:
        if plugin.config is None:
            raise Refusal("PLUGIN_CONFIG_BAD", f"geyser.plugins.{self._action.source} in agent.yaml names no config")
        if str(plugin.config) != self._listed.get(self._name):
            what = f"load {self._name} from {plugin.config}"
            raise Refusal("NOT_ON_ALLOWLIST", f"`plugins` in this host's allowlist does not let it {what}")
        try:
            await asyncio.to_thread(check_config, plugin.config, self._name)
        except PluginConfigError as error:
            raise Refusal("PLUGIN_CONFIG_BAD", str(error)) from None

    async def _list_or_refuse(self, node: Node) -> list[str]:
        try:
            loaded = await loaded_plugins(node.admin)
        except AdminError as error:
            reason = "ADMIN_UNREACHABLE" if error.reason in _AWAY else error.reason
            raise Refusal(reason, error.message) from None
        if loaded is None:
            raise Refusal(
                "PLUGINS_NOT_SERVED", "the validator takes no plugins; start it with --geyser-plugin-always-enabled"
            )
        return loaded

    def already_done(self, before: link_pb2.UnitState, now: link_pb2.UnitState) -> bool:
        """Whether an earlier attempt can only be seen through: it has done its work, or may have reloaded.

        Each reload loses events, and whether one was done shows nowhere: none is ever done twice.
        """
        self._before = before
        if self._action.verb == RELOAD or now.invocation_id != before.invocation_id:
            return True
        return self._loaded is not None and self._as_wanted(self._loaded)

    async def see_through(self, now: link_pb2.UnitState) -> Outcome:
        """Say what an earlier attempt came to."""
        began = time.monotonic()
        if self._action.verb != RELOAD:
            return await self._came_to(began, None)
        interrupted = AdminError("RELOAD_UNKNOWN", "the agent died while the plugin was loaded anew, or just before")
        return await self._came_to(began, interrupted)

    async def act(self, tell: Tell) -> Outcome:
        """Do it, then see that the validator has it so, and lives."""
        node, plugin = self._node, self._plugin
        if node is None or plugin is None:
            return Outcome(FAILED, "PLUGIN_UNKNOWN", "agent.yaml no longer names the plugin, or the validator")
        tell(f"the validator is asked to {_WORDS[self._action.verb].format(self._name)}")
        began, trouble = time.monotonic(), None
        if self._action.verb != UNLOAD:
            try:
                # A step that is taken up comes here with no preconditions looked at.
                await self._refuse_bad_config(plugin)
            except Refusal as refusal:
                return Outcome(FAILED, refusal.reason, refusal.message)
        try:
            await self._ask(node, plugin)
        except AdminError as error:
            trouble = error
        return await self._came_to(began, trouble)

    async def _ask(self, node: Node, plugin: PluginSettings) -> None:
        within_s = min(max(self._action.timeout_ms / 1000, 1.0), LONGEST_S)
        if self._action.verb == UNLOAD:
            await node.admin.call("unloadPlugin", self._name, within_s=within_s)
        elif self._action.verb == LOAD:
            await node.admin.call("loadPlugin", str(plugin.config), within_s=within_s)
        else:
            await node.admin.call("reloadPlugin", self._name, str(plugin.config), within_s=within_s)

    async def _came_to(self, began: float, trouble: AdminError | None) -> Outcome:
        """Judge by the validator's process and its own list, whatever the call said."""
        took_ms = (time.monotonic() - began) * 1000
        figures = {"plugin": self._name, "took_ms": f"{took_ms:.0f}"}
        after = await self._watched()
        if after is None or not self._same_run(after):
            return self._failed("VALIDATOR_DIED", "the validator ended, or was started anew, since", figures, after)
        try:
            loaded = await loaded_plugins(self._node.admin) or [] if self._node else []
        except AdminError as error:
            said = trouble or error
            return self._failed(said.reason, f"{said.message}; what is loaded is not known", figures, after)
        figures |= {"plugins": ",".join(loaded), "loaded": "true" if self._name in loaded else "false"}
        if trouble is None:
            if self._as_wanted(loaded):
                return Outcome(DONE, after=after, figures=figures)
            return self._failed("PLUGIN_NOT_AS_WANTED", f"the validator lists {loaded}", figures, after)
        return self._troubled(trouble, loaded, figures, after)

    def _troubled(
        self, trouble: AdminError, loaded: list[str], figures: dict[str, str], after: link_pb2.UnitState
    ) -> Outcome:
        if self._action.verb != RELOAD and self._as_wanted(loaded):
            # It took longer than it was waited for, or an earlier attempt had done it.
            return Outcome(DONE, message=trouble.message, after=after, figures=figures)
        if self._action.verb == RELOAD and self._name not in loaded:
            return self._failed("PLUGIN_LOST", f"{trouble.message}; none is left: load it", figures, after)
        reason = "PLUGIN_REFUSED" if trouble.reason == "ADMIN_REFUSED" else trouble.reason
        return self._failed(reason, trouble.message, figures, after)

    def _failed(self, reason: str, message: str, figures: dict[str, str], after: link_pb2.UnitState | None) -> Outcome:
        return Outcome(FAILED, reason, message, after, figures=figures)

    def _as_wanted(self, loaded: list[str]) -> bool:
        return (self._name in loaded) != (self._action.verb == UNLOAD)

    def _same_run(self, now: link_pb2.UnitState) -> bool:
        was = self._before
        same = (now.invocation_id, now.main_pid) == (was.invocation_id, was.main_pid)
        return same and now.active_state == "active"

    async def _watched(self) -> link_pb2.UnitState | None:
        """Watch the unit for a while; give how it stands, as soon as it is another run."""
        until = time.monotonic() + self._watch_s
        while True:
            try:
                now = await look_at(self._systemd, self._action.unit)
            except Refusal:
                return None
            if not self._same_run(now) or time.monotonic() >= until:
                return now
            await asyncio.sleep(_POLL_S)
