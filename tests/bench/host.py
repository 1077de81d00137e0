"""The packages on a real Debian 12 host: sizes, installation, a restart's overhead, and the agent at rest."""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from tests.bench.rows import Row, quantile, row
from tests.fleet.fleet import _VALIDATOR_UNIT, ACTIONS, AGENT, Fleet, Host
from tests.fleet.packages import DEBS, PLAIN_UNIT, apt, built, configure, enroll, one_host
from tests.support.ports import free_ports

# Each needs a code of its own, which is half a minute's wait.
RESTARTS = 20
SETTLE_MS = 1000.0
# Half an hour, unless a hurried person says otherwise.
REST_S = float(os.environ.get("BENCH_REST_SECONDS", "1800"))
METHODS = [{"name": name} for name in ("getHealth", "getSlot", "getLatestBlockhash")]
_TICKS = os.sysconf("SC_CLK_TCK")


async def run() -> list[Row]:
    """Measure all of it."""
    await built()
    rows = []
    for name in ("solward-agent", "solward-controlplane", "solward-ctl"):
        (path,) = DEBS.glob(f"{name}_*.deb")
        rows.append(
            row(f"package_{name.removeprefix('solward-')}_mb", path.stat().st_size / 1e6, "MB", "<= 80", "gzip")
        )
    with tempfile.TemporaryDirectory() as folder:
        rows += await _restarts(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        rows += await _at_rest(Path(folder))
    return rows


async def _restarts(folder: Path) -> list[Row]:
    async with one_host(folder, "bookworm", PLAIN_UNIT) as (fleet, host):
        await apt(host.machine, "purge", "solward-agent")
        began = time.perf_counter()
        await apt(host.machine, "install", (await built()).agent)
        seconds = time.perf_counter() - began
        configure(host, fleet.plane)
        await enroll(host, fleet.plane)
        overheads = [_overhead(await fleet.act("restart", host, "--reason", "bench")) for _ in range(RESTARTS)]
    detail = (
        f"{RESTARTS} restarts of a unit on a booted host; from asked to ended, less systemd's job and 1 s of settling"
    )
    return [
        row("package_install_s", seconds, "s", "<= 15", "apt-get install of the agent's package on a booted host"),
        row("restart_overhead_host_ms", quantile(overheads, 0.5), "ms", "<= 100", detail),
    ]


def _overhead(operation: dict[str, Any]) -> float:
    times = []
    for name in ("createTime", "endTime"):
        stamp = Timestamp()
        stamp.FromJsonString(operation[name])
        times.append(stamp.ToNanoseconds() / 1e6)
    act = next(step for step in operation["steps"] if step["id"] == "act")
    return times[1] - times[0] - float(act["receipt"]["jobMs"]) - SETTLE_MS


async def _at_rest(folder: Path) -> list[Row]:
    (port,) = free_ports(1)
    unit = _VALIDATOR_UNIT.format(port=port).replace("--log /var/lib/sol/log", "--log -")
    async with one_host(folder, "bookworm", unit) as (fleet, host):
        rpc = {"url": f"http://127.0.0.1:{port}", "methods": METHODS}
        configure(host, fleet.plane, rpc=rpc, validator={"ledger": "/var/lib/sol"})
        await enroll(host, fleet.plane)
        await asyncio.sleep(10)
        before, began = await _spent(host), time.perf_counter()
        await asyncio.sleep(REST_S)
        after, seconds = await _spent(host), time.perf_counter() - began
        await _still_telling(fleet)
    percent = (after[0] - before[0]) / seconds * 100
    what = f"{seconds:.0f} s: RPC (3 methods), kernel, unit and journal probes, {len(ACTIONS)} actions allowed"
    return [
        row(
            "agent_rest_rss_mb", after[1], "MB", "<= 64", f"{what}; agent alone, journalctl {after[2]:.1f} MB beside it"
        ),
        row("agent_rest_cpu_percent", percent, "%", "<= 2", f"{what}; agent and its journalctl"),
    ]


async def _still_telling(fleet: Fleet) -> None:
    firing = [alert["rule"] for alert in await fleet.plane.ctl_json("alerts")]
    assert not firing, f"alerts fire at rest: {firing}"


async def _spent(host: Host) -> tuple[float, float, float]:
    """Give CPU seconds of the agent's processes, the agent's RSS and its journalctl's, in MB."""
    main = (await host.machine.show(AGENT, "MainPID"))["MainPID"]
    children = (await host.machine.run("cat", f"/proc/{main}/task/{main}/children")).out.split()
    cpu, own, child = 0.0, 0.0, 0.0
    for pid in (main, *children):
        stat = (await host.machine.run("cat", f"/proc/{pid}/stat")).out.rpartition(")")[2].split()
        cpu += (int(stat[11]) + int(stat[12])) / _TICKS
        status = (await host.machine.run("cat", f"/proc/{pid}/status")).out
        kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        if pid == main:
            own = kilobytes / 1000
        else:
            child += kilobytes / 1000
    return cpu, own, child
