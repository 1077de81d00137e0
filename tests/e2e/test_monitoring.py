"""Everybody's tools at once: Prometheus scrapes and judges, the dashboards find their data, and people are told."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.e2e.test_alertmanager import configured, until
from tests.e2e.test_bundles import Bundle, reached
from tests.e2e.test_rolling import faults
from tests.peers.block_engine import Peer, block_engine
from tests.peers.fixtures import validator_peer
from tests.peers.yellowstone import yellowstone
from tests.support.cluster import About, Cluster, cluster
from tests.support.dashboards import ask, panels
from tests.support.kafka import kafka
from tests.support.monitoring import Notified, alertmanager, notified, prometheus
from tests.support.ports import free_ports
from tests.support.postgres import postgres
from tests.support.victoria import VictoriaServer
from tools import gen_monitoring

BOARDS = tuple(sorted(Path("dashboards").glob("*.json")))
FILL_S = 60.0
FAILING = {
    "name": "rpc_failing", "severity": "warning", "summary": "calls fail", "for_seconds": 1, "resolve_seconds": 1,
    "series": {
        "series": "solana_rpc_errors", "over": "solana_rpc_requests", "statistic": "ratio", "above": 0.05,
        "window_seconds": 5,
    },
}  # fmt: skip

pytestmark = pytest.mark.timeout(300)


def impatient(folder: Path) -> Path:
    """Write the shipped rules, with seconds where they wait for minutes."""
    text = re.sub(r"\[5m\]", "[10s]", yaml.safe_dump(gen_monitoring.rules()))
    path = folder / "rules.yml"
    path.write_text(re.sub(r"for: \d+m", "for: 1s", text))
    return path


def scraped(folder: Path, metrics_port: int, alertmanager_url: str) -> Path:
    """Write Prometheus' configuration."""
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(impatient(folder))],
        "scrape_configs": [{"job_name": "solward", "static_configs": [{"targets": [f"127.0.0.1:{metrics_port}"]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]},
    }))  # fmt: skip
    return path


PIPELINES = {"pipelines": {"slots": {"hops": [
    {"name": "node", "kind": "node", "host": "sol-1"},
    {"name": "stream", "kind": "stream", "host": "sol-1", "source": "ys"},
    {"name": "rows", "kind": "sink", "host": "sol-1", "source": "db", "table": "slot"},
]}}}  # fmt: skip


async def pipeline(stack: AsyncExitStack, folder: Path, genesis: float) -> dict[str, Any]:
    """Run a stream, a broker and a database; gives the settings of the agent that looks at them."""
    # In step with the validator, which makes 2.5 slots a second from its genesis on, and a little later.
    first_slot = 300_000_000 + int((time.time() - genesis) * 2.5) - 2
    stream = await stack.enter_async_context(yellowstone(slot_ms=400, first_slot=first_slot))
    broker, database = stack.enter_context(kafka()), stack.enter_context(postgres())
    broker.create("solana.slots")
    broker.produce("solana.slots", {0: 5})
    broker.commit("indexer", "solana.slots", {0: 2})
    database.sql("CREATE TABLE slot (slot bigint PRIMARY KEY, updated_on timestamp NOT NULL)")
    database.sql("INSERT INTO slot VALUES (7, now() AT TIME ZONE 'utc')")
    secret = folder / "db.url"
    secret.touch(0o600)
    secret.write_text(database.url().replace("+asyncpg", ""))
    return {
        "streams": {"ys": {"url": stream.url}}, "kafka": {"main": {"brokers": [broker.address]}},
        "sinks": {"db": {"postgresql": {"url_file": str(secret)}}},
    }  # fmt: skip


