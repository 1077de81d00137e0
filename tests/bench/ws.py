"""Ten thousand WebSocket clients, each sent a frame of 1 KB every second: how late, and in how much memory.

The control plane, the door (a gateway apart, as `solward-controlplane gateway` runs it) and the clients are three
processes. Clients come from forty addresses of loopback and are forty people, so that all the product's limits hold.
"""

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import psutil
import yaml

from tests.bench.rows import Row, quantile, row
from tests.support.live import Samples
from tests.support.plane import LIMITS, Plane, control_plane
from tests.support.ports import free_ports
from tests.support.programs import BIN

CLIENTS, PEOPLE = 10_000, 40
WARM_S, MEASURED_S = 10.0, 30.0
# So many hosts make a fleet frame of 1 KB.
HOSTS = 8


async def run() -> list[Row]:
    """Measure behind TLS, as the product serves."""
    _raise_open_files(CLIENTS + 2_000)
    with tempfile.TemporaryDirectory() as folder:
        return await _measure(Path(folder))


async def _measure(folder: Path) -> list[Row]:
    (folder / "gateway").mkdir()
    (port,) = free_ports(1)
    own = {"gateway_dir": folder / "gateway", "gateway_listen": f"127.0.0.1:{port}", "server_names": ["localhost"]}
    async with control_plane(folder, require_second_factor=False, rate_limits=LIMITS, **own) as plane:
        feeding = asyncio.create_task(_feed(plane))
        tokens = [(await plane.sign_in("viewer")).token for _ in range(PEOPLE)]
        door = await _door(plane, folder, port)
        try:
            clients = await _clients(folder, port, tokens)
            told = await _until_over(clients, door)
        finally:
            door.terminate()
            await door.wait()
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
        plain = await _plain(folder, plane, tokens)
    return _rows(told, plain)


async def _plain(folder: Path, plane: Plane, tokens: list[str]) -> dict[str, object]:
    """Measure a broadcast with aiohttp alone, with as many clients and frames as large."""
    (port,) = free_ports(1)
    server = plane.app.identities.pki.server
    for name, content in (("key.pem", server.key_pem), ("chain.pem", server.chain_pem)):
        (folder / name).write_bytes(content)
    argv = [sys.executable, "-m", "tests.bench.ws_plain", str(port), str(folder / "key.pem"), str(folder / "chain.pem")]
    with (folder / "plain.log").open("wb") as log:
        door = await asyncio.create_subprocess_exec(*argv, "987", stdout=log, stderr=log)
    try:
        await _until_open(door, port, folder / "plain.log")
        return await _until_over(await _clients(folder, port, tokens), door)
    finally:
        door.terminate()
        await door.wait()


def _rows(told: dict[str, object], plain: dict[str, object]) -> list[Row]:
    delays, sizes = told["delays"], told["sizes"]
    assert isinstance(delays, list)
    assert isinstance(sizes, list)
    assert len(delays) >= 0.95 * CLIENTS * MEASURED_S, f"only {len(delays)} frames came"
    rss, idle = float(str(told["rss_mb"])), float(str(told["idle_mb"]))
    theirs = plain["delays"]
    assert isinstance(theirs, list)
    plain_rss, plain_idle = float(str(plain["rss_mb"])), float(str(plain["idle_mb"]))
    beside = (
        f"aiohttp's broadcast alone in the same run: p99 {quantile(theirs, 0.99):.0f} ms, {plain_rss:.0f} MB, "
        f"{float(str(plain['cpu'])):.2f} cores, {(plain_rss - plain_idle) * 1000 / CLIENTS:.1f} KB a client"
    )
    detail = (
        f"{CLIENTS:,} clients of {PEOPLE} people, 1 Hz, frames of {quantile(sizes, 0.5):.0f} bytes, TLS; from when the "
        f"control plane made the frame to when the client has it; p50 {quantile(delays, 0.5):.0f} ms, most "
        f"{max(delays):.0f} ms; door {float(str(told['cpu'])):.2f} cores; all three on the same cores; {beside}"
    )
    return [
        row("ws_delay_p99_ms", quantile(delays, 0.99), "ms", "< 100", detail),
        row("ws_rss_mb", rss, "MB", "<= 400", f"the door's process; {idle:.0f} MB before the first client; TLS"),
        row("ws_client_kb", (rss - idle) * 1000 / CLIENTS, "KB", "<= 32", f"of one client, subscribed; {beside}"),
    ]


async def _feed(plane: Plane) -> None:
    hosts = [Samples(plane.app.watching.ingest, f"rpc-{number}") for number in range(HOSTS)]
    while True:
        for host in hosts:
            host.send()
        await asyncio.sleep(1.0)


async def _door(plane: Plane, folder: Path, port: int) -> Process:
    settings = {
        "data_dir": str(folder / "cp"), "gateway_dir": str(folder / "gateway"), "server_names": ["localhost"],
        "gateway_listen": f"127.0.0.1:{port}", "gateway_target": f"127.0.0.1:{plane.app.servers.tls_port}",
    }  # fmt: skip
    (folder / "gateway.yaml").write_text(yaml.safe_dump(settings))
    environment = os.environ | {"SOLWARD_CONFIG": str(folder / "gateway.yaml")}
    with (folder / "gateway.log").open("wb") as log:
        argv = [str(BIN / "solward-controlplane"), "gateway"]
        door = await asyncio.create_subprocess_exec(*argv, env=environment, stdout=log, stderr=log)
    await _until_open(door, port, folder / "gateway.log")
    return door


async def _until_open(door: Process, port: int, log: Path) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert door.returncode is None, log.read_text()
                await asyncio.sleep(0.1)
                continue
            writer.close()
            return


async def _clients(folder: Path, port: int, tokens: list[str]) -> Process:
    (folder / "tokens.json").write_text(json.dumps(tokens))
    argv = [sys.executable, "-m", "tests.bench.ws_load", str(port), str(folder / "tokens.json"), str(CLIENTS)]
    argv += [str(WARM_S), str(MEASURED_S)]
    return await asyncio.create_subprocess_exec(*argv, stdout=PIPE, limit=1 << 26)


async def _until_over(clients: Process, door: Process) -> dict[str, object]:
    """Look at the door while the clients read; gives what they and it had to tell."""
    program = psutil.Process(door.pid)
    idle = program.memory_info().rss / 1e6
    assert clients.stdout
    most, cpu_s, at = 0.0, 0.0, 0.0
    line = asyncio.ensure_future(clients.stdout.readline())
    assert await line == b"all there\n"
    cpu_s, at = sum(program.cpu_times()[:2]), time.monotonic()
    line = asyncio.ensure_future(clients.stdout.readline())
    while not line.done():
        most = max(most, program.memory_info().rss / 1e6)
        await asyncio.wait({line}, timeout=1.0)
    cores = (sum(program.cpu_times()[:2]) - cpu_s) / (time.monotonic() - at)
    told: dict[str, object] = json.loads(line.result())
    await clients.wait()
    return told | {"rss_mb": most, "idle_mb": idle, "cpu": cores}


def _raise_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
