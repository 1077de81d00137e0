"""A Yellowstone stream and a plugin, from the wire through a real agent to the operator: they fail, and come back."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.peers.fixtures import validator_peer
from tests.peers.validator_admin import ask
from tests.peers.yellowstone import yellowstone
from tests.support.cluster import About, Cluster, cluster

SOON_S = 45.0
STREAM = [
    {"name": "node", "kind": "node", "host": "sol-1"},
    {"name": "stream", "kind": "stream", "host": "sol-1", "source": "ys-stream"},
]
PLUGIN = [
    {"name": "node", "kind": "node", "host": "sol-1"},
    {"name": "plugin", "kind": "plugin", "host": "sol-1", "source": "ys"},
]


async def hop(made: Cluster, name: str) -> dict[str, Any]:
    """Show one hop of the only pipeline."""
    shown = await made.ctl_json("geyser", "explain", "main")
    return next(one for one in shown["hops"] if one["name"] == name)


async def until(made: Cluster, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(SOON_S):
            while not holds(found := await hop(made, name)):
                await asyncio.sleep(0.3)
            return found
    except TimeoutError:
        shown = await made.ctl_json("geyser", "explain", "main")
        raise AssertionError((shown, (await made.ctl("operations", "list", check=False)).out)) from None


async def test_a_stream_dies_and_comes_back(tmp_path: Path) -> None:
    pipelines = {"pipelines": {"main": {"hops": STREAM}}}
    clock = {"genesis": time.time(), "slot_ms": 100, "first_slot": 1_000}
    async with (
        validator_peer(**clock) as outside, yellowstone(slot_ms=100) as peer,
        cluster(tmp_path, geyser=pipelines) as made,
    ):  # fmt: skip
        peer.faults.delay_ms = 80
        await made.sign_in()
        streams = {"streams": {"ys-stream": {"url": peer.url, "counts": True, "silent_seconds": 5}}}
        rpc = {"websocket": peer.ws_url, "references": [outside.rpc_url]}
        host = await made.add_host("sol-1", About(guarded=True, rpc=rpc, geyser=streams), **clock)
        well = await until(
            made, "stream", lambda one: one["flow"] == "FLOW_OK" and "slot_delay_seconds" in one["figures"]
        )
        assert 0.06 < well["figures"]["slot_delay_seconds"] < 0.16
        assert abs(int(float(well["newestSlot"])) - peer.node.slot.number) < 100
        assert well["figures"]["stream_up"] == 1

        await peer.down()
        await until(made, "stream", lambda one: one["flow"] == "FLOW_DOWN")
        told = (await made.ctl("logs", "--kind", "geyser.stream", "-o", "json")).out
        (event,) = [json.loads(line)["event"] for line in told.splitlines()]
        assert (event["attributes"]["source"], event["attributes"]["class"]) == ("ys-stream", "transport")
        assert host.agent
        assert host.agent.returncode is None

        await peer.up()
        await until(made, "stream", lambda one: one["flow"] == "FLOW_OK")
        # It stands and says nothing: it is made anew until slots come again.
        opened = peer.service.opened
        peer.faults.silent = True
        await until(made, "stream", lambda one: one["flow"] in ("FLOW_DOWN", "FLOW_STALLED"))
        peer.faults.silent = False
        await until(made, "stream", lambda one: one["flow"] == "FLOW_OK")
        assert peer.service.opened > opened


async def test_a_plugin_that_left_the_validator_is_loaded_again(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(b"\x7fELF")
    config = tmp_path / "ys.json"
    config.write_text(json.dumps({"libpath": "lib.so", "name": "GeyserGrpc"}))
    cure = {"hop": "plugin", "for_seconds": 5, "steps": ["load_plugin"]}
    recovery = {"cures": [cure], "settle_seconds": 10}
    pipelines = {"pipelines": {"main": {"hops": PLUGIN, "recovery": recovery}}}
    clock = {"genesis": time.time() - 3_600}
    async with (
        validator_peer(**clock) as outside,
        # A gate asks a node outside of the fleet, too.
        cluster(tmp_path, geyser=pipelines, require_second_factor=False, solana_rpc_url=outside.rpc_url) as made,
    ):
        await made.sign_in()
        plugins = {"plugins": {"ys": {"name": "GeyserGrpc", "config": str(config)}}}
        host = await made.add_host(
            "sol-1",
            About(guarded=True, rpc={"references": [outside.rpc_url]}, geyser=plugins),
            geyser_plugin_config=str(config),
            leader_every=0,
            **clock,
        )
        await until(made, "plugin", lambda one: one["flow"] == "FLOW_OK")
        await made.ctl("geyser", "recovery", "main", "on", "--yes")
        ledger = host.folder / "ledger"
        assert (await ask(ledger, "unloadPlugin", "GeyserGrpc"))["result"] is None
        await until(made, "plugin", lambda one: one["flow"] == "FLOW_DOWN")
        await until(made, "plugin", lambda one: one["flow"] == "FLOW_OK")
        assert (await ask(ledger, "listPlugins"))["result"] == ["GeyserGrpc"]
        (done,) = [one for one in await made.ctl_json("operations", "list") if one["kind"] == "geyser.load_plugin"]
        assert done["state"] == "OPERATION_STATE_SUCCEEDED", done
