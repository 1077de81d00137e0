"""Control: what Solward adds to systemd's own time, how fast programs start, how fast revocation bites."""

import asyncio
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import grpc.aio
from solward.hosts.v1 import hosts_pb2, link_pb2
from solward.hosts.v1.link_pb2_grpc import LinkServiceStub
from solward.operations.v1 import operations_pb2
from solward.validator.v1 import validator_pb2

from agent import PROTOCOL, VERSION
from common.clock import now_ms
from controlplane.operations.plan import SETTLE_MS
from ctl.client import Client
from ctl.contexts import load
from tests.bench.rows import Row, quantile, row
from tests.bench.setup import HIGH_LIMITS, Certified, certify_hosts, installation, mtls_channel
from tests.support.cluster import Cluster, cluster
from tests.support.programs import BIN

RESTARTS = 15
HELPS = 20


async def run() -> list[Row]:
    """Measure with real processes; the second factor is off, since a code comes every 30 s only."""
    with tempfile.TemporaryDirectory() as folder:
        async with cluster(
            Path(folder), rate_limits=HIGH_LIMITS, log_level="warning", require_second_factor=False
        ) as plane:
            await plane.sign_in()
            await plane.add_host("sol-1")
            os.environ["XDG_CONFIG_HOME"] = str(plane.folder / "config")
            async with Client(load(None)) as client:
                overheads = [await _restart(client) for _ in range(RESTARTS)][2:]
                cutoff = await _revoke(plane, client, (await certify_hosts(plane, 1))[0])
            start = await _start(plane)
            overhead_of = (
                f"median of {len(overheads)} restarts through the ctl client to the verified result, less systemd's "
                f"job and the {SETTLE_MS} ms that the unit is watched; worst {max(overheads):.0f} ms"
            )
            cutoff_of = "from the call of RevokeHost to the end of the host's open stream"
            return [
                row("command_overhead_ms", quantile(overheads, 0.5), "ms", "<= 30", overhead_of),
                row("ctl_help_ms", _help(plane), "ms", "<= 150", f"median of {HELPS} runs of ctl --help"),
                row("controlplane_start_s", start, "s", "<= 3", "from exec to taking calls, over an existing store"),
                row("revoke_cutoff_s", cutoff, "s", "<= 5", cutoff_of),
            ]


async def _restart(client: Client) -> float:
    began = time.perf_counter()
    method = "solward.validator.v1.ValidatorService/Restart"
    operation = await client.attempt(method, validator_pb2.RestartRequest(), operations_pb2.Operation)
    request = operations_pb2.WatchOperationRequest(name=operation.name)
    watch = "solward.operations.v1.OperationsService/WatchOperation"
    async for operation in client.stream(watch, request, operations_pb2.Operation):
        last = operation
    took_ms = (time.perf_counter() - began) * 1000
    if last.state != operations_pb2.OPERATION_STATE_SUCCEEDED:
        raise RuntimeError(str(last))
    receipt = next(step for step in last.steps if step.id == "act").receipt
    return took_ms - receipt.job_ms - SETTLE_MS


async def _revoke(plane: Cluster, client: Client, host: Certified) -> float:
    async def hello():  # type: ignore[no-untyped-def]
        yield link_pb2.ConnectRequest(
            hello=link_pb2.Hello(
                agent_version=VERSION, protocol=PROTOCOL, spool_id=host.uid, first_sequence=1, unix_ms=now_ms()
            )
        )
        await asyncio.sleep(60)

    async with mtls_channel(plane.mtls_port, installation(plane).ca.pem, host) as channel:
        call = LinkServiceStub(channel).Connect(hello())
        await call.read()
        began = time.perf_counter()
        request = hosts_pb2.RevokeHostRequest(name=f"hosts/{host.name}")
        await client.attempt("solward.hosts.v1.HostsService/RevokeHost", request, hosts_pb2.Host)
        # What was on its way is read first: the status comes after it.
        with suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                continue
        return time.perf_counter() - began


async def _start(plane: Cluster) -> float:
    await plane.stop_server()
    began = time.perf_counter()
    await plane.start_server()
    return time.perf_counter() - began


def _help(plane: Cluster) -> float:
    times = []
    for _ in range(HELPS):
        began = time.perf_counter()
        subprocess.run([BIN / "ctl", "--help"], check=True, capture_output=True, env=plane.environment())
        times.append((time.perf_counter() - began) * 1000)
    return quantile(times, 0.5)
