"""A real Prometheus and a real VictoriaMetrics: scraped as OpenMetrics, asked for exemplars, written to."""

import asyncio
import json
import math
import random
import re
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from prometheus_client.core import GaugeMetricFamily

import controlplane.app
from common import traceparent
from controlplane.guard.observe import Observe
from controlplane.telemetry.exposition import metrics_app
from controlplane.telemetry.otlp.resource import own_resource
from controlplane.telemetry.otlp.settings import OtlpSettings
from controlplane.telemetry.otlp.spans import Traces
from tests.support.calls import call, person
from tests.support.monitoring import prometheus
from tests.support.ports import free_ports
from tests.support.remote_write import CLUSTER, Fleet, counted, sent, settings, writing
from tests.support.victoria import VictoriaServer

FEATURES = ("--enable-feature=exemplar-storage,native-histograms", "--web.enable-remote-write-receiver")
GAUGE = ("solana_ws_up", {}, 1.0)
LATENCY = "solana_rpc_latency_seconds"
# Of what agents count by the second, that is shown as a total.
COUNTED = {
    "solana_rpc_requests", "solana_rpc_errors", "solana_rpc_skipped", "solana_ws_slots", "solana_ws_missed_slots",
    "solana_ws_errors", "solana_log_lines", "solana_log_datapoints", "solward_agent_events_dropped",
}  # fmt: skip


def configured(folder: Path, target: str = "") -> Path:
    scrapes = [{"job_name": "solward", "static_configs": [{"targets": [target]}]}] if target else []
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": scrapes}))
    return path


