"""Plugins on a validator: what is refused, what each act comes to, and that the validator's own word is believed."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from solward.hosts.v1 import link_pb2

from agent.actions.base import Outcome
from agent.actions.plugin import LOAD, RELOAD, UNLOAD, PluginAct
from agent.allowlist import Allowlist
from agent.geyser.plugin_settings import PluginSettings
from agent.host.admin_rpc import AdminRpc
from agent.host.node import Node
from agent.host.node_rpc import NodeRpc
from agent.host.systemd import UnitState
from agent.permits import Refusal
from agent.settings import ValidatorSettings
from tests.peers.fixtures import ValidatorPeer, validator_peer
from tests.unit.agent.fakes import UNIT, FakeSystemd, unit_state
from tests.unit.agent.test_admin_helper import helped

DONE, FAILED = link_pb2.RECEIPT_RESULT_DONE, link_pb2.RECEIPT_RESULT_FAILED


class Unit(FakeSystemd):
    """The unit of a peer: it is down as soon as the peer is."""

    def __init__(self, peer: ValidatorPeer) -> None:
        super().__init__()
        self._peer = peer

    async def state(self, unit: str) -> UnitState:
        running = self._peer.process.returncode is None
        return replace(self.units[unit], main_pid=self._peer.process.pid) if running else unit_state("failed")


class Stand:
    """A validator with plugins, and the agent's side of it."""

    def __init__(self, peer: ValidatorPeer, folder: Path) -> None:
        self.peer, self.folder, self.systemd = peer, folder, Unit(peer)
        self.config = folder / "ys.json"
        self.admin = AdminRpc(peer.ledger / "admin.rpc", call_s=1.0)
        self.node: Node | None = Node(ValidatorSettings(ledger=peer.ledger), NodeRpc(peer.rpc_url), self.admin)
        self.plugins = {"ys": PluginSettings(name="GeyserGrpc", config=self.config)}
        self.listed = {"GeyserGrpc": str(self.config)}

    def make(self, verb: link_pb2.PluginVerb, *, source: str = "ys", timeout_ms: int = 2_000, **more: Any) -> PluginAct:
        action = link_pb2.PluginAction(unit=UNIT, verb=verb, source=source, timeout_ms=timeout_ms, **more)
        return PluginAct(self.systemd, action, self.node, self.plugins, self.listed, watch_s=0.3)

    async def do(self, verb: link_pb2.PluginVerb, **more: Any) -> Outcome:
        act = self.make(verb, **more)
        await act.precondition(await act.look())
        return await act.act(lambda _: None)

    async def refused(self, verb: link_pb2.PluginVerb, **more: Any) -> str:
        with pytest.raises(Refusal) as caught:
            await self.do(verb, **more)
        assert caught.value.message
        return caught.value.reason

    async def loaded(self) -> list[str]:
        return list((await self.peer.admin("listPlugins"))["result"])


def write_config(folder: Path, **more: Any) -> Path:
    (folder / "lib.so").write_bytes(b"\x7fELF")
    path = folder / "ys.json"
    path.write_text(json.dumps({"libpath": "lib.so", "name": "GeyserGrpc", **more}))
    return path


@asynccontextmanager
async def standing(folder: Path, **options: Any) -> AsyncIterator[Stand]:
    config = write_config(folder)
    async with validator_peer(**{"geyser_plugin_config": str(config)} | options) as peer:
        yield Stand(peer, folder)