@asynccontextmanager
async def everything(folder: Path) -> AsyncIterator[tuple[Cluster, str, Notified, Peer]]:
    """Run two hosts that are watched from all sides, VictoriaMetrics as the store, and who watches them."""
    genesis = time.time() - 3600
    (folder / "victoria").mkdir()
    victoria = VictoriaServer(folder / "victoria")
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(victoria.start)
        stack.callback(victoria.kill)
        told = await stack.enter_async_context(notified())
        managed = await stack.enter_async_context(alertmanager(folder, configured(folder, told)))
        engine = await stack.enter_async_context(block_engine("ny", "slc"))
        outside = await stack.enter_async_context(validator_peer(genesis=genesis))
        # Nobody listens there: its breaker opens, and that is to be seen.
        nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
        store = {"victoria_metrics_url": victoria.url}
        ny = engine["ny"]
        settings = {
            "store": store, "alertmanager_url": nobody, "alerts": {"rules": [FAILING]}, "require_second_factor": False,
            "solana_rpc_url": f"{ny.json_rpc}/rpc",
            "jito": {"tip_floor_url": f"{ny.json_rpc}/api/v1/bundles/tip_floor", "tip_floor_seconds": 1},
        }  # fmt: skip
        made = await stack.enter_async_context(cluster(folder, geyser=PIPELINES, **settings))
        await made.sign_in()
        (ws_port,) = free_ports(1)
        rpc = {
            "websocket": f"ws://127.0.0.1:{ws_port}", "references": [outside.rpc_url], "reference_period_seconds": 0.5,
            "methods": [{"name": "getSlot"}, {"name": "getBlock", "period_seconds": 0.25}, {"name": "getSupply"},
                        {"name": "getBlockHeight"}],
        }  # fmt: skip
        seen = await pipeline(stack, folder, genesis)
        about = About(guarded=True, rpc=rpc, jito=reached(engine), geyser=seen)
        await made.add_host("sol-1", about, genesis=genesis, ws_port=ws_port)
        url = await stack.enter_async_context(prometheus(folder, scraped(folder, made.metrics_port, managed)))
        yield made, url, told, engine


async def empty(session: aiohttp.ClientSession, url: str) -> list[str]:
    """Name the queries of all dashboards that find nothing."""
    return [
        f"{board.stem}, {panel.title}: {asked.expr}"
        for board in BOARDS
        for panel in panels(board)
        for asked in panel.queries
        if not await ask(session, url, "query", query=asked.expr)
    ]


async def test_every_panel_finds_data_and_a_fault_is_told_and_taken_back(tmp_path: Path) -> None:
    async with everything(tmp_path) as (made, url, told, engine), aiohttp.ClientSession() as session:
        host = made.hosts["sol-1"]
        # Slow and failing calls, so that what shows them has something to show; and a call that is refused.
        await faults(host, latency_ms={"getBlock": 600}, error_code={"getBlockHeight": -32005})
        assert (await made.ctl("hosts", "show", "nobody", check=False)).code == 5

        # Bundles of which one lands, and one that is refused for want of a budget.
        await made.ctl("jito", "budget", "set", "20000")
        for tip in (10_000, 30_000):
            await made.ctl("jito", "submit", *Bundle(tmp_path, engine, tip).files, "--strategy", "arb", check=False)

        def said(words: str) -> bool:
            return any(words in str(one) for one in told.slack)

        await until(lambda: said("firing: SolanaRpcErrors"), f"Prometheus' rules tell Slack: {told.slack[-3:]}")
        deadline = time.monotonic() + FILL_S
        while (missing := await empty(session, url)) and time.monotonic() < deadline:
            await asyncio.sleep(1)
        assert not missing, "\n".join(missing)

        stored = await made.ctl_json("metrics", "query", "solana_rpc_latency_seconds", "--match", "method=getSlot")
        assert stored["series"]
        await faults(host, latency_ms=None, error_code=None)
        await until(lambda: said("resolved: SolanaRpcErrors"), f"Slack is told of the end: {told.slack[-3:]}")


def test_the_dashboards_are_those_that_are_promised() -> None:
    promised = ["mev-tracking", "rpc-performance", "system-overview", "validator-health"]
    assert [path.stem for path in BOARDS] == promised