async def api(url: str, path: str, **fields: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/v1/{path}", params=fields) as answer:
        told = await answer.json()
    assert told["status"] == "success", told
    return told["data"]


async def value(url: str, query: str, **fields: str) -> float | None:
    found = (await api(url, "query", query=query, **fields))["result"]
    assert len(found) <= 1, found
    return float(found[0]["value"][1]) if found else None


async def eventually(ask: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await ask():
            await asyncio.sleep(0.1)


class Served:
    """A page, and what those who read it said they take."""

    def __init__(self) -> None:
        self.accepts: set[str] = set()
        self.encodings: set[str] = set()
        self.target = ""

    @web.middleware
    async def note(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
        answer = await handler(request)
        self.accepts.add(answer.headers["Content-Type"])
        self.encodings.add(answer.headers.get("Content-Encoding", ""))
        return answer


@asynccontextmanager
async def served(fleet: Fleet) -> AsyncIterator[Served]:
    made = Served()
    app = metrics_app(fleet)
    app.middlewares.append(made.note)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.target = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


async def observed_trace() -> str:
    """Let a call be served while traces are collected; gives the trace's id."""
    observe = Observe(Traces(OtlpSettings(endpoint="http://localhost:4317"), own_resource("")))
    parent = traceparent.begin()
    made = call(metadata={"traceparent": str(parent)}, principal=person())
    await observe.enter(made)
    await observe.leave(made, None)
    return parent.trace_id


async def test_openmetrics_is_scraped_and_exemplars_are_read_back(tmp_path: Path) -> None:
    fleet = Fleet()
    odd = {"detail": 'a "b"\\c\nd é', "class": ""}
    fleet.tell("sol-1", GAUGE, ("solana_log_lines", odd, 2.0), ("node_cpu_seconds_total", {}, 7.0))
    fleet.observe("sol-1", "getSlot", [0.003, 0.2])
    trace_id = await observed_trace()
    async with served(fleet) as page, prometheus(tmp_path, configured(tmp_path, page.target), *FEATURES) as url:

        async def scraped() -> bool:
            return await value(url, 'up{job="solward"}') == 1.0

        await eventually(scraped)
        assert page.accepts == {"application/openmetrics-text; version=1.0.0; charset=utf-8"}
        assert page.encodings == {"gzip"}
        assert await value(url, "node_cpu_seconds_total") == 7.0
        (lines,) = (await api(url, "query", query="solana_log_lines"))["result"]
        assert lines["metric"]["detail"] == odd["detail"]
        assert await value(url, f'{LATENCY}_bucket{{le="0.005"}}') == 1.0
        (about,) = (await api(url, "metadata", metric="node_cpu_seconds"))["node_cpu_seconds"]
        assert about["unit"] == "seconds"
        asked = {"query": "solward_grpc_call_seconds_bucket", "start": "0", "end": str(time.time() + 60)}
        # Other calls of this process may have left some of theirs.
        named = {
            exemplar["labels"]["trace_id"]
            for one in await api(url, "query_exemplars", **asked)
            if one["seriesLabels"]["method"] == "toy.v1.Toys/Play"
            for exemplar in one["exemplars"]
        }
        assert trace_id in named


NAMED = re.compile(r'"((?:solana|node|solward_agent)_[a-z_]+)"')


async def test_the_page_has_nothing_that_promtool_complains_of() -> None:
    # Every metric of the process is there once all of it is imported; of agents, every name that their probes know.
    assert controlplane.app.App
    names = {name for path in Path("agent").rglob("*.py") for name in NAMED.findall(path.read_text())}
    assert len(names) > 40
    fleet = Fleet()
    fleet.tell("sol-1", *((name, {}, 7.0) for name in sorted(names) if name not in COUNTED))
    fleet.tell("sol-1", *((name, {}, 7.0) for name in sorted(COUNTED)), counts=True)
    fleet.observe("sol-1", "getSlot", [0.003, 0.2])
    async with (
        served(fleet) as page,
        aiohttp.ClientSession() as session,
        session.get(f"http://{page.target}/metrics") as answer,
    ):
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.read()
    said = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (said.returncode, said.stdout + said.stderr) == (0, b"")


async def test_what_is_written_to_prometheus_is_the_page(tmp_path: Path) -> None:
    fleet = Fleet()
    fleet.tell("sol-1", GAUGE, ("node_cpu_seconds_total", {}, 7.0))
    fleet.observe("sol-1", "getSlot", [0.003, 0.2])
    firing = GaugeMetricFamily("solward_alert_firing", "x", labels=("host", "rule", "detail"))
    firing.add_metric(("sol-1", "rpc_down", ""), 1.0)
    fleet.families = [firing]
    async with served(fleet) as page, prometheus(tmp_path, configured(tmp_path, page.target), *FEATURES) as url:
        wanted = settings({"url": f"{url}/api/v1/write"}, external_labels={"job": "written", "instance": "cp-1"})
        before = counted("refused")
        async with writing(fleet, wanted) as made:
            await made.write_now()
            await sent(made)

            async def scraped() -> bool:
                return await value(url, 'up{job="solward"}') == 1.0

            await eventually(scraped)
            assert made.senders[0].protocol == "v1"
            names = 'count({job="%s", __name__=~"(solana|node|solward|python|process)_.*"})'
            both = [await value(url, names % job) for job in ("written", "solward")]
            # A Prometheus that scrapes reads more of what the first page of a process has not.
            assert both[0]
            assert both[0] == pytest.approx(both[1], abs=30)
            assert await value(url, f'node_cpu_seconds_total{{job="written",cluster="{CLUSTER}",instance="cp-1"}}') == 7
            assert await value(url, f'{LATENCY}_bucket{{job="written",le="0.005"}}') == 1.0
            # Gone at once, not after five minutes.
            fleet.ingest.forget("sol-1")
            fleet.families = []
            await made.write_now()
            await sent(made)
            assert await value(url, 'count({job="written",host="sol-1",__name__=~"(solana|node|solward)_.*"})') is None
        assert counted("refused") == before


async def test_native_histograms_give_quantiles_within_ten_percent(tmp_path: Path) -> None:
    chance = random.Random(7)
    fleet = Fleet(native=True)
    seen: list[float] = []
    async with prometheus(tmp_path, configured(tmp_path), *FEATURES) as url:
        wanted = settings({"url": f"{url}/api/v1/write"}, native_histograms=True)
        before = counted("refused")
        async with writing(fleet, wanted) as made:
            for _ in range(4):
                fresh = [chance.lognormvariate(-4, 1.2) for _ in range(500)]
                fleet.observe("sol-1", "getSlot", fresh)
                seen += fresh
                await made.write_now()
                await sent(made)
            seen.sort()
            for share in (0.05, 0.5, 0.95, 0.99):
                found = await value(url, f'histogram_quantile({share}, {LATENCY}{{method="getSlot"}})')
                assert found == pytest.approx(seen[int(share * len(seen))], rel=0.1), share
            assert await value(url, f"histogram_count({LATENCY})") == 2000
            assert await value(url, f"histogram_sum({LATENCY})") == pytest.approx(math.fsum(seen))
            # The agent is cut off and comes back: its counts begin anew.
            fleet.ingest.forget("sol-1")
            await made.write_now()
            await sent(made)
            assert await value(url, f"histogram_count({LATENCY})") is None
            fleet.observe("sol-1", "getSlot", [0.5] * 10)
            await made.write_now()
            await sent(made)
            assert await value(url, f"histogram_count({LATENCY})") == 10
        assert counted("refused") == before


async def test_nothing_is_lost_while_prometheus_is_away(tmp_path: Path) -> None:
    fleet = Fleet()
    config = configured(tmp_path)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    wanted = settings({"url": f"{url}/api/v1/write"})
    async with writing(fleet, wanted) as made:
        began = time.time()
        for number in range(8):
            fleet.tell("sol-1", ("solana_rpc_slot_lag", {}, float(number)))
            await made.write_now()
            await asyncio.sleep(0.05)
        async with prometheus(tmp_path, config, *FEATURES, port=port) as url:
            await sent(made, 60)
            asked = {"query": "solana_rpc_slot_lag[5m]", "time": str(time.time())}
            (found,) = (await api(url, "query", **asked))["result"]
            assert [float(one) for _, one in found["values"]] == list(range(8))
            assert found["values"][0][0] == pytest.approx(began, abs=1)


async def test_victoria_metrics_takes_what_is_written(tmp_path: Path) -> None:
    server = VictoriaServer(tmp_path)
    await asyncio.to_thread(server.start)
    try:
        fleet = Fleet()
        wanted = settings({"url": f"{server.url}/api/v1/write"})
        async with writing(fleet, wanted) as made:
            for number in range(3):
                fleet.tell("sol-1", ("solana_rpc_slot_lag", {}, float(number)))
                await made.write_now()
                await sent(made)
                await asyncio.sleep(0.02)
            # It says 204 to protocol 2.0 too, and keeps nothing of it.
            assert made.senders[0].protocol == "v1"
        line: dict[str, Any] = {}

        async def all_shown() -> bool:
            await asyncio.to_thread(server.show)
            found = await asyncio.to_thread(server.get, "/api/v1/export?match[]=solana_rpc_slot_lag")
            line.update(json.loads(found or "{}"))
            return len(line.get("values", [])) == 3

        await eventually(all_shown)
        assert line["values"] == [0, 1, 2]
        assert line["metric"] == {
            "__name__": "solana_rpc_slot_lag", "cluster": CLUSTER, "host": "sol-1", "instance": "cp-1",
            "job": "solward",
        }  # fmt: skip
    finally:
        server.kill()
