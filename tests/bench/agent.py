"""The agent at work: 20 JSON-RPC methods at 1 Hz, kernel counters, one unit, one link."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

from agent.probes.rpc_methods import SAFE
from tests.bench.rows import Row, quantile, row
from tests.bench.setup import HIGH_LIMITS
from tests.support.cluster import Cluster, HostProcess, cluster
from tests.support.programs import ROOT

METHODS = 20
SECONDS = 60
STARTS = 5


async def run() -> list[Row]:
    """Measure a real agent process, with the agent's own requirements only, beside a validator peer."""
    program = await asyncio.to_thread(own_environment)
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(Path(folder), rate_limits=HIGH_LIMITS, log_level="warning") as plane:
            plane.agent_program = (str(program), "-m", "agent")
            await plane.sign_in()
            host = await plane.prepare_host("sol-1")
            settings = yaml.safe_load(host.config.read_text())
            settings["rpc"]["methods"] = [{"name": name, "period_seconds": 1.0} for name in list(SAFE)[:METHODS]]
            host.config.write_text(yaml.safe_dump(settings))
            await plane.enroll(host)
            starts = [await _start(plane, host) for _ in range(STARTS)]
            await plane.start_agent(host)
            await asyncio.sleep(10)
            assert host.agent
            process = psutil.Process(host.agent.pid)
            before, began = process.cpu_times(), time.perf_counter()
            await asyncio.sleep(SECONDS)
            after = process.cpu_times()
            percent = (after.user - before.user + after.system - before.system) / (time.perf_counter() - began) * 100
            rss = process.memory_info().rss / 2**20
    what = f"{METHODS} methods at 1 Hz, kernel counters, one unit over D-Bus, link and spool"
    return [
        row("agent_rss_mb", rss, "MiB", "<= 64", f"after {SECONDS + 10} s: {what}"),
        row("agent_cpu_percent", percent, "% of a core", "<= 2", f"over {SECONDS} s: {what}"),
        row("agent_start_s", quantile(starts, 0.5), "s", "<= 1", f"from exec to Welcome, median of {STARTS}"),
    ]


def own_environment() -> Path:
    """Make an environment of requirements/agent.txt alone: what is not there cannot be in memory."""
    folder = ROOT / "build" / "agent-env"
    python = folder / "bin" / "python"
    pins = (ROOT / "requirements" / "agent.txt").read_text()
    if not (folder / "pins.txt").exists() or (folder / "pins.txt").read_text() != pins:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*pip, "-r", ROOT / "requirements" / "agent.txt"], check=True)
        packages = next((folder / "lib").glob("python3*")) / "site-packages"
        (packages / "solward.pth").write_text(f"{ROOT}\n{ROOT / 'gen'}\n")
        (folder / "pins.txt").write_text(pins)
    return python


async def _start(plane: Cluster, host: HostProcess) -> float:
    (host.folder / "agent.log").write_text("")
    began = time.perf_counter()
    await plane.start_agent(host)
    while '"connected"' not in host.log:
        await asyncio.sleep(0.01)
    took = time.perf_counter() - began
    await plane.stop_agent(host)
    return took