async def test_a_plugin_is_loaded_anew_let_go_of_and_loaded(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        anew = await stand.do(RELOAD)
        assert (anew.result, anew.reason) == (DONE, "")
        assert anew.figures | {"took_ms": ""} == {
            "plugin": "GeyserGrpc", "plugins": "GeyserGrpc", "loaded": "true", "took_ms": "",
        }  # fmt: skip
        assert anew.after is not None
        assert anew.after.active_state == "active"
        gone = await stand.do(UNLOAD)
        assert (gone.result, gone.figures["plugins"], gone.figures["loaded"]) == (DONE, "", "false")
        assert await stand.loaded() == []
        back = await stand.do(LOAD)
        assert (back.result, back.figures["loaded"]) == (DONE, "true")
        assert await stand.loaded() == ["GeyserGrpc"]


async def test_what_cannot_be_done_is_refused_with_nothing_changed(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        assert await stand.refused(RELOAD, source="other") == "PLUGIN_UNKNOWN"
        assert await stand.refused(LOAD) == "PLUGIN_LOADED"
        assert await stand.refused(link_pb2.PLUGIN_VERB_UNSPECIFIED) == "ACTION_UNKNOWN"
        assert await stand.refused(RELOAD, expected_invocation="cd" * 16) == "INVOCATION_CHANGED"
        for listed in ({}, {"other": str(stand.config)}, {"GeyserGrpc": "/etc/other.json"}):
            stand.listed = listed
            assert await stand.refused(RELOAD) == "NOT_ON_ALLOWLIST"
        stand.listed = {"other": str(stand.config)}
        assert await stand.refused(UNLOAD) == "NOT_ON_ALLOWLIST"
        stand.listed = {"GeyserGrpc": str(stand.config)}
        for wrong in ("{", '{"libpath": "gone.so"}', '{"libpath": "lib.so", "name": "other"}'):
            stand.config.write_text(wrong)
            assert await stand.refused(RELOAD) == "PLUGIN_CONFIG_BAD"
        stand.config.unlink()
        assert await stand.refused(RELOAD) == "PLUGIN_CONFIG_BAD"
        # To let go of a plugin takes no configuration.
        assert (await stand.do(UNLOAD)).result == DONE
        write_config(tmp_path)
        assert await stand.refused(RELOAD) == "PLUGIN_NOT_LOADED"
        assert await stand.refused(UNLOAD) == "PLUGIN_NOT_LOADED"
        stand.plugins = {"ys": PluginSettings(name="GeyserGrpc")}
        assert await stand.refused(LOAD) == "PLUGIN_CONFIG_BAD"
        stand.node = None
        assert await stand.refused(LOAD) == "VALIDATOR_UNKNOWN"
        assert (await stand.peer.admin("pid"))["result"] == stand.peer.process.pid
        assert await stand.loaded() == []


async def test_a_validator_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        await stand.peer.faults(hang=["listPlugins"])
        assert await stand.refused(RELOAD) == "ADMIN_UNREACHABLE"
        stand.node = Node(ValidatorSettings(ledger=tmp_path), NodeRpc(stand.peer.rpc_url), AdminRpc(tmp_path / "gone"))
        assert await stand.refused(RELOAD) == "ADMIN_UNREACHABLE"
    async with standing(tmp_path, geyser_plugin_config=None) as stand:
        assert await stand.refused(LOAD) == "PLUGINS_NOT_SERVED"


async def test_a_reload_that_fails_leaves_none_and_is_mended_by_a_load(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        await stand.peer.faults(plugin_fails="address in use")
        lost = await stand.do(RELOAD)
        assert (lost.result, lost.reason, lost.figures["loaded"]) == (FAILED, "PLUGIN_LOST", "false")
        assert "previous plugin was dropped" in lost.message
        assert "address in use" in lost.message
        refused = await stand.do(LOAD)
        assert (refused.result, refused.reason, refused.figures["loaded"]) == (FAILED, "PLUGIN_REFUSED", "false")
        await stand.peer.faults(plugin_fails=None)
        assert (await stand.do(LOAD)).result == DONE


@pytest.mark.parametrize(("verb", "method"), [(RELOAD, "reloadPlugin"), (UNLOAD, "unloadPlugin")])
async def test_a_plugin_that_takes_the_validator_with_it_is_told_so(
    tmp_path: Path, verb: link_pb2.PluginVerb, method: str
) -> None:
    async with standing(tmp_path) as stand:
        await stand.peer.faults(plugin_dies=method)
        dead = await stand.do(verb)
        assert (dead.result, dead.reason) == (FAILED, "VALIDATOR_DIED")
        assert dead.after is not None
        assert dead.after.active_state == "failed"


async def test_a_plugin_that_hangs_is_waited_for_no_longer_than_was_asked(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        await stand.peer.faults(hang=["unloadPlugin"])
        stuck = await stand.do(UNLOAD, timeout_ms=1_000)
        assert (stuck.result, stuck.reason, stuck.figures["loaded"]) == (FAILED, "ADMIN_TIMEOUT", "true")
        assert 900 < float(stuck.figures["took_ms"]) < 2_000


async def test_a_load_that_was_done_though_nobody_said_so_is_done(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        await stand.do(UNLOAD)
        act = stand.make(LOAD)
        await act.precondition(await act.look())
        await stand.peer.admin("loadPlugin", str(stand.config))
        late = await act.act(lambda _: None)
        assert (late.result, late.figures["loaded"]) == (DONE, "true")
        assert "already exists" in late.message


async def test_after_a_crash_the_validators_list_says_what_was_done(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        for verb, done in ((LOAD, True), (UNLOAD, False)):
            act = stand.make(verb)
            now = await act.look()
            assert act.already_done(now, now) is done
        seen = await (act := stand.make(LOAD)).look()
        assert act.already_done(seen, seen)
        assert (await act.see_through(seen)).result == DONE
        # Not known is not done, and to do it once more is harmless.
        await stand.peer.faults(hang=["listPlugins"])
        act = stand.make(LOAD)
        now = await act.look()
        assert not act.already_done(now, now)


async def test_after_a_crash_a_reload_is_never_done_again(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        act = stand.make(RELOAD)
        now = await act.look()
        assert act.already_done(now, now)
        unknown = await act.see_through(now)
        assert (unknown.result, unknown.reason, unknown.figures["loaded"]) == (FAILED, "RELOAD_UNKNOWN", "true")
        await stand.peer.admin("unloadPlugin", "GeyserGrpc")
        act = stand.make(RELOAD)
        now = await act.look()
        assert act.already_done(now, now)
        lost = await act.see_through(now)
        assert (lost.reason, lost.figures["loaded"]) == ("PLUGIN_LOST", "false")


async def test_after_a_crash_a_validator_that_was_started_anew_has_died(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        act = stand.make(LOAD)
        before = await act.look()
        stand.systemd.units[UNIT] = unit_state(invocation="ef" * 16)
        now = await act.look()
        assert act.already_done(before, now)
        assert (await act.see_through(now)).reason == "VALIDATOR_DIED"


async def test_the_helper_goes_by_roots_list_itself(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        methods = ("listPlugins", "loadPlugin", "reloadPlugin", "unloadPlugin", "startTime")
        # Root took the plugin off the list; the agent has not read that yet, or somebody else is the agent.
        async with helped(tmp_path, stand.peer.ledger, Allowlist({}, (), methods)) as socket:
            assert stand.node is not None
            stand.node.admin = AdminRpc(socket)
            for verb in (RELOAD, UNLOAD):
                outcome = await stand.do(verb)
                assert (outcome.result, outcome.reason) == (FAILED, "NOT_ON_ALLOWLIST")
                assert "`plugins` in this host's allowlist does not name" in outcome.message
        assert await stand.loaded() == ["GeyserGrpc"]
