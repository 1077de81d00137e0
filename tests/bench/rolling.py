"""Rolling: a restart of 200 simulated hosts, against the sum of what each host's own gates take."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from solward.controls.v1 import controls_pb2
from solward.operations.v1 import operations_pb2

from ctl.client import Client
from ctl.contexts import load
from tests.bench.rows import Row, row
from tests.bench.setup import HIGH_LIMITS, certify_hosts, installation
from tests.support.cluster import Cluster, cluster
from tests.support.programs import ROOT

HOSTS = 200
AT_ONCE = 10
JOB_S = 1.0
SOAK_S = 4
OPERATIONS = "solward.operations.v1.OperationsService"


async def run() -> list[Row]:
    """Measure with a control plane and a fleet of agents in processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(
            Path(folder), rate_limits=HIGH_LIMITS, log_level="warning", require_second_factor=False
        ) as plane:
            await plane.sign_in()
            os.environ["XDG_CONFIG_HOME"] = str(plane.folder / "config")
            async with _hosts(plane), Client(load(None)) as client:
                return await _measure(plane, client)


async def _measure(plane: Cluster, client: Client) -> list[Row]:
    assert plane.server
    process = psutil.Process(plane.server.pid)
    request = controls_pb2.RollingRestartRequest(
        selector=controls_pb2.Selector(all=True),
        rollout=operations_pb2.Rollout(max_unavailable=AT_ONCE, soak_seconds=SOAK_S),
    )
    cpu, began = _cpu(process), time.perf_counter()
    operation = await client.attempt(
        "solward.controls.v1.ControlsService/RollingRestart", request, operations_pb2.Operation
    )
    watch = operations_pb2.WatchOperationRequest(name=operation.name)
    async for latest in client.stream(f"{OPERATIONS}/WatchOperation", watch, operations_pb2.Operation):
        operation = latest
    took_s = time.perf_counter() - began
    cores = (_cpu(process) - cpu) / took_s
    if operation.state != operations_pb2.OPERATION_STATE_SUCCEEDED:
        raise RuntimeError(str(operation.error))
    gates_s = HOSTS / AT_ONCE * (JOB_S + SOAK_S)
    what = (
        f"{HOSTS} hosts, {AT_ONCE} at once, each {JOB_S:g} s for its job, {SOAK_S} s of soak: {gates_s:g} s of gates; "
        "agents, a watcher and the control plane on the same 2 cores"
    )
    overhead = 100 * (took_s - gates_s) / gates_s
    return [
        row("rolling_overhead_percent", overhead, "%", "<= 5", f"took {took_s:.1f} s; {what}"),
        row("rolling_cpu_cores", cores, "cores", "<= 1", f"control plane alone; {what}"),
        row("rolling_rss_mb", process.memory_info().rss / 2**20, "MiB", "<= 512", f"control plane alone; {what}"),
    ]


@asynccontextmanager
async def _hosts(plane: Cluster) -> AsyncIterator[None]:
    """Have a fleet of simulated hosts connected."""
    order = {
        "agents": [
            {"uid": who.uid, "name": who.name, "key": who.key_pem.decode(), "certificate": who.certificate_pem.decode()}
            for who in await certify_hosts(plane, HOSTS)
        ],
        "port": plane.mtls_port,
        "ca_pem": installation(plane).ca.pem,
        "job_s": JOB_S,
    }
    fleet = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.rolling_load", stdin=PIPE, stdout=DEVNULL, stderr=PIPE, cwd=ROOT
    )
    assert fleet.stdin
    assert fleet.stderr
    try:
        fleet.stdin.write(json.dumps(order).encode())
        fleet.stdin.close()
        said = await fleet.stderr.readline()
        if said != b"connected\n":
            raise RuntimeError((said + await fleet.stderr.read()).decode())
        yield
    finally:
        fleet.send_signal(signal.SIGKILL)
        await fleet.wait()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
