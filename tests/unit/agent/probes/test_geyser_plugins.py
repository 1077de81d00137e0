"""Plugins as they are told of: by the validator's list, and by pages that stand, fail, begin anew, or have no end."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.geyser.bells import PluginBells
from agent.geyser.plugin_settings import PluginSettings
from agent.host.admin_rpc import AdminRpc
from agent.probes.geyser_plugins import KIND, PluginProbe
from tests.peers.fixtures import validator_peer
from tests.peers.plugin_metrics import Peer, plugin_metrics
from tests.support.sink import Kept


@asynccontextmanager
async def probing(probe: PluginProbe) -> AsyncIterator[Kept]:
    kept = Kept()
    task = asyncio.create_task(probe.run(kept))
    try:
        yield kept
        assert not task.done(), "a probe ended by itself"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)


def of(peer: Peer) -> PluginProbe:
    return PluginProbe({"ys": PluginSettings(metrics_url=peer.url, period_seconds=1, timeout_seconds=0.5)}, None)


def errors(kept: Kept, kind: str) -> int:
    return len(kept.of("geyser_errors", source="ys", **{"class": kind}))


async def test_a_page_is_told_and_so_is_its_beginning_anew() -> None:
    async with plugin_metrics() as peer, probing(of(peer)) as kept:
        await until(lambda: kept.of("geyser_plugin_metrics_up", source="ys"))
        peer.figures.accounts, peer.figures.dropped, peer.figures.queue = 4_000, 7, 3
        peer.figures.seen_slot = peer.figures.sent_slot = 1_004
        await until(lambda: kept.of("geyser_plugin_dropped", source="ys", kind="account"))
        assert kept.of("geyser_newest_slot", source="ys")[-1] == 1_004
        assert kept.of("geyser_plugin_queue", source="ys")[-1] == 3
        assert 3_000 < max(kept.of("geyser_events_rate", source="ys", kind="account")) < 5_000
        assert sum(kept.of("geyser_plugin_dropped", source="ys", kind="account")) == 7
        assert not kept.of("geyser_plugin_restarts", source="ys")
        peer.figures.begin_anew()
        peer.figures.dropped = 2
        await until(lambda: kept.of("geyser_plugin_restarts", source="ys"))
        assert sum(kept.of("geyser_plugin_dropped", source="ys", kind="account")) == 9
        # Without an admin socket nothing is known of the list.
        assert not kept.of("geyser_plugin_loaded", source="ys")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("garbage", "invalid"), ("huge", "too_large"), ("hang", "timeout"), ("drip", "timeout"), ("status", "http_503")],
)
async def test_a_page_that_cannot_be_read_is_down_and_nothing_else_is_said(fault: str, kind: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with plugin_metrics() as peer:
        peer.fault = fault
        async with probing(of(peer)) as kept:
            await until(lambda: errors(kept, kind))
            await until(lambda: kept.of("geyser_plugin_metrics_up", source="ys"))
            assert set(kept.of("geyser_plugin_metrics_up", source="ys")) == {0.0}
            assert {series.name for series in kept.values} == {"geyser_errors", "geyser_plugin_metrics_up"}
            peer.fault = ""
            await until(lambda: kept.of("geyser_plugin_metrics_up", source="ys")[-1] == 1)
    # Of a hundred megabytes eight are held at the most.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024


async def test_a_plugin_that_is_gone_is_down_and_its_breaker_leaves_it_alone() -> None:
    async with plugin_metrics() as peer:
        gone = of(peer)
    async with probing(gone) as kept:
        await until(lambda: errors(kept, "transport") >= 3)
        assert set(kept.of("geyser_plugin_metrics_up", source="ys")) == {0.0}


async def test_a_page_of_somebody_else_is_up_and_not_known() -> None:
    async with plugin_metrics("stranger") as peer, probing(of(peer)) as kept:
        await until(lambda: errors(kept, "unknown_page"))
        assert kept.of("geyser_plugin_metrics_up", source="ys") == [1.0]


def config_in(folder: Path, name: str) -> Path:
    (folder / "lib.so").write_bytes(b"\x7fELF")
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"libpath": "lib.so", "name": name}))
    return path


async def test_the_validators_list_is_told_and_its_changes_are_events(tmp_path: Path) -> None:
    config, other = config_in(tmp_path, "GeyserGrpc"), config_in(tmp_path, "other")
    plugins = {"ys": PluginSettings(name="GeyserGrpc", config=config), "kafka": PluginSettings()}
    async with validator_peer(geyser_plugin_config=str(config)) as peer:
        probe = PluginProbe(plugins, AdminRpc(peer.ledger / "admin.rpc", call_s=1.0), list_period_s=0.1)
        async with probing(probe) as kept:
            await until(lambda: kept.of("geyser_plugin_loaded", source="ys"))
            assert kept.of("geyser_plugin_loaded", source="ys")[-1] == 1
            assert kept.of("geyser_plugin_loaded", source="kafka")[-1] == 0
            assert not kept.events
            await peer.admin("unloadPlugin", "GeyserGrpc")
            await until(lambda: kept.of("geyser_plugin_loaded", source="ys")[-1] == 0)
            await peer.admin("loadPlugin", str(other))
            await until(lambda: len(kept.events) == 2)
            assert [(event.kind, dict(event.attributes)) for event in kept.events] == [
                (KIND, {"plugin": "GeyserGrpc", "state": "unloaded", "source": "ys"}),
                (KIND, {"plugin": "other", "state": "loaded"}),
            ]
            told = len(kept.of("geyser_plugin_loaded", source="ys"))
            await peer.crash()
            await until(lambda: errors(kept, "admin_unreachable") >= 2)
            # A validator that is down has said nothing of its plugins.
            assert len(kept.of("geyser_plugin_loaded", source="ys")) <= told + 1
            assert len(kept.events) == 2


async def test_a_validator_that_takes_no_plugins_has_none() -> None:
    async with validator_peer() as peer:
        probe = PluginProbe({"ys": PluginSettings()}, AdminRpc(peer.ledger / "admin.rpc"), list_period_s=0.1)
        async with probing(probe) as kept:
            await until(lambda: kept.of("geyser_plugin_loaded", source="ys"))
            assert kept.of("geyser_plugin_loaded", source="ys")[-1] == 0
            assert not kept.of("geyser_errors", source="ys")


async def test_the_list_is_looked_at_at_once_when_a_plugin_is_doubted(tmp_path: Path) -> None:
    config, bells = config_in(tmp_path, "ys"), PluginBells()
    async with validator_peer(geyser_plugin_config=str(config)) as peer:
        probe = PluginProbe({"ys": PluginSettings()}, AdminRpc(peer.ledger / "admin.rpc"), bells, list_period_s=60)
        async with probing(probe) as kept:
            await until(lambda: kept.of("geyser_plugin_loaded", source="ys") == [1])
            await peer.admin("unloadPlugin", "ys")
            bells.doubted.ring()
            await until(lambda: kept.of("geyser_plugin_loaded", source="ys") == [1, 0])
            assert bells.loaded.times == 0
            await peer.admin("loadPlugin", str(config))
            bells.doubted.ring()
            await until(lambda: kept.of("geyser_plugin_loaded", source="ys") == [1, 0, 1])
            assert bells.loaded.times == 1
            # However often it rings, the validator is asked a few times a second at the most.
            for _ in range(100):
                bells.doubted.ring()
                await asyncio.sleep(0.005)
            assert len(kept.of("geyser_plugin_loaded", source="ys")) <= 3 + 4
