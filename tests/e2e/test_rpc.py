"""RPC monitoring from the node to the operator: connections, subscriptions, lag, and what a node does not offer."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.test_rolling import faults
from tests.peers.fixtures import validator_peer
from tests.support.cluster import About, Cluster, cluster
from tests.support.ports import free_ports


async def seen(made: Cluster) -> dict[str, Any]:
    """Show the connections of the only host; nothing before it has sent any sample."""
    found: list[dict[str, Any]] = await made.ctl_json("rpc", "connections", "--host", "sol-1", "--window", "5")
    return found[0] if found else {}


async def scored(made: Cluster) -> dict[str, dict[str, Any]]:
    """Show the health of the only host's methods, by name."""
    shown = await made.ctl_json("rpc", "health")
    return {one["method"]: one for host in shown["hosts"] for one in host["methods"]}


async def until(made: Cluster, what: str, **wanted: Any) -> dict[str, Any]:
    """Look until a part of the report shows what is wanted."""
    try:
        async with asyncio.timeout(30):
            while not wanted.items() <= (node := await seen(made)).get(what, {}).items():
                await asyncio.sleep(0.2)
            return node
    except TimeoutError:
        raise AssertionError(await seen(made)) from None


async def see_stored(made: Cluster) -> None:
    """What was measured is stored, and found again."""
    question = ("metrics", "query", "solana_rpc_latency_seconds", "--match", "method=getSlot", "--as", "count")
    async with asyncio.timeout(20):
        while not (stored := await made.ctl_json(*question, "--since", "30m", "--step", "1h"))["series"]:
            await asyncio.sleep(0.5)
    assert [one["labels"] for one in stored["series"]] == [{"host": "sol-1", "method": "getSlot"}]
    assert "host=sol-1" in (await made.ctl(*question)).out


async def test_a_node_is_watched_from_all_sides(tmp_path: Path) -> None:
    genesis = time.time() - 3600
    (ws_port,) = free_ports(1)
    async with validator_peer(genesis=genesis) as outside, cluster(tmp_path) as made:
        await made.sign_in()
        rpc = {
            "websocket": f"ws://127.0.0.1:{ws_port}", "references": [outside.rpc_url], "reference_period_seconds": 0.5,
            "methods": [{"name": "getSlot"}, {"name": "getBlock", "period_seconds": 0.5}, {"name": "getSupply"}],
        }  # fmt: skip
        host = await made.add_host("sol-1", About(rpc=rpc), genesis=genesis, ws_port=ws_port)
        node = await until(made, "reference", reliable=True)
        assert -3 <= int(node["reference"]["lagSlots"]) <= 3
        node = await until(made, "subscription", up=True)
        assert int(node["subscription"]["slots"]) >= 1
        assert node["notOffered"] == ["getSupply"]
        assert node["pool"]["connectP50Ms"] > 0
        table = (await made.ctl("rpc", "connections")).out
        assert "sol-1" in table
        assert "getSupply" in table
        (row,) = (await made.ctl_json("rpc", "latency", "--method", "getBlock"))["methods"]
        assert (row["errors"], int(row["requests"]) > 0) == ({}, True)

        async with asyncio.timeout(20):
            while "getSlot" not in (methods := await scored(made)):
                await asyncio.sleep(0.5)
        # A method that is not offered is not scored, and one without a past has no latency to compare yet.
        assert (methods["getSlot"]["availability"], methods["getSlot"]["success"]) == (1.0, 1.0)
        assert "getSupply" not in methods
        assert "getSlot" in (await made.ctl("rpc", "health", "--host", "sol-1")).out
        assert "Fleet" in (await made.ctl("rpc", "health")).out

        await see_stored(made)

        # The node falls behind; then the outside is gone, and nothing is said of the node any more.
        await faults(host, behind_slots=200)
        async with asyncio.timeout(20):
            while int((await seen(made))["reference"]["lagSlots"]) < 190:
                await asyncio.sleep(0.2)
        assert "slots" in (await made.ctl("rpc", "connections")).out
        await outside.faults(http_status={"*": 503})
        node = await until(made, "reference", reliable=False)
        assert int(node["reference"]["lagSlots"]) == 0
        assert any(name.startswith("0:http_503") for name in node["reference"]["errors"])
        assert "monitor unreliable" in (await made.ctl("rpc", "connections")).out.replace("\n", " ")

        page_url = f"http://127.0.0.1:{made.metrics_port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(page_url) as answer:
            page = await answer.text()
        for series in ("solana_ws_up{", "solana_ws_slots_total{", "solana_rpc_monitor_reliable{",
                       'solana_rpc_unusual{host="sol-1"} 0.0',
                       'solana_rpc_not_offered{host="sol-1",method="getSupply"}'):  # fmt: skip
            assert series in page, series
        assert outside.rpc_url not in page
        assert outside.rpc_url not in json.dumps(node)
